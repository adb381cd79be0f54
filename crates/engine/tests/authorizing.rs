//! `/authorize`: what is shown, what is returned and where, and what a person is asked.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]

mod support;

use std::sync::atomic::Ordering;

use serde_json::json;
use support::{visit::*, *};
use vestibule_engine::{Badge, ClientHost, FailureStatus, SettingsChange, Step};
use vestibule_protocol::{
    audit::Event,
    ids::GrantId,
    redirect_uri::RedirectKind,
    trust::{CimdMode, Standing},
};
use vestibule_store::clients::{ClientLookup, StoredClient};

/// A document client of the shipped catalogue, with a pinned copy, and where its codes go.
const CLAUDE: &str = "https://claude.ai/oauth/mcp-oauth-client-metadata";
const CLAUDE_CALLBACK: &str = "https://claude.ai/api/mcp/auth_callback";

/// RU-09, RU-03, RU-08, AC-02, A1, A2, A4, A16, OIDC-17, MCP-AS-08, MCP-AS-09: as long as client and
/// redirect URI are not both certain, nothing leads anywhere but to our own page.
#[tokio::test]
async fn before_client_and_redirect_are_certain_everything_is_shown() {
    let hub = Hub::start().await;
    let mut two = public_client();
    two["redirect_uris"] = json!([CALLBACK, "https://agent.example/two"]);
    let one = hub.register(&public_client()).await;
    let two = hub.register(&two).await;
    let (one, two) = (one.client_id(), two.client_id());
    #[rustfmt::skip]
    let rows: [(&str, Params<'_>); 11] = [
        ("",               &[]),
        ("nobody",         &[]),
        ("https://a.example/x#y", &[]),
        ("<script>",       &[]),
        (one, &[("redirect_uri", "https://evil.example/cb"), ("response_type", "nonsense")]),
        (one, &[("redirect_uri", "https://agent.example/callback/")]),
        (one, &[("redirect_uri", "https://AGENT.example/callback")]),
        (one, &[("redirect_uri", "https://agent.example:443/callback")]),
        (two, &[("redirect_uri", "")]),
        (one, &[("response_mode", "form_post")]),
        (one, &[("request_uri", "https://169.254.169.254/")]),
    ];
    for signed_in in [false, true] {
        for (id, more) in rows {
            let mut visit = Visit::new(&hub);
            if signed_in {
                visit = Visit::signed_in(&hub, "ada").await;
            }
            let mut more = more.to_vec();
            if id.is_empty() {
                more.push(("client_id", ""));
            }
            let page = shown(visit.ask(id, &more).await);
            assert_eq!(page.status, FailureStatus::BadRequest, "{id} {more:?}");
            assert!(!page.explanation.contains('<'), "{}", page.explanation);
            assert!(page.reference.len() >= 10);
        }
    }
    // GEN-03: twice is an error, even with the same value.
    let mut list = request(one, &[]);
    list.push(("state".to_owned(), "st".to_owned()));
    let visit = Visit::new(&hub);
    let reply = hub.engine.authorize(&list, &visit.browser).await;
    shown(reply.step);
    // RU-08: the only one may be left out.
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(one, &[("redirect_uri", "")]).await);
}

/// One mistake per row, and the error that belongs to the client.
#[rustfmt::skip]
const MISTAKES: [(&str, &str, &str); 12] = [
    ("response_type",         "",                           "invalid_request"),
    ("response_type",         "token",                      "unsupported_response_type"),
    ("response_type",         "code token",                 "unsupported_response_type"),
    ("code_challenge",        "",                           "invalid_request"),
    ("code_challenge",        "short",                      "invalid_request"),
    ("code_challenge_method", "plain",                      "invalid_request"),
    ("code_challenge_method", "",                           "invalid_request"),
    ("scope",                 "admin root",                 "invalid_scope"),
    ("resource",              "https://other.example/mcp",  "invalid_target"),
    ("resource",              "not a uri",                  "invalid_target"),
    ("prompt",                "none login",                 "invalid_request"),
    ("max_age",               "soon",                       "invalid_request"),
];

