//! What access tokens are signed with, and who can verify them.

#![expect(clippy::unwrap_used, reason = "what surprises a test should end it")]
#![expect(
    clippy::indexing_slicing,
    reason = "members of JSON that must be there"
)]

mod support;

use serde_json::Value;
use support::{FILES, GrantSpec, Hub, ISSUER, NOTES, public_client};
use vestibule_engine::{AccessTokenAlg, AccessTokenAlgs};
use vestibule_protocol::resource_indicator::ResourceUri;

fn usual(alg: AccessTokenAlg) -> AccessTokenAlgs {
    AccessTokenAlgs {
        usual: alg,
        of_resources: Vec::new(),
    }
}

fn published(hub: &Hub) -> Value {
    serde_json::from_slice(&hub.engine.jwks().body).unwrap()
}

/// By `jsonwebtoken` alone, from the published keys; gives the algorithm.
fn verified_elsewhere(hub: &Hub, token: &str, audience: &str) -> String {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("at+jwt"));
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_value(published(hub)).unwrap();
    let key = keys.find(&header.kid.unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    // The test's clock stands; its year may be over.
    validation.validate_exp = false;
    let key = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let data = jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap();
    assert_eq!(data.claims["iss"], ISSUER);
    format!("{:?}", header.alg)
}

/// AT-01: ES256 without a word, RS256 and EdDSA by configuration, each good for everybody.
#[tokio::test]
async fn access_tokens_of_each_algorithm_verify_here_and_elsewhere() {
    for alg in AccessTokenAlg::ALL {
        let hub = Hub::builder().algs(usual(alg)).start().await;
        let (_, _, tokens) = hub.public_session().await;
        let token = &tokens.access_token;
        assert_eq!(verified_elsewhere(&hub, token, NOTES), alg.as_str());
        let keys = vestibule_jwt::JwkSet::parse(&hub.engine.jwks().body).unwrap();
        let now = hub.now().seconds();
        let claims = vestibule_jwt::verify_access_token(token, &keys, ISSUER, now, 0);
        assert!(claims.unwrap().gid.is_some());
        let (_, authorization) = hub.add_resource_server(&[NOTES]).await;
        assert!(hub.introspect(token, &authorization).await.unwrap().active);
    }
    assert_eq!(AccessTokenAlgs::default(), usual(AccessTokenAlg::Es256));
}

/// AT-01: a resource server that knows one algorithm only gets that one, in any spelling.
#[tokio::test]
async fn a_resource_has_its_own_algorithm() {
    let files = ResourceUri::parse(FILES).unwrap();
    let algs = AccessTokenAlgs {
        usual: AccessTokenAlg::Es256,
        of_resources: vec![(files, AccessTokenAlg::Rs256)],
    };
    let hub = Hub::builder().second_resource().algs(algs).start().await;
    let client = hub.add_client("agent", &public_client(), None).await;
    let user = hub.add_quick_user("alice").await;
    let slash = format!("{FILES}/");
    for (resource, expected) in [
        (NOTES, "ES256"),
        (FILES, "RS256"),
        (slash.as_str(), "RS256"),
    ] {
        let spec = GrantSpec {
            resource,
            ..GrantSpec::default()
        };
        let given = hub.grant(&client, &user, &spec).await;
        let tokens = hub.redeem(&given).await.unwrap();
        let found = verified_elsewhere(&hub, &tokens.access_token, resource);
        assert_eq!(found, expected, "{resource}");
    }
}

/// AT-01: the algorithm changes with a restart; what was signed before stays good.
#[tokio::test]
async fn another_algorithm_makes_its_key_and_keeps_the_old_tokens() {
    let hub = Hub::start().await;
    let (_, _, tokens) = hub.public_session().await;
    let kinds = |hub: &Hub| {
        let keys = published(hub)["keys"].as_array().unwrap().clone();
        let mut kinds: Vec<_> = keys
            .iter()
            .map(|key| key["alg"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    };
    assert_eq!(kinds(&hub), ["ES256", "RS256"]);
    let builder = Hub::builder().algs(usual(AccessTokenAlg::EdDsa));
    let node = hub.node(builder).await.unwrap();
    assert_eq!(kinds(&node), ["ES256", "EdDSA", "RS256"]);
    let before = verified_elsewhere(&node, &tokens.access_token, NOTES);
    assert_eq!(before, "ES256");
    let client = node.add_client("late", &public_client(), None).await;
    let user = node.add_quick_user("late").await;
    let given = node.grant(&client, &user, &GrantSpec::default()).await;
    let tokens = node.redeem(&given).await.unwrap();
    assert_eq!(
        verified_elsewhere(&node, &tokens.access_token, NOTES),
        "EdDSA"
    );
    // A node that is still on the old configuration knows the key within a second.
    hub.engine.follow().await.unwrap();
    assert_eq!(
        verified_elsewhere(&hub, &tokens.access_token, NOTES),
        "EdDSA"
    );
}
