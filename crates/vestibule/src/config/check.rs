//! From what was written to what can be used: every rule that makes a configuration wrong, with a
//! sentence that says what to do. All problems are reported, not only the first.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use vestibule_engine::{AccessTokenAlg, AccessTokenAlgs, SCORE_DEADLINE_MAX};
use vestibule_fetch::OperatorUrl;
use vestibule_jwt::JwkSet;
use vestibule_protocol::{
    issuer::Issuer,
    redirect_uri::RedirectPolicy,
    resource_indicator::{ResourceSpec, ResourceUri, Resources},
    scope::{Access, Scope, ScopeSpec},
    secret::Secret,
    trust::{CimdMode, DcrMode},
};

use super::{Config, Database, Loaded, ScoreHook};
use crate::{signal_files::SignalPaths, wiring::Place};

/// Shortest secret of the score hook, in bytes.
const HOOK_SECRET_BYTES_MIN: usize = 16;

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the environment holds a value of the wrong kind")]
    Environment(#[source] toml::de::Error),
    #[error("the configuration is not usable:\n  - {}", .0.join("\n  - "))]
    Invalid(Vec<String>),
    #[error("cannot read {path}", path = .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} is not valid", path = .path.display())]
    Syntax {
        path: PathBuf,
        #[source]
        source: toml::de::Error,
    },
    #[error("{0} is not a variable of Vestibule; see docs/configuration.md")]
    UnknownVariable(String),
}

/// A configuration that was checked.
pub(crate) struct Checked {
    pub(crate) issuer: Issuer,
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) master_key_file: PathBuf,
    pub(crate) database: Place,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) dcr: DcrMode,
    pub(crate) cimd: CimdMode,
    pub(crate) extra_ca_files: Vec<PathBuf>,
    pub(crate) loopback_origins: Vec<String>,
    pub(crate) denied_addresses: Vec<IpNet>,
    pub(crate) fetch_deadline: Duration,
    pub(crate) limits_enabled: bool,
    pub(crate) access_token_algs: AccessTokenAlgs,
    pub(crate) origin_as_resource: bool,
    pub(crate) redirect_policy: RedirectPolicy,
    pub(crate) json_logs: bool,
    pub(crate) log_filter: String,
    pub(crate) signals: SignalPaths,
    pub(crate) score_hook: Option<HookSettings>,
    /// Keys of whoever may sign a catalogue.
    pub(crate) catalogue_keys: JwkSet,
    pub(crate) resources: Resources,
    /// What is odd but works.
    pub(crate) warnings: Vec<String>,
}

/// The third-party risk score.
#[derive(Clone)]
pub(crate) struct HookSettings {
    pub(crate) url: OperatorUrl,
    pub(crate) secret: Secret<Vec<u8>>,
    pub(crate) deadline: Duration,
}

/// Collects problems.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn take<T, E: std::fmt::Display>(&mut self, what: &str, result: Result<T, E>) -> Option<T> {
        result
            .map_err(|failure| self.0.push(format!("{what}: {failure}")))
            .ok()
    }

    fn algorithm(&mut self, key: &str, name: &str) -> Option<AccessTokenAlg> {
        let known = AccessTokenAlg::parse(name);
        self.take(
            key,
            known.ok_or_else(|| format!("`{name}` is not ES256, EdDSA or RS256")),
        )
    }

    fn nets(&mut self, key: &str, values: &[String]) -> Vec<IpNet> {
        let parse = |text: &String| {
            let net = text
                .parse::<IpNet>()
                .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
            self.take(
                key,
                net.map_err(|_| format!("`{text}` is not a network such as 10.0.0.0/8")),
            )
        };
        values.iter().filter_map(parse).collect()
    }
}

