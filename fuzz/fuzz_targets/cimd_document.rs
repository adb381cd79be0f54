//! A client's own document (CIMD §4): any bytes that a host may serve.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::{
    cimd_document, client_metadata::ClientMetadata, redirect_uri::RedirectPolicy,
};

const ID: &str = "https://agent.example/client.json";

fuzz_target!(|bytes: &[u8]| {
    if let Ok((read, _)) = cimd_document::read(bytes, ID, &RedirectPolicy::default()) {
        assert!(
            !read.auth_methods.needs_secret(),
            "CIMD §4.1: no shared secrets"
        );
        let stored = read.encode_stored();
        let again = ClientMetadata::decode_stored(&stored).expect("what was accepted is stored");
        assert_eq!(again.security_digest(), read.security_digest());
    }
});
