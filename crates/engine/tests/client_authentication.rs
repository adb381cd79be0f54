//! Client authentication at the token endpoint: one method, the registered one, shown to be right.

mod support;

use std::sync::{Arc, atomic::Ordering};

use serde_json::{Value::Null, json};
use support::{visit::*, *};
use vestibule_engine::Shape;
use vestibule_jwt::{Algorithm, SigningKey};
use vestibule_protocol::{
    client_metadata::{AuthMethod, AuthMethods},
    ids::GrantId,
    trust::Door,
};
use vestibule_store::clients::StoredClient;

const SECRET: &str = "s3cret-of-the-client";
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A hub, a user and a client that registered `methods`, the first being the primary one.
struct Stage {
    hub: Hub,
    client: StoredClient,
    user: vestibule_protocol::ids::UserId,
}

impl Stage {
    async fn with(json: serde_json::Value, secret: Option<&str>) -> Self {
        Self::on(Hub::start().await, json, secret).await
    }

    async fn on(hub: Hub, json: serde_json::Value, secret: Option<&str>) -> Self {
        let client = hub.add_client("agent", &json, secret).await;
        let user = hub.add_quick_user("ada").await;
        Self { hub, client, user }
    }

    async fn given(&self) -> Given {
        self.hub
            .grant(&self.client, &self.user, &GrantSpec::default())
            .await
    }

    async fn try_with(&self, more: &[(&str, &str)], authorization: Option<&str>) -> Refused {
        let given = self.given().await;
        refusal(self.hub.redeem_with(&given, more, authorization).await)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with outcomes")]
fn unauthenticated(basic: bool) -> Refused {
    Some(("invalid_client".to_owned(), Shape::ClientAuth { basic }))
}

/// CA-01, CA-02, CA-04, CA-07, GEN-08, R13, T21: method shown × method registered.
#[tokio::test]
async fn only_the_registered_method_is_accepted() {
    let right = basic("agent", SECRET);
    let wrong = basic("agent", "wrong");
    let empty = basic("agent", "");
    let other = basic("other", SECRET);
    let post = [("client_secret", SECRET)];
    let wrong_post = [("client_secret", "wrong")];
    let empty_post = [("client_secret", "")];
    #[rustfmt::skip]
    let rows: &[(&str, Params<'_>, Option<&str>, Refused)] = &[
        ("none",                &[],         None,         None),
        ("none",                &empty_post, None,         None),
        ("none",                &post,       None,         unauthenticated(false)),
        ("none",                &[],         Some(&right), unauthenticated(true)),
        ("client_secret_post",  &post,       None,         None),
        ("client_secret_post",  &wrong_post, None,         unauthenticated(false)),
        ("client_secret_post",  &empty_post, None,         unauthenticated(false)),
        ("client_secret_post",  &[],         None,         unauthenticated(false)),
        ("client_secret_post",  &[],         Some(&right), unauthenticated(true)),
        ("client_secret_basic", &[],         Some(&right), None),
        ("client_secret_basic", &[],         Some(&wrong), unauthenticated(true)),
        ("client_secret_basic", &[],         Some(&empty), unauthenticated(true)),
        ("client_secret_basic", &[],         Some(&other), unauthenticated(true)),
        ("client_secret_basic", &[],         None,         unauthenticated(false)),
        ("client_secret_basic", &post,       None,         unauthenticated(false)),
    ];
    for (method, more, authorization, expected) in rows {
        let (json, secret) = match *method {
            "none" => (public_client(), None),
            method => (confidential_client(method), Some(SECRET)),
        };
        let stage = Stage::with(json, secret).await;
        let found = stage.try_with(more, *authorization).await;
        assert_eq!(found, *expected, "{method} {more:?} {authorization:?}");
    }
}

/// CA-03, T21: two credentials at once are a malformed request, even if both are right.
#[tokio::test]
async fn two_credentials_at_once_are_refused() {
    let stage = Stage::with(confidential_client("client_secret_basic"), Some(SECRET)).await;
    let header = basic("agent", SECRET);
    let more = [("client_secret", SECRET)];
    let (code, _) = stage.try_with(&more, Some(&header)).await.unwrap();
    assert_eq!(code, "invalid_request");
}

/// QUIRK-45, CA-02: the user name and secret may come form-encoded or not.
#[tokio::test]
async fn basic_credentials_may_be_form_encoded() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let stage = Stage::with(confidential_client("client_secret_basic"), Some("se_cr-et")).await;
    for pair in ["agent:se_cr-et", "%61gent:se%5Fcr%2Det"] {
        let header = format!("bAsIc {}", STANDARD.encode(pair));
        assert_eq!(stage.try_with(&[], Some(&header)).await, None, "{pair}");
    }
}

/// GEN-13: twenty wrong secrets slow the guesser down; the right client elsewhere is not touched.
#[tokio::test]
async fn guessing_is_slowed_down_for_the_guesser_only() {
    let hub = Hub::builder().limits().start().await;
    let stage = Stage::on(hub, confidential_client("client_secret_post"), Some(SECRET)).await;
    for _ in 0..20 {
        let found = stage.try_with(&[("client_secret", "guess")], None).await;
        assert_eq!(found, unauthenticated(false));
    }
    let (_, shape) = stage
        .try_with(&[("client_secret", SECRET)], None)
        .await
        .unwrap();
    assert!(
        matches!(shape, Shape::Throttled { retry_after } if retry_after >= 1),
        "{shape:?}"
    );

    let given = stage.given().await;
    let list = pairs(&[
        ("grant_type", "authorization_code"),
        ("client_id", "agent"),
        ("client_secret", SECRET),
        ("code", &given.code),
        ("code_verifier", VERIFIER),
    ]);
    let elsewhere = source_of("198.51.100.9");
    assert_eq!(
        outcome(&stage.hub.engine.token(&list, None, &elsewhere).await),
        "ok"
    );
    // Nobody is locked out for ever.
    stage.hub.advance(120).await;
    assert_eq!(
        stage.try_with(&[("client_secret", SECRET)], None).await,
        None
    );
}

/// A client's key pair and the assertions it signs.
struct Keys {
    key: SigningKey,
}

#[expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]
impl Keys {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            key: SigningKey::generate(algorithm).unwrap().0,
        }
    }