impl Checked {
    /// Check everything.
    #[expect(
        clippy::too_many_lines,
        reason = "one list, in the order of the file, so that every problem is told at once"
    )]
    pub(crate) fn of(loaded: &Loaded) -> Result<Self, ConfigError> {
        let Loaded { config, base, file } = loaded;
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        let issuer = problems.take("issuer", Issuer::parse(&config.issuer));
        let loopback = issuer.as_ref().is_some_and(Issuer::is_loopback);
        let listen = config.listen.parse::<SocketAddr>();
        let listen = problems.take(
            "listen",
            listen.map_err(|_| format!("`{}` is not an address and port", config.listen)),
        );
        if !config.fetch.loopback_origins.is_empty() && !loopback {
            problems.0.push(
                "fetch.loopback_origins: only with an issuer on loopback (127.0.0.1, localhost)"
                    .to_owned(),
            );
        }
        if !config.limits.enabled && !loopback {
            problems
                .0
                .push("limits.enabled: may be false only with an issuer on loopback".to_owned());
        }
        let data_dir = match (&config.data_dir, file) {
            (Some(folder), _) => base.join(folder),
            (None, Some(_)) => base.clone(),
            (None, None) => PathBuf::from("vestibule-data"),
        };
        let database = problems.take("database", database(&config.database, base, &data_dir));
        let dcr = DcrMode::parse(&config.doors.dcr).ok_or("off, approval, token or open");
        let dcr = problems.take("doors.dcr", dcr);
        let cimd = CimdMode::parse(&config.doors.cimd).ok_or("off, listed or open");
        let cimd = problems.take("doors.cimd", cimd);
        if (dcr, cimd) == (Some(DcrMode::Off), Some(CimdMode::Off)) {
            warnings
                .push("both doors are off: only clients that an admin made can connect".to_owned());
        }
        if !["human", "json"].contains(&config.log.format.as_str()) {
            problems.0.push("log.format: `human` or `json`".to_owned());
        }
        if !(1..=30).contains(&config.fetch.deadline_seconds) {
            problems
                .0
                .push("fetch.deadline_seconds: 1 to 30".to_owned());
        }
        let signals = SignalPaths::of(&config.signals, base);
        if let Err(found) = signals.read() {
            problems.0.extend(found);
        }
        let score_hook = hook(&config.signals.score_hook, base, &mut problems);
        let keys = catalogue_keys(&config.catalogue.trusted_keys);
        let catalogue_keys = problems.take("catalogue.trusted_keys", keys);
        let usual = problems.algorithm("tokens.access_token_alg", &config.tokens.access_token_alg);
        let mut algs = AccessTokenAlgs {
            usual: usual.unwrap_or_default(),
            of_resources: Vec::new(),
        };
        let resources = resources(config, &mut algs, &mut problems, &mut warnings);
        let trusted_proxies = problems.nets("http.trusted_proxies", &config.http.trusted_proxies);
        let denied_addresses =
            problems.nets("fetch.denied_addresses", &config.fetch.denied_addresses);
        let (
            Some(issuer),
            Some(listen),
            Some(database),
            Some(dcr),
            Some(cimd),
            Some(catalogue_keys),
            true,
        ) = (
            issuer,
            listen,
            database,
            dcr,
            cimd,
            catalogue_keys,
            problems.0.is_empty(),
        )
        else {
            return Err(ConfigError::Invalid(problems.0));
        };
        Ok(Self {
            issuer,
            listen,
            master_key_file: config
                .master_key_file
                .as_ref()
                .map_or_else(|| data_dir.join("master.key"), |path| base.join(path)),
            data_dir,
            database,
            trusted_proxies,
            dcr,
            cimd,
            extra_ca_files: config
                .fetch
                .extra_ca_files
                .iter()
                .map(|path| base.join(path))
                .collect(),
            loopback_origins: config.fetch.loopback_origins.clone(),
            denied_addresses,
            fetch_deadline: Duration::from_secs(config.fetch.deadline_seconds),
            limits_enabled: config.limits.enabled,
            access_token_algs: algs,
            origin_as_resource: config.quirks.origin_as_resource,
            redirect_policy: match &config.redirects.private_schemes {
                None => RedirectPolicy::default(),
                Some(schemes) => RedirectPolicy {
                    private_schemes: schemes.clone(),
                },
            },
            json_logs: config.log.format == "json",
            log_filter: config.log.filter.clone(),
            signals,
            score_hook,
            catalogue_keys,
            resources,
            warnings,
        })
    }
}

