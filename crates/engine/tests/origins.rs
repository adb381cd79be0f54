//! Clients that name an origin in place of the resource under it.

mod support;

use support::{visit::*, *};

const ORIGIN: &str = "https://notes.example";

/// QUIRK-27, RI-10: off by default; where it is on, the token is for the one resource under the
/// origin, at each endpoint alike, and no other name becomes good by it.
#[tokio::test]
async fn an_origin_stands_for_its_resource_where_the_option_says_so() {
    for on in [false, true] {
        let builder = Hub::builder().second_resource();
        let builder = if on {
            builder.origins_as_resources()
        } else {
            builder
        };
        let hub = builder.start().await;
        let (_, authorization) = hub.add_resource_server(&[NOTES]).await;
        let registered = hub.register(&public_client()).await;
        let id = registered.client_id();
        let mut visit = Visit::signed_in(&hub, "alice").await;
        let step = visit.ask(id, &[("resource", ORIGIN)]).await;
        if !on {
            assert_ne!(word(&step), "consent", "{step:?}");
            continue;
        }
        let page = consent(step);
        let location = redirect(visit.allow(&page, &["mcp:read"]).await);
        let given = Given {
            code: answer(&location, "code").unwrap(),
            client_id: id.to_owned(),
            grant: vestibule_protocol::ids::GrantId::new("g_unknown"),
        };
        let tokens = hub
            .redeem_with(&given, &[("resource", ORIGIN)], None)
            .await
            .unwrap();
        let seen = hub
            .introspect(&tokens.access_token, &authorization)
            .await
            .unwrap();
        assert!(seen.active);
        assert_eq!(seen.aud.unwrap(), [NOTES], "never the origin");
        let refresh = tokens.refresh_token.unwrap();
        let next = hub
            .refresh(id, &refresh, &[("resource", ORIGIN)])
            .await
            .unwrap();
        let refresh = next.refresh_token.unwrap();
        let other = hub
            .refresh(id, &refresh, &[("resource", "https://files.example")])
            .await;
        assert_eq!(
            outcome(&other),
            "invalid_target",
            "another origin is another resource"
        );
        for wrong in [
            "https://notes.example/other",
            "http://notes.example",
            "https://example",
        ] {
            let step = visit.ask(id, &[("resource", wrong)]).await;
            assert_ne!(word(&step), "consent", "{wrong}");
        }
    }
}
