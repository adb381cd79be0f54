//! `catalogue`: known clients, as a signed file. Nothing here goes to the network: whoever fetches
//! a catalogue puts the file here.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args, Subcommand};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::{Value, json};
use vestibule_jwt::{
    Algorithm, CATALOGUE_TYP, JwkSet, Rules, SigningKey, TypRule, verify_document,
};
use vestibule_policy::{
    catalogue::{CATALOGUE_BYTES_MAX, Catalogue, Entry},
    signals::lookalike::NameKeys,
};
use vestibule_protocol::time::Timestamp;

use super::{
    ConfigArgs, Failure, actor,
    show::{plain, table, when},
    with_hub,
};

/// Largest signed file: base64url makes four of three.
const SIGNED_BYTES_MAX: usize = CATALOGUE_BYTES_MAX / 3 * 4 + 4_096;

/// Show, verify and replace the catalogue of known clients; make and use a key to sign one.
///
/// A catalogue is taken only with the signature of a key in `catalogue.trusted_keys` and with a
/// higher serial than the one in use.
#[derive(Args)]
pub(crate) struct CatalogueCommand {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make a signing key; prints the public key for `catalogue.trusted_keys`
    NewKey {
        /// Where to put the private key (PEM); the file must not exist
        file: PathBuf,
    },
    /// Who is in the catalogue in use
    Show {
        /// Only whom a client of this name says it is
        #[arg(long, value_name = "NAME")]
        claims: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Sign a catalogue (JSON); prints the signed file
    Sign {
        /// The catalogue
        file: PathBuf,
        /// The private key, from `new-key`
        #[arg(long)]
        key_file: PathBuf,
    },
    /// Verify a signed catalogue and take it over
    Update {
        /// The signed file
        file: PathBuf,
    },
    /// Verify a signed catalogue; needs no database
    Verify {
        /// The signed file
        file: PathBuf,
    },
}

impl CatalogueCommand {
    pub(super) async fn run(self) -> Result<ExitCode, Failure> {
        let config = self.config;
        match self.action {
            Action::NewKey { file } => new_key(&file)?,
            Action::Sign { file, key_file } => println!("{}", sign(&file, &key_file)?),
            Action::Verify { file } => {
                let json = verified(&file, &config.checked()?.catalogue_keys)?;
                let catalogue = Catalogue::parse(json.as_bytes())?;
                println!("The signature is good.");
                println!("{}", summary(&catalogue));
            }
            Action::Update { file } => {
                let json = verified(&file, &config.checked()?.catalogue_keys)?;
                return with_hub(&config, async |hub| {
                    let why = "from a signed file";
                    let catalogue = hub.engine.save_catalogue(&json, why, actor()).await?;
                    println!("Taken over. {}", summary(&catalogue));
                    Ok(())
                })
                .await;
            }
            Action::Show { claims, json } => {
                return with_hub(&config, async |hub| {
                    show(&hub.engine.catalogue(), claims.as_deref(), json);
                    Ok(())
                })
                .await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn summary(catalogue: &Catalogue) -> String {
    format!(
        "Serial {}, issued {}, {} clients.",
        catalogue.serial(),
        when(Timestamp::from_seconds(catalogue.issued_at_s())),
        catalogue.entries().len()
    )
}

fn show(catalogue: &Catalogue, claims: Option<&str>, json: bool) {
    let claimed = claims.map(|name| {
        let claim = catalogue.claims(Some(&NameKeys::of(name)), &[], None);
        claim.map(|claim| claim.entry.product.as_str())
    });
    let shown = catalogue.entries().iter().filter(|entry| match claimed {
        None => true,
        Some(product) => product == Some(entry.product.as_str()),
    });
    let entries: Vec<&Entry> = shown.collect();
    if json {
        let entries = entries
            .iter()
            .map(|entry| as_json(entry))
            .collect::<Value>();
        let (serial, issued_at) = (catalogue.serial(), catalogue.issued_at_s());
        println!(
            "{}",
            json!({"serial": serial, "issued_at": issued_at, "entries": entries})
        );
        return;
    }
    let rows: Vec<[String; 4]> = entries
        .iter()
        .map(|entry| {
            let places = entry.cimd_ids.iter().chain(&entry.https_redirects);
            let places = places.map(String::as_str).collect::<Vec<_>>().join(" ");
            let places = if places.is_empty() {
                "– (a name only)".to_owned()
            } else {
                places
            };
            let (product, vendor) = (entry.product.clone(), entry.vendor.clone());
            [product, vendor, entry.names.join(", "), places]
        })
        .collect();
    table(["product", "vendor", "names", "known by"], &rows);
    if let (Some(name), true) = (claims, entries.is_empty()) {
        println!(
            "A client that calls itself “{}” claims to be nobody here.",
            plain(name)
        );
    }
    println!("{}", summary(catalogue));
}

fn as_json(entry: &Entry) -> Value {
    json!({
        "product": entry.product, "vendor": entry.vendor, "names": entry.names,
        "cimd_ids": entry.cimd_ids, "https_redirects": entry.https_redirects,
        "loopback_paths": entry.loopback_paths, "private_schemes": entry.private_schemes,
        "document_hosts": entry.document_hosts, "redirect_hosts": entry.redirect_hosts,
        "egress": entry.egress.iter().map(ToString::to_string).collect::<Value>(),
        "first_seen": entry.first_seen, "source": entry.source, "generic": entry.generic,
    })
}

/// The payload of a signed file.
fn verified(file: &Path, keys: &JwkSet) -> Result<String, Failure> {
    if keys.keys().is_empty() {
        return Err(
            "`catalogue.trusted_keys` names no key, so no catalogue can be verified".into(),
        );
    }
    let text = read(file, SIGNED_BYTES_MAX)?;
    let rules = Rules {
        size_max: SIGNED_BYTES_MAX,
        ..Rules::new(TypRule::Catalogue, &[Algorithm::EdDsa])
    };
    let payload = verify_document(text.trim(), keys, &rules)
        .map_err(|failure| format!("{} is not taken: {failure}", file.display()))?;
    Ok(String::from_utf8(payload)?)
}

fn sign(file: &Path, key_file: &Path) -> Result<String, Failure> {
    let json = read(file, CATALOGUE_BYTES_MAX)?;
    Catalogue::parse(json.as_bytes())
        .map_err(|failure| format!("{} is no catalogue: {failure}", file.display()))?;
    let key = PrivatePkcs8KeyDer::from_pem_file(key_file)
        .map_err(|failure| format!("{} is no private key: {failure}", key_file.display()))?;
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, key.secret_pkcs8_der())
        .map_err(|failure| format!("{}: {failure}", key_file.display()))?;
    Ok(key.sign(Some(CATALOGUE_TYP), json.as_bytes())?)
}

fn new_key(file: &Path) -> Result<(), Failure> {
    let (key, pkcs8) = SigningKey::generate(Algorithm::EdDsa)?;
    let failed = |failure: io::Error| format!("{} cannot be made: {failure}", file.display());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file).map_err(failed)?;
    // 48 octets of PKCS #8: one line of base64 (RFC 7468 §3).
    let encoded = STANDARD.encode(&*pkcs8);
    let lines = encoded.as_bytes().chunks(64);
    let lines: Vec<&str> = lines.filter_map(|line| str::from_utf8(line).ok()).collect();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        lines.join("\n")
    );
    out.write_all(pem.as_bytes()).map_err(failed)?;
    out.sync_all().map_err(failed)?;
    let public: Value =
        serde_json::from_slice(&JwkSet::of(vec![key.public_jwk().clone()]).to_json())?;
    let x = public.pointer("/keys/0/x").and_then(Value::as_str);
    println!(
        "The private key is in {}. Whoever trusts it configures:",
        file.display()
    );
    println!();
    println!("[catalogue]");
    println!("trusted_keys = [\"{}\"]", x.unwrap_or_default());
    Ok(())
}

fn read(file: &Path, bytes_max: usize) -> Result<String, Failure> {
    let failed = |failure: io::Error| format!("{} cannot be read: {failure}", file.display());
    let limit = u64::try_from(bytes_max)?.saturating_add(1);
    let mut text = String::new();
    let opened = fs::File::open(file).map_err(failed)?;
    opened
        .take(limit)
        .read_to_string(&mut text)
        .map_err(failed)?;
    if text.len() > bytes_max {
        return Err(format!("{} is longer than {bytes_max} bytes", file.display()).into());
    }
    Ok(text)
}
