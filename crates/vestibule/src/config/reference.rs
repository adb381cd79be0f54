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
    Described { key: "issuer", default: "\"http://127.0.0.1:9400\"", text: "The one name of this hub, byte for byte in metadata, `iss` and tokens. An `https` URL without trailing slash, query or fragment; `http` only for a loopback host. Never change it once clients know it: they keep what they registered by issuer. The first start keeps it in the database, and with another one the hub does not start, unless `vestibule serve --accept-new-issuer` says so." },
    Described { key: "listen", default: "\"127.0.0.1:9400\"", text: "Address and port to listen on. TLS ends in a reverse proxy in front." },
    Described { key: "data_dir", default: "the file's folder, or `vestibule-data` without a file", text: "Where database and master key live. Made with mode 0700." },
    Described { key: "master_key_file", default: "`master.key` in the data folder", text: "File with the key that wraps signing and sealing keys in the database: 64 hexadecimal digits. Made at first start with mode 0600. Back it up apart from the database: without it nothing in the database can sign." },
    Described { key: "http.trusted_proxies", default: "[]", text: "Networks (CIDR) of your reverse proxies. Only their `X-Forwarded-For` is read, from the right; without them the client address is the peer." },
    Described { key: "database.url", default: "\"sqlite:vestibule.db\"", text: "`sqlite:` and a path, relative to the data folder; or `postgres://user:password@host:port/database?…`, for several nodes. A folder of a Unix socket goes into `?host=`. `sslmode` is `disable`, `prefer`, `require` or `verify-full`, which is the default unless the host is this machine; `sslrootcert` names a file of trust anchors. See [postgresql.md](postgresql.md)." },
    Described { key: "database.url_file", default: "no file", text: "File with the URL, in place of `database.url`: it may hold a password. Relative to this file." },
    Described { key: "database.connections", default: "16", text: "PostgreSQL only: connections of this node at most. Who finds none free for 2 s is answered 503." },
    Described { key: "doors.dcr", default: "\"open\"", text: "First value of a live setting: Dynamic Client Registration `off`, `approval`, `token` (an initial access token is needed) or `open`." },
    Described { key: "doors.cimd", default: "\"open\"", text: "First value of a live setting: Client ID Metadata Documents `off`, `listed` or `open`." },
    Described { key: "fetch.extra_ca_files", default: "[]", text: "PEM files with trust anchors beside the system's, for fetching client documents." },
    Described { key: "fetch.loopback_origins", default: "[]", text: "Origins such as `https://localhost:9443` whose client documents may be on loopback. Refused unless the issuer is on loopback too." },
    Described { key: "fetch.denied_addresses", default: "[]", text: "Networks (CIDR) that are never connected to, beside all special-purpose ranges and the cloud metadata services." },
    Described { key: "fetch.deadline_seconds", default: "5", text: "One deadline for name, connection, TLS, headers and body together." },
    Described { key: "limits.enabled", default: "true", text: "Limits on floods and guesses. `false` only with a loopback issuer, for tests and benchmarks." },
    Described { key: "tokens.access_token_alg", default: "\"ES256\"", text: "What access tokens are signed with: `ES256`, `EdDSA` or `RS256`. A key that is missing is made at the next start; tokens of before stay good. ID Tokens are RS256, or ES256 for a client that registered so." },
    Described { key: "quirks.origin_as_resource", default: "false", text: "Take a bare origin (`https://host`) in `resource` for the single resource under it, as some releases of Claude Code send it. Its tokens are for that resource, not for the origin; each time is logged as a warning. An origin with several resources under it stays refused." },
    Described { key: "redirects.private_schemes", default: "a list of known editors", text: "Private-use redirect schemes without a dot that may be registered, such as `cursor`. Schemes with a dot may always." },
    Described { key: "log.format", default: "\"human\"", text: "`human` or `json`." },
    Described { key: "log.filter", default: "\"info\"", text: "`error`, `warn`, `info`, `debug`, or a tracing filter such as `vestibule_engine=debug`. Secrets are in none of them." },
    Described { key: "signals.listed_files", default: "[]", text: "Text files of addresses and networks (CIDR), one a line, `#` begins a comment: policies see `source.listed`. Relative paths are relative to this file. These four kinds of files are read again within 5 s of a change; replace one by renaming. While one of them cannot be read, what was read before stays in force and the log says what is wrong." },
    Described { key: "signals.reputation_files", default: "[]", text: "The same form: policies see `source.bad_reputation`." },
    Described { key: "signals.country_file", default: "no file", text: "A file in MaxMind's format with countries: policies see `source.country`." },
    Described { key: "signals.asn_file", default: "no file", text: "A file in MaxMind's format with autonomous systems: policies see `source.asn`." },
    Described { key: "signals.score_hook.url", default: "no hook", text: "A service that scores requests, 0 (good) to 100 (bad): policies see `score`. `https`, or `http` for a loopback host. See [score-hook.md](score-hook.md)." },
    Described { key: "signals.score_hook.secret_file", default: "no file", text: "File with the secret that requests to the hook are signed with: at least 16 bytes; line ends at its end do not count." },
    Described { key: "signals.score_hook.deadline_ms", default: "300", text: "How long a person waits for the hook, 1 to 2000 milliseconds. Afterwards the score is missing." },
    Described { key: "catalogue.trusted_keys", default: "[]", text: "Public Ed25519 keys that catalogues of known clients may be signed with: base64url of 32 bytes (the `x` of a JWK). At most 32. See [catalogue.md](catalogue.md)." },
    Described { key: "resources", default: "[]", text: "The protected MCP servers: `[[resources]]` tables with `uri`, `name`, `default` (used when a client names none and there are several), `access_token_alg` (where this server takes another one than `tokens.access_token_alg`) and `scopes`, a list of `{ name, description, access = \"read\" | \"write\" | \"destructive\", default }`. Default scopes are given to clients that ask for none." },
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
    use crate::config::{Config, Database, Redirects, ScoreHook, Signals};

    fn add_keys(table: &toml::Table, prefix: &str, keys: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => add_keys(inner, &format!("{prefix}{key}."), keys),
                _ => keys.push(format!("{prefix}{key}")),
            }
        }
    }

    /// The table and the structs name the same keys.
    #[test]
    fn every_option_is_described_and_nothing_else() {
        let full = Config {
            data_dir: Some("d".into()),
            master_key_file: Some("m".into()),
            database: Database {
                url_file: Some("u".into()),
                ..Database::default()
            },
            redirects: Redirects {
                private_schemes: Some(vec![]),
            },
            signals: Signals {
                country_file: Some("c".into()),
                asn_file: Some("a".into()),
                score_hook: ScoreHook {
                    url: Some("u".to_owned()),
                    secret_file: Some("s".into()),
                    ..ScoreHook::default()
                },
                ..Signals::default()
            },
            ..Config::default()
        };
        let mut keys = Vec::new();
        add_keys(&toml::Table::try_from(&full).unwrap(), "", &mut keys);
        let mut described: Vec<_> = OPTIONS.iter().map(|option| option.key.to_owned()).collect();
        keys.sort();
        described.sort();
        assert_eq!(keys, described);
    }
}
