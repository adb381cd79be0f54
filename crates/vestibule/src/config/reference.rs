//! Every option, described once. `vestibule check-config --reference` prints this as
//! `docs/configuration.md`.

use std::fmt::Write as _;

/// One option.
pub(crate) struct Described {
    /// Dotted key.
    pub(crate) key: &'static str,
    /// Default, as TOML.
    pub(crate) default: &'static str,
    /// What it does.
    pub(crate) text: &'static str,
}

/// All options, in the order of the file.
#[rustfmt::skip]
pub(crate) const OPTIONS: &[Described] = &[
    Described { key: "issuer", default: "\"http://127.0.0.1:9400\"", text: "The one name of this hub, byte for byte in metadata, `iss` and tokens. An `https` URL without trailing slash, query or fragment; `http` only for a loopback host. Never change it once clients know it: they keep what they registered by issuer." },
    Described { key: "listen", default: "\"127.0.0.1:9400\"", text: "Address and port to listen on. TLS ends in a reverse proxy in front." },
    Described { key: "data_dir", default: "the file's folder, or `vestibule-data` without a file", text: "Where database and master key live. Made with mode 0700." },
    Described { key: "master_key_file", default: "`master.key` in the data folder", text: "File with the key that wraps signing and sealing keys in the database: 64 hexadecimal digits. Made at first start with mode 0600. Back it up apart from the database: without it nothing in the database can sign." },
    Described { key: "http.trusted_proxies", default: "[]", text: "Networks (CIDR) of your reverse proxies. Only their `X-Forwarded-For` is read, from the right; without them the client address is the peer." },
    Described { key: "database.url", default: "\"sqlite:vestibule.db\"", text: "`sqlite:` and a path, relative to the data folder." },
    Described { key: "doors.dcr", default: "\"open\"", text: "First value of a live setting: Dynamic Client Registration `off`, `approval`, `token` (an initial access token is needed) or `open`." },
    Described { key: "doors.cimd", default: "\"open\"", text: "First value of a live setting: Client ID Metadata Documents `off`, `listed` or `open`." },
    Described { key: "fetch.extra_ca_files", default: "[]", text: "PEM files with trust anchors beside the system's, for fetching client documents." },
    Described { key: "fetch.loopback_origins", default: "[]", text: "Origins such as `https://localhost:9443` whose client documents may be on loopback. Refused unless the issuer is on loopback too." },
    Described { key: "fetch.denied_addresses", default: "[]", text: "Networks (CIDR) that are never connected to, beside all special-purpose ranges and the cloud metadata services." },
    Described { key: "fetch.deadline_seconds", default: "5", text: "One deadline for name, connection, TLS, headers and body together." },
    Described { key: "limits.enabled", default: "true", text: "Limits on floods and guesses. `false` only with a loopback issuer, for tests and benchmarks." },
    Described { key: "redirects.private_schemes", default: "a list of known editors", text: "Private-use redirect schemes without a dot that may be registered, such as `cursor`. Schemes with a dot may always." },
    Described { key: "log.format", default: "\"human\"", text: "`human` or `json`." },
    Described { key: "log.filter", default: "\"info\"", text: "`error`, `warn`, `info`, `debug`, or a tracing filter such as `vestibule_engine=debug`. Secrets are in none of them." },
    Described { key: "resources", default: "[]", text: "The protected MCP servers: `[[resources]]` tables with `uri`, `name`, `default` (used when a client names none and there are several) and `scopes`, a list of `{ name, description, access = \"read\" | \"write\" | \"destructive\", default }`. Default scopes are given to clients that ask for none." },
];

/// Whether the environment may set this key.
pub(crate) fn is_known(key: &str) -> bool {
    OPTIONS.iter().any(|option| option.key == key)
}

/// `docs/configuration.md`.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         `vestibule.toml`, or the file that `--config` names. Every key can be set by the environment: \
         prefix `VESTIBULE_`, upper case, nested keys joined by `__`, as in \
         `VESTIBULE_HTTP__TRUSTED_PROXIES='[\"10.0.0.0/8\"]'`; the environment wins. \
         `vestibule check-config` reads it all and says what is wrong.\n\n\
         This page is printed by `vestibule check-config --reference`.\n\n\
         | key | default | meaning |\n|---|---|---|\n",
    );
    for option in OPTIONS {
        let default = option.default;
        let default = if default.contains(' ') {
            default.to_owned()
        } else {
            format!("`{default}`")
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {default} | {} |",
            option.key,
            option.text.replace('|', "\\|")
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Redirects};

    /// The table and the structs name the same keys.
    #[test]
    fn every_option_is_described_and_nothing_else() {
        let full = Config {
            data_dir: Some("d".into()),
            master_key_file: Some("m".into()),
            redirects: Redirects {
                private_schemes: Some(vec![]),
            },
            ..Config::default()
        };
        let mut keys = Vec::new();
        for (key, value) in &toml::Table::try_from(&full).unwrap() {
            match value {
                toml::Value::Table(inner) => {
                    keys.extend(inner.keys().map(|name| format!("{key}.{name}")));
                }
                _ => keys.push(key.clone()),
            }
        }
        let mut described: Vec<_> = OPTIONS.iter().map(|option| option.key.to_owned()).collect();
        keys.sort();
        described.sort();
        assert_eq!(keys, described);
    }
}
