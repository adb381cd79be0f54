//! An agent that knows nothing but the address of an MCP server, and the person it works for.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    super::Failure,
    http::{Answer, Browser, form, hidden, send, ticked},
    timeline::Timeline,
};

const CALLBACK: &str = "http://127.0.0.1:53682/callback";
const PROTOCOL_VERSION: &str = "2025-06-18";

/// Which door.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    /// Register.
    Dcr,
    /// The document at this URL.
    Cimd(&'a str),
}

/// The person behind the agent.
pub(super) struct Person<'a> {
    pub(super) name: &'a str,
    pub(super) password: &'a str,
}

struct Hub {
    issuer: String,
    metadata: serde_json::Value,
}

impl Hub {
    fn endpoint(&self, name: &str) -> Result<&str, Failure> {
        let found = self.metadata.get(name).and_then(serde_json::Value::as_str);
        found.ok_or_else(|| format!("the hub's metadata has no {name}").into())
    }
}

struct Tokens {
    access: String,
    refresh: String,
    scope: String,
}

/// The whole way: from an address to a tool that answers.
pub(super) async fn play(
    timeline: &mut Timeline,
    server: &str,
    by: By<'_>,
    person: &Person<'_>,
) -> Result<(), Failure> {
    let (hub, wanted) = discover(timeline, server).await?;
    let client_id = introduce(timeline, &hub, by).await?;
    let mut browser = Browser::default();
    let tokens = authorize(
        timeline,
        &hub,
        &client_id,
        server,
        &wanted,
        &mut browser,
        person,
    )
    .await?;
    let session = initialize(server, &tokens.access).await?;
    let told = call(server, &tokens.access, &session, "whoami", "{}").await?;
    let told = tool_text(&told)?;
    timeline.step("calls the tool `whoami`", &[&format!("it answers: {told}")]);
    let tokens = refresh(timeline, &hub, &client_id, &tokens).await?;
    step_up(
        timeline,
        &hub,
        &client_id,
        server,
        &tokens,
        &mut browser,
        person,
    )
    .await
}

async fn discover(timeline: &mut Timeline, server: &str) -> Result<(Hub, String), Failure> {
    let refused = rpc(server, None, None, &initialize_message()).await?;
    let challenge = refused
        .header("www-authenticate")
        .unwrap_or_default()
        .to_owned();
    let metadata_url = quoted(&challenge, "resource_metadata").ok_or("no resource_metadata")?;
    let wanted = quoted(&challenge, "scope").unwrap_or_default();
    expect(refused.status == 401, "the server lets a stranger in")?;
    timeline.step(
        "knocks at the MCP server without a token",
        &[
            "401, and the challenge says where to read on",
            &format!("scope needed: {wanted}"),
        ],
    );
    let resource = send("GET", &metadata_url, &[], "").await?.json()?;
    expect(
        resource.get("resource").and_then(|v| v.as_str()) == Some(server),
        "another resource",
    )?;
    let issuer = resource
        .pointer("/authorization_servers/0")
        .and_then(|value| value.as_str())
        .ok_or("no authorization server")?
        .to_owned();
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let metadata = send("GET", &url, &[], "").await?.json()?;
    let named = metadata.get("issuer").and_then(|value| value.as_str());
    expect(
        named == Some(issuer.as_str()),
        "the metadata names another issuer",
    )?;
    timeline.step(
        "reads the metadata of server and hub",
        &[&format!(
            "resource and issuer match byte for byte: {issuer}"
        )],
    );
    Ok((Hub { issuer, metadata }, wanted))
}

