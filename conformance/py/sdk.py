"""Sign-in, tool call, refresh, step-up with the official Python SDK of MCP, by either door."""

# covers: MCP-AS-01, MCP-AS-12, MCP-AS-13, MCP-AS-14, QUIRK-38, QUIRK-41, QUIRK-60

import asyncio
import os
import re
import sys
from html import unescape
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp import ClientSession
from mcp.shared.auth import OAuthClientMetadata

ISSUER = os.environ["HUB_ISSUER"]
RESOURCE = os.environ["HUB_RESOURCE"]
DOCUMENT = os.environ["HUB_CLIENT_DOCUMENT"]
CALLBACK = "http://127.0.0.1:53682/callback"


class Person:
    """Follows a URL through the pages' own forms."""

    def __init__(self):
        self.client = httpx2.AsyncClient(follow_redirects=False)
        self.visits = []

    async def allow(self, url):
        self.visits.append(url)
        answer = await self.client.get(url)
        for _ in range(4):
            if answer.is_redirect:
                return answer.headers["location"]
            form = re.search(r'<form method="post" action="([^"]+)">(.*?)</form>', answer.text, re.S)
            assert form, answer.text
            fields = []
            for tag in re.findall(r"<input[^>]*>", form[2]):
                name, kind = attribute(tag, "name"), attribute(tag, "type")
                if kind == "hidden" or (kind == "checkbox" and " checked" in tag):
                    fields.append((name, attribute(tag, "value")))
                elif name == "username":
                    fields.append((name, os.environ["HUB_USER"]))
                elif name == "password":
                    fields.append((name, os.environ["HUB_PASSWORD"]))
            if 'name="decision"' in form[2]:
                fields.append(("decision", "approve"))
            from urllib.parse import urlencode

            answer = await self.client.post(
                urljoin(str(answer.url), unescape(form[1])),
                content=urlencode(fields),
                headers={
                    "content-type": "application/x-www-form-urlencoded",
                    "sec-fetch-site": "same-origin",
                },
            )
        raise AssertionError("the walk did not end")


def attribute(tag, name):
    found = re.search(rf'\b{name}="([^"]*)"', tag)
    return unescape(found[1]) if found else ""


class Storage(TokenStorage):
    """Keeps everything in memory."""

    def __init__(self):
        self.tokens = None
        self.client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def main(by):
    person, storage, answered = Person(), Storage(), []

    async def redirect(url):
        answered.append(await person.allow(url))

    async def callback():
        query = {name: values[0] for name, values in parse_qs(urlsplit(answered.pop()).query).items()}
        assert query["iss"] == ISSUER, query
        return AuthorizationCodeResult(code=query["code"], state=query["state"], iss=query["iss"])

    def provider():
        return OAuthClientProvider(
            server_url=RESOURCE,
            client_metadata=OAuthClientMetadata(
                client_name="Conformance Agent",
                redirect_uris=[CALLBACK],
                grant_types=["authorization_code", "refresh_token"],
                token_endpoint_auth_method="none",
            ),
            storage=storage,
            redirect_handler=redirect,
            callback_handler=callback,
            client_metadata_url=DOCUMENT if by == "cimd" else None,
        )

    agent = provider()

    async def call(tool, arguments):
        async with httpx2.AsyncClient(auth=agent, timeout=20) as http:
            async with streamable_http_client(RESOURCE, http_client=http) as streams:
                async with ClientSession(streams[0], streams[1]) as session:
                    await session.initialize()
                    result = await session.call_tool(tool, arguments)
                    return result.content[0].text

    told = await call("whoami", {})
    assert "mcp:read" in told, told
    assert (DOCUMENT in told) == (by == "cimd"), told
    print("signed in, tool called")

    before = storage.tokens.refresh_token
    # The SDK refreshes when the time that it keeps beside the token has passed.
    agent.context.token_expiry_time = 1.0
    again = await call("whoami", {})
    assert again == told, again
    assert storage.tokens.refresh_token != before, "the refresh token did not rotate"
    assert len(person.visits) == 1, "the person was asked again for a refresh"
    print("refreshed")

    wrote = await call("write_note", {"text": "hello"})
    assert "is kept" in wrote, wrote
    assert "mcp%3Awrite" in person.visits[-1], person.visits
    print("stepped up")


asyncio.run(main(sys.argv[1]))