/// RU-13, A3, AC-01, A6, PKCE-01, PKCE-02, MCP-AS-10, MCP-AS-31, QUIRK-36, GEN-20: an error of a client
/// that nobody vouches for is offered to the person first; `state` and `iss` are in it.
#[tokio::test]
async fn errors_of_strangers_are_offered_to_the_person() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    for signed_in in [false, true] {
        for (name, value, error) in MISTAKES {
            let mut visit = Visit::new(&hub);
            if signed_in {
                visit = Visit::signed_in(&hub, "ada").await;
            }
            let page = leave(visit.ask(registered.client_id(), &[(name, value)]).await);
            assert_eq!(
                answer(&page.to, "error").as_deref(),
                Some(error),
                "{name}={value}"
            );
            assert_eq!(answer(&page.to, "state").as_deref(), Some("st"));
            assert_eq!(answer(&page.to, "iss").as_deref(), Some(ISSUER));
            assert!(answer(&page.to, "code").is_none());
            assert_eq!(page.host, "agent.example");
        }
    }
}

/// RU-13, AC-01, MCP-AS-31: where somebody is signed in and the client is trusted, or was approved by
/// this person before, the error goes straight back.
#[tokio::test]
async fn errors_of_trusted_clients_go_back() {
    let hub = Hub::start().await;
    hub.add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for (name, value, error) in MISTAKES {
        let location = redirect(visit.ask("trusted", &[(name, value)]).await);
        assert_eq!(
            answer(&location, "error").as_deref(),
            Some(error),
            "{name}={value}"
        );
        assert_eq!(answer(&location, "state").as_deref(), Some("st"));
        assert_eq!(answer(&location, "iss").as_deref(), Some(ISSUER));
    }
    let step = Visit::new(&hub).ask("trusted", &[("scope", "admin")]).await;
    assert_eq!(word(&step), "leave invalid_scope");

    let registered = hub.register(&public_client()).await;
    let id = registered.client_id();
    let wrong = [("scope", "admin")];
    assert_eq!(word(&visit.ask(id, &wrong).await), "leave invalid_scope");
    let page = consent(visit.ask(id, &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    assert_eq!(word(&visit.ask(id, &wrong).await), "redirect invalid_scope");
    let silent = [("prompt", "none")];
    assert_eq!(
        word(&visit.ask(id, &silent).await),
        "redirect consent_required"
    );
    // Somebody else's approval is not this person's.
    let mut other = Visit::signed_in(&hub, "bea").await;
    assert_eq!(word(&other.ask(id, &wrong).await), "leave invalid_scope");
}

/// RU-13, A3: the same rule for an error that is met only when a ticket is taken up again: after the
/// password, right or wrong, and at the decision.
#[tokio::test]
async fn errors_met_later_are_offered_or_returned_like_those_met_at_first() {
    // What the first node still protects, the second does not know any more.
    let hub = Hub::builder().second_resource().start().await;
    let later = hub.second_node().await;
    hub.add_user("ada").await;
    hub.add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    let stranger = hub.register(&public_client()).await;
    let approved = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(approved.client_id(), &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    let (offered, returned) = ("leave invalid_target", "redirect invalid_target");
    #[rustfmt::skip]
    let rows = [
        // client                right     wrong    decision
        (stranger.client_id(), offered,  offered, offered),
        (approved.client_id(), returned, offered, returned),
        ("trusted",            returned, offered, returned),
    ];
    let gone = [("resource", FILES)];
    for (id, right, wrong, decided) in rows {
        for (password, expected) in [(PASSWORD, right), ("wrong", wrong)] {
            let mut visit = Visit::new(&hub);
            let page = sign_in(visit.ask(id, &gone).await);
            visit.hub = &later;
            let step = visit.sign_in(&page, "ada", password).await;
            assert_eq!(word(&step), expected, "{id} {password}");
        }
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let page = consent(visit.ask(id, &gone).await);
        visit.hub = &later;
        let step = visit.allow(&page, &["mcp:read"]).await;
        assert_eq!(word(&step), decided, "{id}");
    }
}

/// OIDC-06, OIDC-07, QUIRK-63, A21: what `prompt` and `max_age` ask for, after a "yes" that may be
/// remembered.
#[tokio::test]
async fn prompt_and_max_age() {
    let hub = Hub::start().await;
    hub.add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let silent = [("prompt", "none")];
    let first = visit.ask("trusted", &silent).await;
    assert_eq!(word(&first), "redirect consent_required");
    let page = consent(visit.ask("trusted", &[]).await);
    redirect(visit.allow(&page, &["mcp:read", "mcp:write"]).await);
    hub.advance(100).await;
    #[rustfmt::skip]
    let rows: [(Params<'_>, &str, &str); 13] = [
        // parameters                                   signed in                    not signed in
        (&[],                                           "code",                      "sign-in"),
        (&[("prompt", "none")],                         "code",                      "redirect login_required"),
        (&[("prompt", "login")],                        "sign-in",                   "sign-in"),
        (&[("prompt", "select_account")],               "sign-in",                   "sign-in"),
        (&[("prompt", "consent")],                      "consent",                   "sign-in"),
        (&[("prompt", "unheard_of")],                   "code",                      "sign-in"),
        (&[("max_age", "0")],                           "sign-in",                   "sign-in"),
        (&[("max_age", "100")],                         "sign-in",                   "sign-in"),
        (&[("max_age", "101")],                         "code",                      "sign-in"),
        (&[("max_age", "50"), ("prompt", "none")],      "redirect login_required",   "redirect login_required"),
        (&[("scope", "mcp:read")],                      "code",                      "sign-in"),
        (&[("scope", "mcp:read mcp:delete")],           "consent",                   "sign-in"),
        (&[("scope", "mcp:delete"), ("prompt", "none")], "redirect consent_required", "redirect login_required"),
    ];
    for (more, signed_in, not) in rows {
        assert_eq!(
            word(&visit.ask("trusted", more).await),
            signed_in,
            "{more:?}"
        );
        let step = Visit::new(&hub).ask("trusted", more).await;
        assert_eq!(word(&step), not, "{more:?}");
    }
    // Nobody vouches for a stranger, so even `login_required` is offered first.
    let registered = hub.register(&public_client()).await;
    let step = Visit::new(&hub).ask(registered.client_id(), &silent).await;
    assert_eq!(word(&step), "leave login_required");
}

/// An ID Token for a person who said yes to a client.
async fn id_token(hub: &Hub, client_id: &str, person: &str) -> String {
    let mut visit = Visit::signed_in(hub, person).await;
    let scope = [("scope", "openid mcp:read"), ("prompt", "consent")];
    let page = consent(visit.ask(client_id, &scope).await);
    let location = redirect(visit.allow(&page, &["openid", "mcp:read"]).await);
    let given = Given {
        code: answer(&location, "code").unwrap(),
        client_id: client_id.to_owned(),
        grant: GrantId::new("g_unknown"),
    };
    hub.redeem(&given).await.unwrap().id_token.unwrap()
}

/// OIDC-08: `id_token_hint` says who must be signed in, by an ID Token that this hub once signed for
/// this client; whatever else it is names nobody, and nobody signed in is enough then.
#[tokio::test]
async fn an_id_token_hint_says_who_must_be_signed_in() {
    let hub = Hub::start().await;
    hub.add_user("ada").await;
    hub.add_user("bea").await;
    hub.add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    hub.add_standing("other", Standing::Verified, CALLBACK)
        .await;
    let ada = id_token(&hub, "trusted", "ada").await;
    let bea = id_token(&hub, "trusted", "bea").await;
    let for_another = id_token(&hub, "other", "ada").await;
    let elsewhere = Hub::start().await;
    elsewhere
        .add_standing("trusted", Standing::Verified, CALLBACK)
        .await;
    let of_another_hub = id_token(&elsewhere, "trusted", "ada").await;
    let (_, _, tokens) = hub.public_session().await;
    let tampered = ada.replacen('.', ".e", 1);
    // Long after all of them have run out.
    hub.advance(30 * 24 * 3600).await;
    let scope = ("scope", "openid mcp:read");
    #[rustfmt::skip]
    let rows = [
        // hint                    shows as ada signed in, and with prompt=none
        ("",                       "code",    "code"),
        (&ada,                     "code",    "code"),
        (&bea,                     "sign-in", "redirect login_required"),
        (&for_another,             "sign-in", "redirect login_required"),
        (&of_another_hub,          "sign-in", "redirect login_required"),
        (&tokens.access_token,     "sign-in", "redirect login_required"),
        (&tampered,                "sign-in", "redirect login_required"),
        ("ada",                    "sign-in", "redirect login_required"),
    ];
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for (hint, shown, silent) in rows {
        let hinted = [scope, ("id_token_hint", hint)];
        assert_eq!(word(&visit.ask("trusted", &hinted).await), shown, "{hint}");
        let hinted = [scope, ("id_token_hint", hint), ("prompt", "none")];
        assert_eq!(word(&visit.ask("trusted", &hinted).await), silent, "{hint}");
        let list = request("trusted", &hinted);
        let pushed = hub.engine.push(&list, None, &source()).await.unwrap();
        let uri = [("request_uri", pushed.request_uri.as_str())];
        assert_eq!(word(&visit.ask("trusted", &uri).await), silent, "{hint}");
    }
    // Who signs in now is who was meant, or the client hears that it is not.
    #[rustfmt::skip]
    let rows = [
        (ada.as_str(), "ada", "code"),
        (&ada,         "bea", "redirect login_required"),
        ("ada",        "bea", "code"),
    ];
    for (hint, person, expected) in rows {
        let mut visit = Visit::new(&hub);
        let hinted = [scope, ("id_token_hint", hint)];
        let page = sign_in(visit.ask("trusted", &hinted).await);
        assert_eq!(page.username, "", "a hint fills in no name");
        let step = visit.sign_in(&page, person, PASSWORD).await;
        assert_eq!(word(&step), expected, "{hint} {person}");
    }
}

/// AC-11, A7, R4, R5: a "yes" counts again only where the redirect proves who asks and somebody vouches.
#[tokio::test]
async fn consent_is_remembered_only_where_the_redirect_proves_something() {
    let hub = Hub::start().await;
    let rows = [
        ("verified", Standing::Verified, CALLBACK, "code"),
        ("known", Standing::Known, CALLBACK, "code"),
        ("made", Standing::FirstParty, CALLBACK, "code"),
        ("stranger", Standing::Unverified, CALLBACK, "consent"),
        (
            "loopback",
            Standing::Verified,
            "http://127.0.0.1:7777/cb",
            "consent",
        ),
        (
            "localhost",
            Standing::FirstParty,
            "http://localhost/cb",
            "consent",
        ),
        ("app", Standing::Verified, "com.example.app:/cb", "consent"),
    ];
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for (id, standing, uri, second) in rows {
        hub.add_standing(id, standing, uri).await;
        let asked = [("redirect_uri", uri)];
        let page = consent(visit.ask(id, &asked).await);
        redirect(visit.allow(&page, &["mcp:read", "mcp:write"]).await);
        assert_eq!(word(&visit.ask(id, &asked).await), second, "{id}");
    }
}

fn asked_for(step: Step) -> String {
    let page = consent(step);
    let groups = [
        page.scopes.read,
        page.scopes.write,
        page.scopes.destructive,
        page.identity_scopes,
    ];
    let rows = groups.into_iter().flatten();
    rows.map(|row| row.scope).collect::<Vec<_>>().join(" ")
}

/// QUIRK-60, QUIRK-61, QUIRK-62, QUIRK-64, OIDC-01, MCP-AS-16: unknown scopes are ignored, none means
/// the resource's default, and what was registered is a default, never a ceiling.
#[tokio::test]
async fn scopes_are_read_with_tolerance() {
    let hub = Hub::start().await;
    let plain = hub.register(&public_client()).await;
    let with = |scope: &str| {
        let mut body = public_client();
        body["scope"] = json!(scope);
        body
    };
    let writes = hub.register(&with("mcp:write")).await;
    let people = hub.register(&with("openid email profile")).await;
    let (plain, writes, people) = (plain.client_id(), writes.client_id(), people.client_id());
    #[rustfmt::skip]
    let rows = [
        (plain,  "",                             "mcp:read"),
        (plain,  "mcp:read admin",               "mcp:read"),
        (plain,  "mcp:delete mcp:read mcp:read", "mcp:read mcp:delete"),
        (plain,  " offline_access",              "mcp:read offline_access"),
        (plain,  "openid",                       "openid"),
        (plain,  "openid mcp:write",             "mcp:write openid"),
        (writes, "",                             "mcp:write"),
        (writes, "mcp:read mcp:delete",          "mcp:read mcp:delete"),
        (people, "",                             "mcp:read email openid profile"),
    ];
    let mut visit = Visit::signed_in(&hub, "ada").await;
    for (id, scope, expected) in rows {
        let mut found: Vec<_> = asked_for(visit.ask(id, &[("scope", scope)]).await)
            .split(' ')
            .map(str::to_owned)
            .collect();
        let mut expected: Vec<_> = expected.split(' ').collect();
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{scope}");
    }
}

/// RI-02, RI-04, RI-09, QUIRK-25, QUIRK-26, QUIRK-38, MCP-AS-17, MCP-AS-18: one resource, named in any
/// equivalent form, or the only one there is.
#[tokio::test]
async fn resources_are_found_in_equivalent_forms() {
    let one = Hub::start().await;
    let two = Hub::builder().second_resource().start().await;
    #[rustfmt::skip]
    let rows = [
        (&one, "",                           "consent"),
        (&two, "",                           "leave invalid_target"),
        (&two, "https://notes.example/mcp",  "consent"),
        (&two, "https://notes.example/mcp/", "consent"),
        (&two, "HTTPS://Notes.Example/mcp",  "consent"),
        (&two, "https://notes.example:443/mcp", "consent"),
        (&two, "https://notes.example/MCP",  "leave invalid_target"),
        (&two, "https://notes.example/",     "leave invalid_target"),
        (&two, "https://notes.example/mcp#x", "leave invalid_target"),
    ];
    for (hub, resource, expected) in rows {
        let registered = hub.register(&public_client()).await;
        let mut visit = Visit::signed_in(hub, "ada").await;
        let step = visit
            .ask(registered.client_id(), &[("resource", resource)])
            .await;
        assert_eq!(word(&step), expected, "{resource}");
    }
    let registered = two.register(&public_client()).await;
    let mut list = request(registered.client_id(), &[]);
    list.push(("resource".to_owned(), FILES.to_owned()));
    let visit = Visit::signed_in(&two, "ada").await;
    let reply = two.engine.authorize(&list, &visit.browser).await;
    assert_eq!(word(&reply.step), "leave invalid_target");
}

/// CIMD-74, QUIRK-07, F17, R22: `off`, `listed` and `open` decide about first appearances before
/// anything is fetched; whoever has a row goes on.
#[tokio::test]
async fn the_door_for_documents_has_three_modes() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    #[rustfmt::skip]
    let rows = [
        (CimdMode::Off,    "",       "show"),
        (CimdMode::Listed, "https://agent.example/other.json", "show"),
        (CimdMode::Listed, DOCUMENT, "consent"),
        (CimdMode::Open,   "",       "consent"),
    ];
    for (mode, listed, expected) in rows {
        hub.change(SettingsChange::Cimd(mode)).await;
        hub.change(SettingsChange::CimdListed(vec![listed.to_owned()]))
            .await;
        let before = hub.documents.document_asks.load(Ordering::SeqCst);
        let step = visit.ask(DOCUMENT, &[]).await;
        assert_eq!(word(&step), expected, "{mode:?} {listed}");
        let after = hub.documents.document_asks.load(Ordering::SeqCst);
        assert_eq!(after > before, expected == "consent", "{mode:?} {listed}");
    }
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    hub.change(SettingsChange::Cimd(CimdMode::Off)).await;
    consent(visit.ask(DOCUMENT, &[]).await);
    let page = shown(visit.ask("https://agent.example/other.json", &[]).await);
    assert_eq!(page.status, FailureStatus::Forbidden);
    assert!(page.explanation.contains("`cimd`"), "{}", page.explanation);

    hub.change(SettingsChange::Cimd(CimdMode::Open)).await;
    let own = "https://hub.example/client.json";
    let before = hub.documents.document_asks.load(Ordering::SeqCst);
    shown(visit.ask(own, &[]).await);
    assert_eq!(hub.documents.document_asks.load(Ordering::SeqCst), before);
}

/// CIMD-73, R17: what an admin stored wins over any document, though its id is a URL; and a document
/// that is withdrawn or invalid is the last word for who came by it.
#[tokio::test]
async fn stored_clients_win_and_withdrawn_documents_lose() {
    let hub = Hub::start().await;
    hub.serve_document(&json!({"client_name": "Impostor"}));
    let made = hub
        .add_standing(DOCUMENT, Standing::Verified, CALLBACK)
        .await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.claims_name.as_deref(), Some("Agent"));
    assert_eq!(hub.documents.document_asks.load(Ordering::SeqCst), 0);
    hub.store
        .remove_client(&made.key, hub.now(), false, hub.audit())
        .await
        .unwrap();
    // CIMD-45, CIMD-46: gone is shown, not redirected, and not fetched either.
    shown(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(hub.documents.document_asks.load(Ordering::SeqCst), 0);

    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    hub.documents.withdraw(DOCUMENT);
    let page = shown(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.status, FailureStatus::BadRequest);
    assert!(matches!(
        hub.lookup(DOCUMENT).await,
        ClientLookup::Active(_)
    ));
}

/// A silent host is stood in for by what was stored, for seven days from when that was last fetched:
/// not from the first yes, and not longer because somebody says yes meanwhile.
#[tokio::test]
async fn a_silent_host_is_stood_in_for_by_a_young_snapshot_only() {
    const DAY: u64 = 86_400;
    let hub = Hub::start().await;
    let allow = async || {
        let mut visit = Visit::signed_in(&hub, "ada").await;
        let page = consent(visit.ask(DOCUMENT, &[]).await);
        redirect(visit.allow(&page, &["mcp:read"]).await);
    };
    hub.serve_document(&json!({}));
    allow().await;
    // The row is five days old, and its snapshot new.
    hub.advance(5 * DAY).await;
    hub.serve_document(&json!({}));
    allow().await;
    hub.documents.silence(DOCUMENT);
    hub.advance(7 * DAY - 60).await;
    allow().await;
    hub.advance(60).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(DOCUMENT, &[]).await);
    hub.advance(1).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = shown(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(page.status, FailureStatus::BadGateway);
    // It answers again, and so does the hub.
    hub.serve_document(&json!({}));
    allow().await;
}

/// QUIRK-14, CIMD-52, design 4.3: the catalogue's copy of a document stands in for a host that does
/// not answer, at first sight and for good, and says so; it is never more than the catalogue knows.
#[tokio::test]
async fn a_catalogued_document_stands_in_for_a_silent_host() {
    let hub = Hub::start().await;
    hub.documents.silence(CLAUDE);
    hub.documents.silence(DOCUMENT);
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let to = [("redirect_uri", CLAUDE_CALLBACK)];
    let said = "The host of its document does not answer, so a copy from the catalogue of this \
                hub is used.";
    let page = consent(visit.ask(CLAUDE, &to).await);
    assert_eq!(page.badge, Badge::Known);
    assert!(
        page.reasons.contains(&said.to_owned()),
        "{:?}",
        page.reasons
    );
    redirect(visit.allow(&page, &["mcp:read"]).await);
    let given = &hub.trail(Event::GrantGiven).await[0];
    assert!(given.detail.contains("pinned-document"), "{}", given.detail);
    // Ids that the catalogue does not know, and places that the copy does not name, stay outside.
    let rows = [
        (DOCUMENT, CALLBACK, FailureStatus::BadGateway),
        (CLAUDE, CALLBACK, FailureStatus::BadRequest),
        (CLAUDE, "http://127.0.0.1/cb", FailureStatus::BadRequest),
    ];
    for (id, uri, status) in rows {
        let page = shown(visit.ask(id, &[("redirect_uri", uri)]).await);
        assert_eq!(page.status, status, "{id} {uri}");
    }
    // Years later it stands in still.
    hub.advance(400 * 86_400).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    consent(visit.ask(CLAUDE, &to).await);
    assert!(hub.trail(Event::DocumentChanged).await.is_empty());
}

/// QUIRK-14: what a host answers counts, and not the catalogue's copy: another document, none, or
/// that the door is closed.
#[tokio::test]
async fn a_catalogued_document_never_stands_in_for_an_answer() {
    let elsewhere = json!({"client_name": "Claude", "redirect_uris": [CALLBACK]});
    let cases = [
        ("silent", CLAUDE_CALLBACK, "consent"),
        ("no such document", CLAUDE_CALLBACK, "show"),
        ("another document", CLAUDE_CALLBACK, "show"),
        ("another document", CALLBACK, "consent"),
        ("silent, and not listed", CLAUDE_CALLBACK, "show"),
    ];
    for stored in [false, true] {
        for (host, uri, expected) in cases {
            // Who is here already goes on when a door closes.
            if stored && host == "silent, and not listed" {
                continue;
            }
            let hub = Hub::start().await;
            let mut visit = Visit::signed_in(&hub, "ada").await;
            hub.documents.silence(CLAUDE);
            if stored {
                let step = visit.ask(CLAUDE, &[("redirect_uri", CLAUDE_CALLBACK)]);
                let page = consent(step.await);
                redirect(visit.allow(&page, &["mcp:read"]).await);
            }
            match host {
                "no such document" => hub.documents.speak(CLAUDE),
                "another document" => hub.serve_document_at(CLAUDE, &elsewhere),
                "silent, and not listed" => {
                    hub.change(SettingsChange::Cimd(CimdMode::Listed)).await;
                }
                _ => {}
            }
            let mut visit = Visit::signed_in(&hub, "bea").await;
            let step = visit.ask(CLAUDE, &[("redirect_uri", uri)]).await;
            assert_eq!(word(&step), expected, "{host} {uri} {stored}");
            if let Step::Consent(page) = step {
                let copied = page.reasons.iter().any(|reason| reason.contains("a copy"));
                assert_eq!(copied, host == "silent", "{host} {uri}");
            }
        }
    }
}

/// RFC 7592 §2.1: a registration was issued when it was issued, before its first yes and after.
#[tokio::test]
async fn a_registration_keeps_its_date_when_it_gets_a_row() {
    let hub = Hub::start().await;
    let issued_at = hub.now();
    let registered = hub.register(&public_client()).await;
    hub.advance(3_600).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(registered.client_id(), &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    let ClientLookup::Active(row) = hub.lookup(registered.client_id()).await else {
        unreachable!("it has a row")
    };
    assert_eq!(row.issued_at, issued_at);
    assert_eq!(row.created_at, hub.now());
}

/// AC-12, CIMD-80, MCP-AS-27, MCP-AS-28, R4, R8, DCR-23, GEN-21: host first, the name as its own claim, the
/// redirect host with the actual port, the loopback notice, the verdict and its reasons.
#[tokio::test]
async fn the_consent_page_says_who_asks_and_where_it_leads() {
    let hub = Hub::start().await;
    let mut visit = Visit::signed_in(&hub, "ada").await;

    let mut body = public_client();
    body["redirect_uris"] = json!(["http://localhost:3118/callback"]);
    body["client_name"] = json!("Claude\u{202e} Code\u{200b}");
    let registered = hub.register(&body).await;
    let actual = [("redirect_uri", "http://localhost:51004/callback")];
    let page = consent(visit.ask(registered.client_id(), &actual).await);
    assert_eq!(page.client_host, ClientHost::SelfRegistered);
    assert_eq!(page.claims_name.as_deref(), Some("Claude Code"));
    assert_eq!(page.badge, Badge::Unverified);
    assert!(
        page.reasons[0].contains("registered itself"),
        "{:?}",
        page.reasons
    );
    assert_eq!(page.redirect_host, "localhost:51004");
    assert_eq!(page.redirect_kind, RedirectKind::Loopback);
    assert!(page.loopback_warning);
    assert_eq!(page.registered_at.unwrap().seconds(), START);
    assert_eq!(page.form_action, "http://localhost:51004");
    assert_eq!(
        (page.account.as_str(), page.resource_uri.as_str()),
        ("ada", NOTES)
    );
    assert_eq!(page.access_seconds, 600);
    assert_eq!(page.stays_connected_seconds, Some(7 * 24 * 3600));
    // QUIRK-21, QUIRK-22: any port, but never another name of the same machine.
    let other = [("redirect_uri", "http://127.0.0.1:51004/callback")];
    shown(visit.ask(registered.client_id(), &other).await);

    hub.serve_document(&json!({"redirect_uris": [CALLBACK, "http://127.0.0.1/cb"]}));
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    assert_eq!(
        page.client_host,
        ClientHost::Host("agent.example".to_owned())
    );
    assert!(page.reasons[0].contains("Nobody has checked"));
    assert!(!page.loopback_warning);
    assert_eq!(page.form_action, "https://agent.example");

    hub.add_standing("made", Standing::FirstParty, CALLBACK)
        .await;
    let asked = [("scope", "mcp:read mcp:delete")];
    let page = consent(visit.ask("made", &asked).await);
    assert_eq!(
        (page.client_host, page.badge),
        (ClientHost::FirstParty, Badge::FirstParty)
    );
    assert!(page.scopes.destructive[0].ticked);
    // Destructive scopes of others do not come ticked.
    let page = consent(visit.ask(DOCUMENT, &asked).await);
    assert!(page.scopes.read[0].ticked && !page.scopes.destructive[0].ticked);
}

/// AC-09: a client that registered for other grants gets no code.
#[tokio::test]
async fn a_client_without_the_code_grant_is_unauthorized() {
    let hub = Hub::start().await;
    let json = public_client();
    let mut metadata = metadata(&json);
    metadata.grant_types.authorization_code = false;
    let client = StoredClient {
        metadata,
        standing: Standing::Verified,
        ..stored_client(&hub, "other", &json)
    };
    hub.add_stored(client).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let step = visit.ask("other", &[]).await;
    assert_eq!(word(&step), "redirect unauthorized_client");
}

/// Design 10, P11: a node that does not know today's settings decides nothing, and says try again.
#[tokio::test]
async fn a_node_with_an_old_snapshot_does_not_authorize() {
    let hub = Hub::start().await;
    let registered = hub.register(&public_client()).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    hub.stall(6);
    let page = shown(visit.ask(registered.client_id(), &[]).await);
    assert!(matches!(page.status, FailureStatus::Unavailable { .. }));
}

/// R4, A7: a page that passes codes on to any program that asked is worth what such a program is: a
/// yes to it is never remembered, whoever vouches for the client, and whatever its query says.
#[tokio::test]
async fn a_yes_to_a_relay_is_never_remembered() {
    let hub = Hub::start().await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let rows = [
        (CALLBACK, "code"),
        ("https://vscode.dev/redirect", "consent"),
        ("https://vscode.dev/redirect?url=x", "consent"),
        ("https://insiders.vscode.dev/redirect", "consent"),
        // Not the page, only near it.
        ("https://vscode.dev/redirected", "code"),
        ("https://vscode.dev.agent.example/redirect", "code"),
    ];
    for (n, (uri, second)) in rows.into_iter().enumerate() {
        for standing in [Standing::Verified, Standing::Known] {
            let id = format!("client-{n}-{}", standing.as_str());
            hub.add_standing(&id, standing, uri).await;
            let page = consent(visit.ask(&id, &[("redirect_uri", uri)]).await);
            redirect(visit.allow(&page, &offered(&page)).await);
            let step = visit.ask(&id, &[("redirect_uri", uri)]).await;
            assert_eq!(word(&step), second, "{uri} {}", standing.as_str());
        }
    }
}

/// A document may name anybody's redirect: the page says where the code goes beside who asks, and
/// policies see that it is another site.
#[tokio::test]
async fn a_redirect_on_another_site_than_the_document_is_seen() {
    const ELSEWHERE: &str = r#"@id("house") @outcome("read_only") @say("It sends codes elsewhere")
permit(principal, action == Action::"flag", resource)
when { context.client.redirects.contains(Redirect::"https_other_site") };"#;
    let hub = Hub::start().await;
    hub.add_policies(ELSEWHERE).await;
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let rows = [
        ("https://agent.example/callback", "agent.example", false),
        ("https://app.agent.example/cb", "app.agent.example", false),
        ("https://agent.example.org/cb", "agent.example.org", true),
        ("https://elsewhere.example/cb", "elsewhere.example", true),
        ("https://notagent.example/cb", "notagent.example", true),
    ];
    for (uri, host, elsewhere) in rows {
        hub.serve_document(&json!({"redirect_uris": [uri]}));
        let page = consent(visit.ask(DOCUMENT, &[("redirect_uri", uri)]).await);
        let asks = ClientHost::Host("agent.example".to_owned());
        assert_eq!(
            (page.client_host, page.redirect_host.as_str()),
            (asks, host)
        );
        let said = "It sends codes elsewhere.".to_owned();
        let told = page.reasons.iter().chain(&page.warnings);
        assert_eq!(
            told.into_iter().any(|text| *text == said),
            elsewhere,
            "{uri}"
        );
        assert_eq!(page.scopes.write.is_empty(), elsewhere, "{uri}");
    }
}

/// `appear` is asked each time until somebody said yes, though a first sight is counted once: a
/// policy that comes later holds for who is not here yet, and for nobody who is.
#[tokio::test]
async fn an_appearance_is_judged_each_time_and_counted_once() {
    const NOBODY_NEW: &str = r#"@id("house")
forbid(principal, action == Action::"appear", resource);"#;
    const HERE: &str = "https://agent.example/here.json";
    let hub = Hub::start().await;
    hub.serve_document(&json!({}));
    hub.serve_document_at(HERE, &json!({}));
    let mut visit = Visit::signed_in(&hub, "ada").await;
    let page = consent(visit.ask(HERE, &[]).await);
    redirect(visit.allow(&page, &["mcp:read"]).await);
    // As often as would be a flood of as many clients from one address.
    for _ in 0..60 {
        let page = consent(visit.ask(DOCUMENT, &[]).await);
        assert!(page.warnings.is_empty(), "{:?}", page.warnings);
    }
    for _ in 0..2 {
        hub.replace_policies(NOBODY_NEW).await;
        assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "show");
        assert_eq!(word(&visit.ask(HERE, &[]).await), "consent");
        hub.replace_policies("").await;
        assert_eq!(word(&visit.ask(DOCUMENT, &[]).await), "consent");
    }
    // And a yes cannot be given on a page that was open before.
    let page = consent(visit.ask(DOCUMENT, &[]).await);
    hub.replace_policies(NOBODY_NEW).await;
    assert_eq!(word(&visit.allow(&page, &["mcp:read"]).await), "show");
}