fn database(written: &Database, base: &Path, data_dir: &Path) -> Result<Place, String> {
    if !(1..=1_000).contains(&written.connections) {
        return Err("connections: 1 to 1000".to_owned());
    }
    let Some(file) = &written.url_file else {
        return Place::parse(&written.url, data_dir, written.connections)
            .map_err(|why| format!("url: {why}"));
    };
    if *written
        != (Database {
            url: Database::default().url,
            ..written.clone()
        })
    {
        return Err("`url` or `url_file`, not both".to_owned());
    }
    let path = base.join(file);
    let text = std::fs::read_to_string(&path)
        .map_err(|failure| format!("url_file {}: {failure}", path.display()))?;
    Place::parse(text.trim(), data_dir, written.connections)
        .map_err(|why| format!("url_file {}: {why}", path.display()))
}

/// The hook, if one is configured and usable.
fn hook(written: &ScoreHook, base: &Path, problems: &mut Problems) -> Option<HookSettings> {
    let most = u64::try_from(SCORE_DEADLINE_MAX.as_millis()).unwrap_or(u64::MAX);
    if !(1..=most).contains(&written.deadline_ms) {
        let problem = format!("signals.score_hook.deadline_ms: 1 to {most}");
        problems.0.push(problem);
    }
    let (url, file) = match (&written.url, &written.secret_file) {
        (None, None) => return None,
        (Some(url), Some(file)) => (url, base.join(file)),
        (Some(_), None) | (None, Some(_)) => {
            let problem = "signals.score_hook: `url` and `secret_file` belong together";
            problems.0.push(problem.to_owned());
            return None;
        }
    };
    let parsed = OperatorUrl::parse(url).map_err(|failure| format!("`{url}`: {failure}"));
    let url = problems.take("signals.score_hook.url", parsed);
    let secret = problems.take("signals.score_hook.secret_file", hook_secret(&file));
    Some(HookSettings {
        url: url?,
        secret: secret?,
        deadline: Duration::from_millis(written.deadline_ms),
    })
}

fn hook_secret(file: &Path) -> Result<Secret<Vec<u8>>, String> {
    let shown = file.display();
    let mut bytes =
        std::fs::read(file).map_err(|failure| format!("{shown} cannot be read: {failure}"))?;
    while bytes.pop_if(|last| matches!(last, b'\n' | b'\r')).is_some() {}
    if bytes.len() < HOOK_SECRET_BYTES_MIN {
        return Err(format!(
            "{shown} holds {} bytes; a secret has at least {HOOK_SECRET_BYTES_MIN}",
            bytes.len()
        ));
    }
    Ok(Secret::new(bytes))
}

/// As a set of keys without names, so that a signature finds its key whatever its header calls it.
fn catalogue_keys(texts: &[String]) -> Result<JwkSet, String> {
    for text in texts {
        JwkSet::parse(ed25519_set(std::slice::from_ref(text)).as_bytes()).map_err(|_| {
            format!("`{text}` is not a public Ed25519 key: base64url of 32 bytes is expected")
        })?;
    }
    JwkSet::parse(ed25519_set(texts).as_bytes()).map_err(|failure| failure.to_string())
}

