// Sign-in, tool call, refresh, step-up, with the official TypeScript SDK of MCP: v1 or v2, by
// registration or by document.
// covers: MCP-AS-01, MCP-AS-12, MCP-AS-13, MCP-AS-14, MCP-AS-17, MCP-RS-10, QUIRK-31, QUIRK-34, QUIRK-40, QUIRK-41, QUIRK-63, MCP-03

import { check } from './person.mjs';
import { Provider } from './provider.mjs';

const [version, by] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } = version === 'v2'
  ? await import('@modelcontextprotocol/client')
  : {
      ...(await import('@modelcontextprotocol/sdk/client/index.js')),
      ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
    };

const provider = new Provider(by);
const url = new URL(process.env.HUB_RESOURCE);

// Connect; when the SDK says that the person has to come back first, finish and connect again.
async function connect() {
  for (let tries = 0; tries < 2; tries += 1) {
    const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
    const client = new Client({ name: 'conformance', version: '1.0.0' });
    try {
      await client.connect(transport);
      return { client, transport };
    } catch (failure) {
      check(tries === 0 && provider.answered, failure.stack);
      await finish(transport);
    }
  }
}

async function finish(transport) {
  const answered = provider.answered;
  delete provider.answered;
  check(answered.searchParams.get('iss') === process.env.HUB_ISSUER, 'iss is missing or wrong');
  if (version === 'v2') await transport.finishAuth(answered.searchParams);
  else await transport.finishAuth(answered.searchParams.get('code'));
}

const first = await connect();
const told = await first.client.callTool({ name: 'whoami', arguments: {} });
check(/mcp:read/.test(told.content[0].text), 'whoami does not know the scope');
if (by === 'cimd') check(told.content[0].text.includes(process.env.HUB_CLIENT_DOCUMENT), 'not the document client');
console.log('signed in, tool called');

// Refresh: an access token that the server refuses makes the SDK use its refresh token.
const before = provider.kept.tokens.refresh_token;
check(before, 'no refresh token was issued');
provider.kept.tokens = { ...provider.kept.tokens, access_token: 'broken' };
const again = await first.client.callTool({ name: 'whoami', arguments: {} });
check(again.content[0].text === told.content[0].text, 'after the refresh somebody else is there');
check(provider.kept.tokens.refresh_token !== before, 'the refresh token did not rotate');
check(provider.asked.length === 1, 'the person was asked again for a refresh');
console.log('refreshed');

// Step-up: 403 insufficient_scope leads to a new authorization with more scope.
let wrote;
try {
  wrote = await first.client.callTool({ name: 'write_note', arguments: { text: 'hello' } });
} catch (failure) {
  if (version === 'v1') {
    // v1 tries its refresh token first, gets the same scope, and gives up with the 403: the host
    // application drops the tokens and authorizes again with what the challenge named.
    check(failure.code === 403, failure.stack);
    const { auth } = await import('@modelcontextprotocol/sdk/client/auth.js');
    delete provider.kept.tokens;
    check(await auth(provider, { serverUrl: url, scope: 'mcp:read mcp:write' }) === 'REDIRECT', 'no redirect');
  }
  check(provider.answered, failure.stack);
  await finish(first.transport);
  wrote = await first.client.callTool({ name: 'write_note', arguments: { text: 'hello' } });
}
check(/is kept/.test(wrote.content[0].text), 'the note was not written');
check(provider.asked.length === 2, 'the person was not asked for more');
check(provider.asked[1].searchParams.get('scope').includes('mcp:write'), 'the step-up asked for too little');
console.log('stepped up');
await first.client.close();
