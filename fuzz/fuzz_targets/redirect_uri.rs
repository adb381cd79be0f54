//! Redirect URIs (RFC 9700 §2.1, RFC 8252 §7): registering one and matching another against it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::redirect_uri::{
    RedirectKind, RedirectPolicy, RedirectUri, TrustedRedirect,
};

fuzz_target!(|pair: (&str, &str)| {
    let (registered, requested) = pair;
    let Ok(uri) = RedirectUri::parse(registered, &RedirectPolicy::default()) else {
        return;
    };
    assert_eq!(uri.as_str(), registered);
    let kind = uri.kind();
    let known = [uri];
    TrustedRedirect::matching(&known, Some(registered)).expect("it matches itself");
    if let Ok(found) = TrustedRedirect::matching(&known, Some(requested)) {
        assert_eq!(
            found.as_str(),
            requested,
            "the answer goes where it was asked for"
        );
        // Only the port of a loopback address may differ.
        assert!(requested == registered || kind == RedirectKind::Loopback);
        assert_eq!(found.kind(), kind);
    }
});