    fn jwks(&self) -> serde_json::Value {
        let set = vestibule_jwt::JwkSet::of(vec![self.key.public_jwk().clone()]);
        serde_json::from_slice(&set.to_json()).unwrap()
    }

    fn registration(&self) -> serde_json::Value {
        let mut json = public_client();
        json["token_endpoint_auth_method"] = "private_key_jwt".into();
        json["jwks"] = self.jwks();
        json
    }

    fn sign(&self, typ: Option<&str>, claims: &serde_json::Value) -> String {
        self.key
            .sign(typ, &serde_json::to_vec(claims).unwrap())
            .unwrap()
    }
}

fn good_claims(jti: &str) -> serde_json::Value {
    serde_json::json!({
        "iss": "agent", "sub": "agent", "aud": ISSUER, "jti": jti,
        "iat": START, "exp": START + 60,
    })
}

/// JCA-01, JCA-02, JCA-03, JCA-04, JCA-05, JCA-06, CIMD-62, CIMD-66, T10, T14, T15: what an
/// assertion must say, change by change.
#[tokio::test]
async fn an_assertion_is_for_us_from_the_client_and_fresh() {
    let keys = Keys::new(Algorithm::Es256);
    let stage = Stage::with(keys.registration(), None).await;
    let token_url = format!("{ISSUER}/token");
    let slash = format!("{ISSUER}/");
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good_claims("to be replaced");
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        claims
    };
    let client = Some("client-authentication+jwt");
    #[rustfmt::skip]
    let rows = [
        (client,                               good_claims(""),                           true),
        (Some("oauth-client-auth+jwt"),        good_claims(""),                           true),
        (Some("JWT"),                          good_claims(""),                           true),
        (None,                                 good_claims(""),                           true),
        (client,                               with("aud", json!([ISSUER])),              true),
        (Some("at+jwt"),                       good_claims(""),                           false),
        (Some("dpop+jwt"),                     good_claims(""),                           false),
        (Some("oauth-authz-req+jwt"),          good_claims(""),                           false),
        (Some("oauth-id-jag+jwt"),             good_claims(""),                           false),
        (Some("logout+jwt"),                   good_claims(""),                           false),
        (client,                               with("aud", json!(token_url)),             false),
        (client,                               with("aud", json!(slash)),                 false),
        (client,                               with("aud", json!([ISSUER, "https://other.example"])), false),
        (client,                               with("aud", json!([])),                    false),
        (client,                               with("aud", json!({})),                    false),
        (client,                               with("aud", Null),                         false),
        (client,                               with("iss", json!("other")),               false),
        (client,                               with("iss", Null),                         false),
        (client,                               with("sub", json!("other")),               false),
        (client,                               with("jti", Null),                         false),
        (client,                               with("jti", json!(7)),                     false),
        (client,                               with("exp", Null),                         false),
        (client,                               with("exp", json!("9999999999")),          false),
        (client,                               with("exp", json!(START - 60)),            false),
        (client,                               with("exp", json!(START + 3_600)),         false),
        (client,                               with("nbf", json!(START + 600)),           false),
        (client,                               with("nbf", json!("soon")),                false),
    ];
    for (number, (typ, mut body, good)) in rows.into_iter().enumerate() {
        if body.get("jti").is_some_and(serde_json::Value::is_string) {
            body["jti"] = format!("jti-{number}").into();
        }
        let assertion = keys.sign(typ, &body);
        let more = [
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        let expected = if good { None } else { unauthenticated(false) };
        assert_eq!(
            stage.try_with(&more, None).await,
            expected,
            "{typ:?} {body}"
        );
    }
    let assertion = keys.sign(client, &good_claims("wrong-type"));
    let more = [
        ("client_assertion_type", "jwt"),
        ("client_assertion", assertion.as_str()),
    ];
    let (code, _) = stage.try_with(&more, None).await.unwrap();
    assert_eq!(code, "invalid_client");
}

