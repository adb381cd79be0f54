//! From SQLite to PostgreSQL, as an operator does it.

use std::collections::BTreeMap;

use vestibule_store_postgres::throw_away::{self, Database};

use crate::support::{Folder, Response, Serving, free_port};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://127.0.0.1/callback";
const RESOURCE: &str = "http://127.0.0.1:9401/mcp";
const PASSWORD: &str = "correct horse battery staple";

/// A database for a test that is not asynchronous; it goes with the process's cluster.
fn database() -> Database {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(throw_away::shared().database())
}

fn folder(port: u16) -> Folder {
    Folder::new(&format!(
        "issuer = \"http://127.0.0.1:{port}\"\nlimits.enabled = false\n\
         [[resources]]\nuri = \"{RESOURCE}\"\nname = \"Notes\"\n\
         scopes = [{{ name = \"mcp:read\", description = \"Read\", access = \"read\", default = true }}]\n"
    ))
}

fn encode(pairs: &[(&str, &str)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    text.extend_pairs(pairs).finish()
}

/// Cookies, and the form of the page that was shown last.
struct Visit<'a> {
    hub: &'a Serving,
    cookies: BTreeMap<String, String>,
}

impl Visit<'_> {
    fn send(&mut self, method: &str, path: &str, body: &str) -> Response {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        let headers = format!(
            "Cookie: {}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n",
            cookies.join("; ")
        );
        let answer = self.hub.send(method, path, &headers, body);
        for line in answer.headers("set-cookie") {
            let pair = line.split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Send the form of a page as it is, with some fields more.
    fn submit(&mut self, page: &str, more: &[(&str, &str)]) -> Response {
        let (_, form) = page
            .split_once("<form ")
            .unwrap_or_else(|| panic!("{page}"));
        let form = form.split("</form>").next().unwrap();
        let action = attribute(form, "action").unwrap();
        let mut fields: Vec<(String, String)> = Vec::new();
        for input in form.split("<input ").skip(1) {
            let input = input.split('>').next().unwrap();
            if input.contains("type=\"hidden\"") || input.ends_with(" checked") {
                let value = attribute(input, "value").unwrap_or_default();
                fields.push((attribute(input, "name").unwrap(), value));
            }
        }
        let mut pairs: Vec<_> = fields
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        pairs.extend_from_slice(more);
        self.send("POST", &action, &encode(&pairs))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split('"').next()?.replace("&#38;", "&"))
}

/// Register, sign in, say yes, redeem: `client_id` and refresh token.
fn connect(hub: &Serving) -> (String, String) {
    let metadata = format!(
        r#"{{"redirect_uris":["{CALLBACK}"],"client_name":"An app",
            "token_endpoint_auth_method":"none",
            "grant_types":["authorization_code","refresh_token"]}}"#
    );
    let (status, body) = hub.request("POST", "/register", &metadata);
    assert_eq!(status, 201, "{body}");
    let registered: serde_json::Value = serde_json::from_str(&body).unwrap();
    let client_id = registered
        .get("client_id")
        .unwrap()
        .as_str()
        .unwrap()
        .to_owned();
    let query = encode(&[
        ("response_type", "code"),
        ("client_id", &client_id),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
        ("scope", "mcp:read offline_access"),
    ]);
    let mut visit = Visit {
        hub,
        cookies: BTreeMap::new(),
    };
    let page = visit.send("GET", &format!("/authorize?{query}"), "");
    let signed_in = [("username", "ada"), ("password", PASSWORD)];
    let page = visit.submit(&page.body, &signed_in);
    let yes = [("decision", "approve"), ("confirmed", "yes")];
    let answer = visit.submit(&page.body, &yes);
    let location = answer.headers("location").next();
    let location = location.unwrap_or_else(|| panic!("{}", answer.body));
    let location = url::Url::parse(location).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code");
    let code = code.unwrap_or_else(|| panic!("{location}")).1.into_owned();
    let tokens = token(
        hub,
        &[
            ("grant_type", "authorization_code"),
            ("client_id", &client_id),
            ("code", &code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", CALLBACK),
        ],
    );
    (client_id, tokens.unwrap())
}

