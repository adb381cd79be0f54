//! The grammar of `client_id` URLs (CIMD §3), on any text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vestibule_protocol::client_id_url::ClientIdUrl;

fuzz_target!(|raw: &str| {
    judge(raw);
    judge(&format!("https://{raw}"));
});

fn judge(raw: &str) {
    if let Ok(id) = ClientIdUrl::parse_default(raw) {
        assert_eq!(id.as_str(), raw, "an id is compared as it was sent");
        assert!(raw.starts_with("https://") && !raw.contains(['#', '\\']));
        assert!(!id.origin().contains('@'));
        assert!(!id.host().is_empty() && raw.contains(id.origin()));
    }
}