/// JCA-08, T12: the key and the algorithm are the registered ones.
#[tokio::test]
async fn an_assertion_is_signed_with_a_registered_key() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let keys = Keys::new(algorithm);
        let mut json = keys.registration();
        json["token_endpoint_auth_signing_alg"] = algorithm.as_str().into();
        let stage = Stage::with(json, None).await;
        let own = keys.sign(None, &good_claims("one"));
        let more = [
            ("client_assertion_type", TYPE),
            ("client_assertion", own.as_str()),
        ];
        assert_eq!(stage.try_with(&more, None).await, None, "{algorithm:?}");
        let foreign = Keys::new(algorithm).sign(None, &good_claims("two"));
        let more = [
            ("client_assertion_type", TYPE),
            ("client_assertion", foreign.as_str()),
        ];
        assert_eq!(
            stage.try_with(&more, None).await,
            unauthenticated(false),
            "{algorithm:?}"
        );
    }
    // Registered for another algorithm than the key has.
    let keys = Keys::new(Algorithm::Es256);
    let mut json = keys.registration();
    json["token_endpoint_auth_signing_alg"] = "EdDSA".into();
    let stage = Stage::with(json, None).await;
    let assertion = keys.sign(None, &good_claims("three"));
    let more = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    assert_eq!(stage.try_with(&more, None).await, unauthenticated(false));
}

/// JCA-07, T11, T8: one use, on every node.
#[tokio::test]
async fn an_assertion_is_used_once_on_every_node() {
    let keys = Keys::new(Algorithm::Es256);
    let stage = Stage::with(keys.registration(), None).await;
    let node = stage.hub.second_node().await;
    let assertion = keys.sign(None, &good_claims("once"));
    let more = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let (one, two, three) = (
        stage.given().await,
        stage.given().await,
        stage.given().await,
    );
    let first = stage.hub.redeem_with(&one, &more, None).await.unwrap();
    assert_eq!(
        refusal(stage.hub.redeem_with(&two, &more, None).await),
        unauthenticated(false)
    );
    assert_eq!(
        refusal(node.redeem_with(&three, &more, None).await),
        unauthenticated(false)
    );
    let refresh = first.refresh_token.unwrap();
    let result = node.refresh("agent", &refresh, &more).await;
    assert_eq!(refusal(result), unauthenticated(false));
    // The codes were not spent by the refused requests.
    let fresh = keys.sign(None, &good_claims("twice"));
    let more = [
        ("client_assertion_type", TYPE),
        ("client_assertion", fresh.as_str()),
    ];
    assert_eq!(
        outcome(&stage.hub.redeem_with(&two, &more, None).await),
        "ok"
    );
}

/// JCA-07, T11: fifty requests at once with one assertion; one of them is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_parallel_uses_of_an_assertion_one_succeeds() {
    let keys = Keys::new(Algorithm::Es256);
    let stage = Arc::new(Stage::with(keys.registration(), None).await);
    let assertion = keys.sign(None, &good_claims("raced"));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let given = stage.given().await;
        let (stage, assertion) = (stage.clone(), assertion.clone());
        tasks.spawn(async move {
            let more = [
                ("client_assertion_type", TYPE),
                ("client_assertion", &assertion),
            ];
            refusal(stage.hub.redeem_with(&given, &more, None).await)
        });
    }
    let mut served = 0;
    while let Some(result) = tasks.join_next().await {
        match result.unwrap() {
            None => served += 1,
            found => assert_eq!(found, unauthenticated(false)),
        }
    }
    assert_eq!(served, 1);
}

