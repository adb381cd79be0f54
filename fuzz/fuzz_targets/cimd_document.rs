//! A client's own document (CIMD §4): any bytes that a host may serve.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::{
    cimd_document, client_metadata::ClientMetadata, redirect_uri::RedirectPolicy,
};

fuzz_target!(|bytes: &[u8]| {
    // Fetched from where it says: otherwise every document ends at the first rule.
    let json: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
    let id = json["client_id"]
        .as_str()
        .unwrap_or("https://agent.example/client.json");
    if let Ok((read, _)) = cimd_document::read(bytes, id, &RedirectPolicy::default()) {
        assert!(
            !read.auth_methods.needs_secret(),
            "CIMD §4.1: no shared secrets"
        );
        let stored = read.encode_stored();
        let again = ClientMetadata::decode_stored(&stored).expect("what was accepted is stored");
        assert_eq!(again.security_digest(), read.security_digest());
    }
});