fn ed25519_set(texts: &[String]) -> String {
    let keys = texts
        .iter()
        .map(|text| serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": text}));
    serde_json::json!({ "keys": keys.collect::<Vec<_>>() }).to_string()
}

fn resources(
    config: &Config,
    algs: &mut AccessTokenAlgs,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Resources {
    let mut specs: Vec<ResourceSpec> = Vec::new();
    for (index, resource) in config.resources.iter().enumerate() {
        let at = format!("resources[{index}]");
        let uri = ResourceUri::parse(&resource.uri)
            .map_err(|failure| format!("`{}`: {failure}", resource.uri));
        let Some(uri) = problems.take(&at, uri) else {
            continue;
        };
        if specs.iter().any(|known| known.uri.is_equivalent(&uri)) {
            problems
                .0
                .push(format!("{at}: `{}` is there twice", resource.uri));
        }
        if let Some(name) = &resource.access_token_alg
            && let Some(alg) = problems.algorithm(&format!("{at}.access_token_alg"), name)
        {
            algs.of_resources.push((uri.clone(), alg));
        }
        let mut scopes = Vec::new();
        for scope in &resource.scopes {
            let at = format!("{at}, scope `{}`", scope.name);
            let name = problems.take(&at, Scope::parse(&scope.name));
            let access = Access::parse(&scope.access).ok_or("access is read, write or destructive");
            let access = problems.take(&at, access);
            if let (Some(name), Some(access)) = (name, access) {
                scopes.push(ScopeSpec {
                    scope: name,
                    description: scope.description.clone(),
                    access,
                    default: scope.default,
                });
            }
        }
        if !scopes.iter().any(|scope| scope.default) {
            warnings.push(format!(
                "{at}: no scope has `default = true`, so a client that asks for none gets nothing"
            ));
        }
        specs.push(ResourceSpec {
            uri,
            name: resource.name.clone(),
            scopes,
            default: resource.default,
        });
    }
    if specs.iter().filter(|spec| spec.default).count() > 1 {
        problems
            .0
            .push("resources: at most one can have `default = true`".to_owned());
    }
    if specs.is_empty() {
        warnings.push("no [[resources]]: there is nothing that a token could be for".to_owned());
    }
    Resources::new(specs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Checked, impl std::fmt::Display> {
        Checked::of(&Loaded {
            config: toml::from_str(text).unwrap(),
            base: PathBuf::from("/srv"),
            file: Some(PathBuf::from("/srv/vestibule.toml")),
        })
    }

    fn warnings_of(text: &str) -> Vec<String> {
        checked(text).ok().unwrap().warnings
    }

    fn problems_of(text: &str) -> String {
        checked(text)
            .err()
            .map(|failure| failure.to_string())
            .unwrap_or_default()
    }

    /// GEN-01, AS-01, CIMD-82, QUIRK-35: what would be unsafe does not start.
    #[test]
    fn unsafe_configurations_are_refused_with_a_reason() {
        #[rustfmt::skip]
        let rows = [
            ("issuer = \"http://hub.example\"", "issuer"),
            ("issuer = \"https://hub.example/\"", "issuer"),
            ("issuer = \"https://hub.example?x=1\"", "issuer"),
            ("issuer = \"https://hub.example\"\nfetch.loopback_origins = [\"https://localhost:9443\"]", "loopback_origins"),
            ("issuer = \"https://hub.example\"\nlimits.enabled = false", "limits.enabled"),
            ("listen = \"nowhere\"", "listen"),
            ("doors.dcr = \"ajar\"", "doors.dcr"),
            ("database.url = \"mysql://db\"", "database: url: `sqlite:`"),
            ("database.url = \"postgres:///db\"", "names no host"),
            ("database.url = \"postgres://u@db/x?sslmode=maybe\"", "sslmode"),
            ("database.connections = 0", "1 to 1000"),
            ("database = { url = \"postgres://u@db/x\", url_file = \"/dev/null\" }", "not both"),
            ("database.url_file = \"gone\"", "url_file /srv/gone"),
            ("tokens.access_token_alg = \"none\"", "tokens.access_token_alg: `none`"),
            ("tokens.access_token_alg = \"HS256\"", "tokens.access_token_alg: `HS256`"),
            ("[[resources]]\nuri = \"https://a.example/m\"\nname = \"A\"\naccess_token_alg = \"PS256\"", "resources[0].access_token_alg"),
            ("http.trusted_proxies = [\"10.0.0.0/99\"]", "trusted_proxies"),
            ("[[resources]]\nuri = \"https://a.example/#x\"\nname = \"A\"", "resources[0]"),
            ("[[resources]]\nuri = \"https://a.example/m\"\nname = \"A\"\nscopes = [{name=\"x\",description=\"\",access=\"all\"}]", "read, write or destructive"),
        ];
        for (text, expected) in rows {
            let found = problems_of(text);
            assert!(found.contains(expected), "{text}: {found}");
        }
    }

    /// What a file or key is wrong about is said with its place.
    #[test]
    fn signals_that_cannot_be_used_are_refused_with_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let list = file("list.txt", "192.0.2.0/24\n# fine\n192.0.2.1/24\n");
        let geo = file("geo.mmdb", "not a database");
        let short = file("short", "0123456789abcde\n");
        let good = file("good", "0123456789abcdef\n");
        #[rustfmt::skip]
        let rows = [
            (format!("signals.listed_files = [\"{list}\"]"), "line 3"),
            (format!("signals.reputation_files = [\"{list}\"]"), "signals.reputation_files"),
            ("signals.listed_files = [\"gone.txt\"]".to_owned(), "cannot be read"),
            (format!("signals.country_file = \"{geo}\""), "MaxMind"),
            (format!("signals.asn_file = \"{geo}\""), "signals.asn_file"),
            ("signals.score_hook.url = \"https://risk.example/\"".to_owned(), "belong together"),
            (format!("signals.score_hook = {{ url = \"http://risk.example/\", secret_file = \"{good}\" }}"), "signals.score_hook.url"),
            (format!("signals.score_hook = {{ url = \"https://risk.example/\", secret_file = \"{short}\" }}"), "holds 15 bytes"),
            (format!("signals.score_hook = {{ url = \"https://risk.example/\", secret_file = \"{good}\", deadline_ms = 2001 }}"), "1 to 2000"),
            ("catalogue.trusted_keys = [\"AAAA\"]".to_owned(), "`AAAA` is not a public Ed25519 key"),
        ];
        for (text, expected) in rows {
            let found = problems_of(&text);
            assert!(found.contains(expected), "{text}: {found}");
        }
        let right = format!(
            "signals.score_hook = {{ url = \"http://127.0.0.1:1/\", secret_file = \"{good}\" }}"
        );
        let hook = checked(&right).ok().unwrap().score_hook.unwrap();
        assert_eq!(hook.secret.expose().as_slice(), b"0123456789abcdef");
        assert_eq!(hook.deadline, Duration::from_millis(300));
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let found = problems_of("issuer = \"ftp://x\"\nlisten = \"x\"\ndoors.cimd = \"x\"");
        assert!(
            ["issuer", "listen", "doors.cimd"]
                .iter()
                .all(|key| found.contains(key)),
            "{found}"
        );
    }

    /// QUIRK-05: with neither door open, no stranger's client can even begin.
    #[test]
    fn two_closed_doors_are_warned_about() {
        let source = "issuer = \"https://hub.example\"\ndoors.dcr = \"off\"\ndoors.cimd = \"off\"";
        assert_eq!(problems_of(source), "");
        let warned = warnings_of(source);
        assert!(
            warned.iter().any(|line| line.contains("both doors")),
            "{warned:?}"
        );
        let warned = warnings_of("");
        assert!(!warned.iter().any(|line| line.contains("both doors")));
    }

    #[test]
    fn the_defaults_start() {
        assert_eq!(problems_of(""), "");
    }
}