/// CA-07: the assertion's subject and the `client_id` parameter agree; the parameter is optional.
#[tokio::test]
async fn assertion_subject_and_client_id_agree() {
    let keys = Keys::new(Algorithm::Es256);
    let stage = Stage::with(keys.registration(), None).await;
    for (number, (client_id, expected)) in [
        ("", None),
        ("agent", None),
        ("other", unauthenticated(false)),
    ]
    .into_iter()
    .enumerate()
    {
        let assertion = keys.sign(None, &good_claims(&format!("jti{number}")));
        let more = [
            ("client_id", client_id),
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        assert_eq!(stage.try_with(&more, None).await, expected, "{client_id:?}");
    }
}

/// CIMD-63, CIMD-62: a client with a key does not get by without it.
#[tokio::test]
async fn a_client_with_a_key_must_use_it() {
    let keys = Keys::new(Algorithm::Es256);
    let stage = Stage::with(keys.registration(), None).await;
    assert_eq!(stage.try_with(&[], None).await, unauthenticated(false));
    let more = [("client_secret", SECRET)];
    assert_eq!(stage.try_with(&more, None).await, unauthenticated(false));
}

/// CIMD-64, CIMD-65, T26: a client that may do either is held to what it did first.
#[tokio::test]
async fn the_method_of_the_redemption_binds_the_refresh() {
    let keys = Keys::new(Algorithm::Es256);
    let hub = Hub::start().await;
    // Only documents can name several methods (RP Metadata Choices); the row looks like this then.
    let mut metadata = metadata(&keys.registration());
    metadata.auth_methods =
        AuthMethods::of(&[AuthMethod::None, AuthMethod::PrivateKeyJwt]).unwrap();
    let client = StoredClient {
        door: Door::Cimd,
        metadata,
        ..stored_client(&hub, "agent", &public_client())
    };
    let client = hub.add_stored(client).await;
    let user = hub.add_quick_user("ada").await;
    let stage = Stage { hub, client, user };

    let assertion = keys.sign(None, &good_claims("redeem"));
    let proof = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let given = stage.given().await;
    let tokens = stage.hub.redeem_with(&given, &proof, None).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    let weaker = stage.hub.refresh("agent", &refresh, &[]).await;
    assert_eq!(refusal(weaker), unauthenticated(false));
    let list = pairs(&[("client_id", "agent"), ("token", &refresh)]);
    let weaker = stage.hub.engine.revoke(&list, None, &source()).await;
    assert_eq!(refusal(weaker), unauthenticated(false));
    let assertion = keys.sign(None, &good_claims("refresh"));
    let proof = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let answer = stage.hub.refresh("agent", &refresh, &proof).await.unwrap();
    assert_eq!(
        answer.refresh_token, None,
        "RT-03: what proves itself does not rotate"
    );

    // Public at first: it may prove more later.
    let given = stage.given().await;
    let tokens = stage.hub.redeem(&given).await.unwrap();
    let refresh = tokens.refresh_token.unwrap();
    let assertion = keys.sign(None, &good_claims("stronger"));
    let proof = [
        ("client_assertion_type", TYPE),
        ("client_assertion", assertion.as_str()),
    ];
    let answer = stage.hub.refresh("agent", &refresh, &proof).await.unwrap();
    let refresh = answer.refresh_token.unwrap();
    assert_eq!(
        outcome(&stage.hub.refresh("agent", &refresh, &[]).await),
        "ok"
    );
}

/// CIMD-65, T26, A17: what a client showed when it pushed its request, it shows at the redemption too,
/// or more; a weaker try burns nothing.
#[tokio::test]
async fn the_method_of_the_push_binds_the_redemption() {
    let keys = Keys::new(Algorithm::Es256);
    let hub = Hub::start().await;
    let mut metadata = metadata(&keys.registration());
    metadata.auth_methods =
        AuthMethods::of(&[AuthMethod::None, AuthMethod::PrivateKeyJwt]).unwrap();
    let client = StoredClient {
        metadata,
        ..stored_client(&hub, "agent", &public_client())
    };
    hub.add_stored(client).await;
    let mut number = 0;
    let mut assertion = || {
        number += 1;
        keys.sign(None, &good_claims(&format!("push-{number}")))
    };
    #[rustfmt::skip]
    let rows = [
        // pushed with       redeemed without      redeemed with
        (Some("a key"),      unauthenticated(false), None),
        (Some("nothing"),    None,                   None),
        (None,               None,                   None),
    ];
    for (pushed, without, with) in rows {
        for (by_key, expected) in [(false, &without), (true, &with)] {
            let mut visit = Visit::signed_in(&hub, "ada").await;
            let mut list = request("agent", &[]);
            let proof = assertion();
            if pushed == Some("a key") {
                list.extend(pairs(&[
                    ("client_assertion_type", TYPE),
                    ("client_assertion", &proof),
                ]));
            }
            let uri = match pushed {
                Some(_) => {
                    let pushed = hub.engine.push(&list, None, &source()).await.unwrap();
                    pushed.request_uri
                }
                None => String::new(),
            };
            let page = consent(visit.ask("agent", &[("request_uri", uri.as_str())]).await);
            let location = redirect(visit.allow(&page, &["mcp:read"]).await);
            let given = Given {
                code: answer(&location, "code").unwrap(),
                client_id: "agent".to_owned(),
                grant: GrantId::new("g_unknown"),
            };
            let proof = assertion();
            let shown = [
                ("client_assertion_type", TYPE),
                ("client_assertion", proof.as_str()),
            ];
            let more = if by_key { &shown[..] } else { &[] };
            let found = refusal(hub.redeem_with(&given, more, None).await);
            assert_eq!(found, *expected, "{pushed:?} {by_key}");
            if found.is_some() {
                let proof = assertion();
                let more = [
                    ("client_assertion_type", TYPE),
                    ("client_assertion", proof.as_str()),
                ];
                let again = hub.redeem_with(&given, &more, None).await;
                assert_eq!(outcome(&again), "ok", "{pushed:?}");
            }
        }
    }
}

/// JCA-09, CIMD-68, QUIRK-31: keys by URL, one refetch for a new key, and a key host that is down
/// is a 503, since `invalid_client` would make the client drop all it has.
#[tokio::test]
async fn keys_behind_a_url_are_fetched_again_for_a_new_key() {
    const KEYS_URL: &str = "https://agent.example/jwks.json";
    let (old, new) = (Keys::new(Algorithm::Es256), Keys::new(Algorithm::Es256));
    let mut json = old.registration();
    json.as_object_mut().unwrap().remove("jwks");
    json["jwks_uri"] = KEYS_URL.into();
    let stage = Stage::with(json, None).await;
    let attempt = async |keys: &Keys, jti: &str| {
        let assertion = keys.sign(None, &good_claims(jti));
        let more = [
            ("client_assertion_type", TYPE),
            ("client_assertion", assertion.as_str()),
        ];
        stage.try_with(&more, None).await
    };
    let (_, shape) = attempt(&old, "down").await.unwrap();
    assert_eq!(shape, Shape::Busy { retry_after: 7 });

    let documents = &stage.hub.documents;
    documents.serve_keys(KEYS_URL, &old.jwks().to_string());
    assert_eq!(attempt(&old, "first").await, None);
    assert_eq!(documents.unknown_kid_asks.load(Ordering::SeqCst), 0);
    assert_eq!(attempt(&new, "early").await, unauthenticated(false));
    assert_eq!(documents.unknown_kid_asks.load(Ordering::SeqCst), 1);
    documents.serve_keys(KEYS_URL, &new.jwks().to_string());
    assert_eq!(attempt(&new, "late").await, None);
    documents.serve_keys(KEYS_URL, "<html>");
    assert_eq!(attempt(&new, "broken").await, unauthenticated(false));
}

/// QUIRK-31, P11: unknown clients hear 401, by either shape of id.
#[tokio::test]
async fn unknown_clients_hear_invalid_client() {
    let hub = Hub::start().await;
    for id in [
        "nobody",
        "vdr_AAAA",
        "https://nobody.example/client.json",
        "ünïcode",
        "http://x",
    ] {
        let list = [
            ("grant_type", "refresh_token"),
            ("client_id", id),
            ("refresh_token", "rt_AAAA"),
        ];
        let (code, shape) = refusal(hub.token(&list, None).await).unwrap();
        assert_eq!(code, "invalid_client", "{id}");
        assert_eq!(shape, Shape::ClientAuth { basic: false }, "{id}");
    }
}