async fn introduce(timeline: &mut Timeline, hub: &Hub, by: By<'_>) -> Result<String, Failure> {
    match by {
        By::Cimd(url) => {
            let supported = hub.metadata.get("client_id_metadata_document_supported");
            expect(
                supported == Some(&true.into()),
                "the hub does not take documents",
            )?;
            timeline.step(
                "brings a Client ID Metadata Document",
                &[
                    &format!("its client_id is {url}"),
                    "nothing is registered anywhere",
                ],
            );
            Ok(url.to_owned())
        }
        By::Dcr => {
            let body = serde_json::json!({
                "client_name": "Demo Agent",
                "redirect_uris": ["http://127.0.0.1/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "none",
            });
            let url = hub.endpoint("registration_endpoint")?;
            let headers = [("content-type", "application/json")];
            let answer = send("POST", url, &headers, body.to_string()).await?;
            expect(answer.status == 201, "the registration is refused")?;
            let answer = answer.json()?;
            let id = answer
                .get("client_id")
                .and_then(|v| v.as_str())
                .ok_or("no client_id")?;
            timeline.step(
                "registers itself (Dynamic Client Registration)",
                &[
                    &format!(
                        "the registration is sealed into its own client_id: {} characters",
                        id.len()
                    ),
                    "the hub wrote nothing",
                ],
            );
            Ok(id.to_owned())
        }
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "one scene of a story, called once"
)]
async fn authorize(
    timeline: &mut Timeline,
    hub: &Hub,
    client_id: &str,
    server: &str,
    scope: &str,
    browser: &mut Browser,
    person: &Person<'_>,
) -> Result<Tokens, Failure> {
    let verifier = random_text();
    let challenge = URL_SAFE_NO_PAD.encode(vestibule_seal::sha256(verifier.as_bytes()));
    let state = random_text();
    let query = form(&[
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", CALLBACK),
        ("scope", scope),
        ("state", &state),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("resource", server),
    ]);
    let url = format!("{}?{query}", hub.endpoint("authorization_endpoint")?);
    let mut page = browser.get(&url).await?;
    if page.body.contains("name=\"password\"") {
        let ticket = hidden(&page.body, "ticket").ok_or("no ticket on the sign-in page")?;
        let csrf = hidden(&page.body, "csrf").ok_or("no csrf on the sign-in page")?;
        let fields = [
            ("ticket", ticket.as_str()),
            ("csrf", &csrf),
            ("username", person.name),
            ("password", person.password),
        ];
        page = browser.post(&hub.url("/login"), &fields).await?;
        timeline.step(
            "the person signs in",
            &["the request waits, sealed, in the page itself"],
        );
    }
    let code = consent(timeline, hub, browser, page, &state).await?;
    redeem(timeline, hub, client_id, server, &code, &verifier).await
}

async fn consent(
    timeline: &mut Timeline,
    hub: &Hub,
    browser: &mut Browser,
    page: Answer,
    state: &str,
) -> Result<String, Failure> {
    let heading = page
        .body
        .split_once("<h1 class=\"host\"><bdi>")
        .map(|(_, rest)| rest);
    let host = heading
        .and_then(|rest| rest.split('<').next())
        .ok_or("no consent page")?
        .to_owned();
    let scopes = ticked(&page.body);
    let ticket = hidden(&page.body, "ticket").ok_or("no ticket on the consent page")?;
    let csrf = hidden(&page.body, "csrf").ok_or("no csrf on the consent page")?;
    let mut fields = vec![
        ("ticket", ticket.as_str()),
        ("csrf", csrf.as_str()),
        ("decision", "approve"),
    ];
    fields.extend(scopes.iter().map(|scope| ("scope", scope.as_str())));
    let answer = browser.post(&hub.url("/consent"), &fields).await?;
    expect(
        answer.status == 303,
        "the decision is not answered with a redirect",
    )?;
    let location = answer.header("location").ok_or("no Location")?.to_owned();
    let answered: url::Url = location.parse()?;
    let value = |name: &str| {
        let found = answered.query_pairs().find(|(key, _)| key == name);
        found.map(|(_, value)| value.into_owned())
    };
    expect(location.starts_with(CALLBACK), "the answer goes elsewhere")?;
    expect(
        value("state").as_deref() == Some(state),
        "the state came back changed",
    )?;
    expect(
        value("iss").as_deref() == Some(hub.issuer.as_str()),
        "iss is not the hub's",
    )?;
    timeline.step(
        "the person reads the consent page and allows",
        &[
            &format!("the page says first who asks: {host}"),
            &format!("ticked: {}", scopes.join(", ")),
            "the answer carries code, state and iss, and goes to the registered address",
        ],
    );
    value("code").ok_or_else(|| "no code".into())
}

async fn redeem(
    timeline: &mut Timeline,
    hub: &Hub,
    client_id: &str,
    server: &str,
    code: &str,
    verifier: &str,
) -> Result<Tokens, Failure> {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("client_id", client_id),
        ("code_verifier", verifier),
        ("resource", server),
    ];
    let tokens = tokens(hub, &fields).await?;
    timeline.step(
        "redeems the code",
        &[
            "PKCE verifier, client and redirect URI match; the code is spent",
            &format!("an access token for {server}: {}", tokens.scope),
        ],
    );
    Ok(tokens)
}

async fn tokens(hub: &Hub, fields: &[(&str, &str)]) -> Result<Tokens, Failure> {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = send(
        "POST",
        hub.endpoint("token_endpoint")?,
        &headers,
        form(fields),
    )
    .await?;
    if answer.status != 200 {
        return Err(format!(
            "the token endpoint answered {}: {}",
            answer.status, answer.body
        )
        .into());
    }
    let json = answer.json()?;
    let text = |name: &str| {
        json.get(name)
            .and_then(|v| v.as_str())
            .map(str::to_owned)
            .ok_or(format!("no {name}"))
    };
    Ok(Tokens {
        access: text("access_token")?,
        refresh: text("refresh_token")?,
        scope: text("scope")?,
    })
}

