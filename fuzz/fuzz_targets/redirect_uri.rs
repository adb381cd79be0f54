//! Redirect URIs (RFC 9700 §2.1, RFC 8252 §7): registering one and matching another against it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::redirect_uri::{
    RedirectKind, RedirectPolicy, RedirectUri, TrustedRedirect,
};

/// What random text would rarely begin with.
const FRONTS: [&str; 5] = [
    "",
    "https://",
    "http://127.0.0.1",
    "http://[::1]",
    "com.example.app:",
];

fuzz_target!(|parts: (u8, &str, &str)| {
    let (front, registered, requested) = parts;
    let front = FRONTS[usize::from(front) % FRONTS.len()];
    judge(
        &format!("{front}{registered}"),
        &format!("{front}{requested}"),
    );
});

fn judge(registered: &str, requested: &str) {
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
}