fn refresh(hub: &Serving, client_id: &str, token_shown: &str) -> Result<String, String> {
    token(
        hub,
        &[
            ("grant_type", "refresh_token"),
            ("client_id", client_id),
            ("refresh_token", token_shown),
        ],
    )
}

/// The refresh token of the answer, or the answer.
fn token(hub: &Serving, pairs: &[(&str, &str)]) -> Result<String, String> {
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = hub.send("POST", "/token", form, &encode(pairs));
    let body: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    match body.get("refresh_token").and_then(|token| token.as_str()) {
        Some(token) => Ok(token.to_owned()),
        None => Err(answer.body),
    }
}

/// What people allowed on SQLite goes on in PostgreSQL: the same refresh token, the same account.
#[test]
fn a_hub_is_moved_without_losing_a_grant() {
    let port = free_port();
    let folder = folder(port);
    folder
        .run_with_input(
            &["user", "add", "ada", "--password-stdin", "--admin"],
            PASSWORD,
        )
        .ok();
    let database = database();
    let hub = Serving::start(&folder, port, port);
    let (client_id, first) = connect(&hub);
    // Somebody has the file open.
    let refused = folder.run(&["migrate", "--to", database.url()]).fails();
    assert!(refused.contains("stop the hub"), "{refused}");
    drop(hub);

    folder.write("url", database.url());
    let moved = folder.run(&["migrate", "--to-file", "url"]).ok();
    assert!(
        moved.contains("rows are there, read back and compared"),
        "{moved}"
    );
    for line in ["grants", "families", "users", "audit", "keys"] {
        assert!(moved.contains(line), "{moved}");
    }
    // It is not empty any more.
    let refused = folder.run(&["migrate", "--to", database.url()]).fails();
    assert!(refused.contains("not empty"), "{refused}");

    let configuration = std::fs::read_to_string(folder.path("vestibule.toml")).unwrap();
    let configuration = format!("database.url_file = \"url\"\n{configuration}");
    folder.write("vestibule.toml", &configuration);
    // Nothing of the file is used from here on.
    std::fs::remove_file(folder.path("vestibule.db")).unwrap();
    let second_port = free_port();
    let hub = Serving::start(&folder, port, port);
    let node = Serving::start(&folder, port, second_port);
    let second = refresh(&hub, &client_id, &first).unwrap();
    let third = refresh(&node, &client_id, &second).unwrap();
    assert_eq!(refresh(&hub, &client_id, &second).unwrap(), third);
    // Numbers and people go on where they were.
    connect(&node);
    let users = folder.run(&["user", "list"]).ok();
    assert!(users.contains("ada"), "{users}");
    assert!(!folder.path("vestibule.db").exists());
}

/// Every table, with something in each: the file of an older release that its tests filled.
#[test]
fn every_table_of_a_filled_database_is_moved() {
    let folder = folder(free_port());
    let filled = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../store-sqlite/tests/data/schema-2.db"
    );
    std::fs::copy(filled, folder.path("vestibule.db")).unwrap();
    let database = database();
    let moved = folder.run(&["migrate", "--to", database.url()]).ok();
    let tables: Vec<&str> = moved
        .lines()
        .filter(|line| line.starts_with("  "))
        .collect();
    assert!(tables.len() > 20, "{moved}");
    let empty = tables.iter().filter(|line| line.ends_with(" 0 rows"));
    assert_eq!(empty.count(), 0, "{moved}");
}

/// A second try after a failed one finds an empty database, not half of a hub.
#[test]
fn a_move_that_fails_leaves_nothing() {
    let folder = folder(free_port());
    folder.run(&["user", "list"]).ok();
    let database = database();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Nothing can be kept in this one.
    let broken = "ALTER TABLE heads ADD CONSTRAINT none CHECK (seq < 0) NOT VALID";
    runtime.block_on(database.run(broken));
    folder.run(&["migrate", "--to", database.url()]).fails();
    runtime.block_on(database.run("ALTER TABLE heads DROP CONSTRAINT none"));
    folder.run(&["migrate", "--to", database.url()]).ok();
}