async fn refresh(
    timeline: &mut Timeline,
    hub: &Hub,
    client_id: &str,
    old: &Tokens,
) -> Result<Tokens, Failure> {
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", old.refresh.as_str()),
        ("client_id", client_id),
    ];
    let new = tokens(hub, &fields).await?;
    expect(
        new.refresh != old.refresh,
        "the refresh token did not rotate",
    )?;
    timeline.step(
        "refreshes",
        &["the refresh token rotated; nothing of it is stored"],
    );
    Ok(new)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one scene of a story, called once"
)]
async fn step_up(
    timeline: &mut Timeline,
    hub: &Hub,
    client_id: &str,
    server: &str,
    tokens: &Tokens,
    browser: &mut Browser,
    person: &Person<'_>,
) -> Result<(), Failure> {
    let session = initialize(server, &tokens.access).await?;
    let note = r#"{"text":"hello"}"#;
    let refused = call(server, &tokens.access, &session, "write_note", note).await?;
    let challenge = refused.header("www-authenticate").unwrap_or_default();
    expect(refused.status == 403, "a read-only token may write")?;
    expect(
        challenge.contains("insufficient_scope"),
        "the challenge does not say why",
    )?;
    let needed = quoted(challenge, "scope").ok_or("the challenge names no scope")?;
    timeline.step(
        "calls the tool `write_note`",
        &[
            "403 insufficient_scope: reading was allowed, writing was not",
            &format!("needed: {needed}"),
        ],
    );
    let tokens = authorize(timeline, hub, client_id, server, &needed, browser, person).await?;
    let session = initialize(server, &tokens.access).await?;
    let told = call(server, &tokens.access, &session, "write_note", note).await?;
    let told = tool_text(&told)?;
    timeline.step(
        "calls `write_note` again",
        &[&format!("it answers: {told}")],
    );
    Ok(())
}

impl Hub {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }
}

fn initialize_message() -> String {
    serde_json::json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": PROTOCOL_VERSION,
            "capabilities": {},
            "clientInfo": {"name": "vestibule-demo", "version": env!("CARGO_PKG_VERSION")},
        },
    })
    .to_string()
}

async fn initialize(server: &str, token: &str) -> Result<String, Failure> {
    let answer = rpc(server, Some(token), None, &initialize_message()).await?;
    if answer.status != 200 {
        return Err(format!("the MCP server answered {}: {}", answer.status, answer.body).into());
    }
    let session = answer
        .header("mcp-session-id")
        .ok_or("no session")?
        .to_owned();
    let note = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    rpc(server, Some(token), Some(&session), note).await?;
    Ok(session)
}

async fn call(
    server: &str,
    token: &str,
    session: &str,
    tool: &str,
    arguments: &str,
) -> Result<Answer, Failure> {
    let message = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#
    );
    rpc(server, Some(token), Some(session), &message).await
}

async fn rpc(
    server: &str,
    token: Option<&str>,
    session: Option<&str>,
    message: &str,
) -> Result<Answer, Failure> {
    let authorization = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", PROTOCOL_VERSION),
    ];
    headers.extend(
        authorization
            .as_deref()
            .map(|value| ("authorization", value)),
    );
    headers.extend(session.map(|session| ("mcp-session-id", session)));
    send("POST", server, &headers, message).await
}

/// The text that a tool answered, plain or as an event stream.
fn tool_text(answer: &Answer) -> Result<String, Failure> {
    let stream = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data:"));
    let texts = stream
        .map(str::trim)
        .chain(std::iter::once(answer.body.as_str()));
    for text in texts {
        let Ok(json) = serde_json::from_str::<serde_json::Value>(text) else {
            continue;
        };
        let found = json
            .pointer("/result/content/0/text")
            .and_then(|value| value.as_str());
        if let Some(found) = found {
            return Ok(found.to_owned());
        }
    }
    Err(format!("the tool answered {}: {}", answer.status, answer.body).into())
}

/// A quoted value of a challenge.
fn quoted(challenge: &str, name: &str) -> Option<String> {
    let (_, rest) = challenge.split_once(&format!("{name}=\""))?;
    rest.split('"').next().map(str::to_owned)
}

fn random_text() -> String {
    let mut bytes = [0; 32];
    vestibule_seal::random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn expect(holds: bool, otherwise: &'static str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
