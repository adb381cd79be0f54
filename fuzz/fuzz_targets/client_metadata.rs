//! Client metadata of a registration (RFC 7591 §2).
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::{
    client_metadata::{ClientMetadata, MetadataDoor},
    redirect_uri::RedirectPolicy,
};

fuzz_target!(|bytes: &[u8]| {
    for client_credentials_allowed in [false, true] {
        let door = MetadataDoor::Dcr {
            client_credentials_allowed,
        };
        if let Ok((read, _)) = ClientMetadata::parse_json(bytes, door, &RedirectPolicy::default()) {
            let stored = read.encode_stored();
            let again =
                ClientMetadata::decode_stored(&stored).expect("what was accepted is stored");
            assert_eq!(again.security_digest(), read.security_digest());
            assert_eq!(again.encode_stored(), stored);
        }
    }
});
