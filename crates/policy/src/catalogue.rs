//! The catalogue of known clients (design 4.3): exact identities that give standing `known`, pinned
//! copies of documents, and the names and hosts that others must not imitate.
//!
//! | Member                          | What it is good for                                          |
//! |---------------------------------|--------------------------------------------------------------|
//! | `cimd_ids`, `https_redirects`   | trust, by exact text; never by host (QUIRK-18)               |
//! | `loopback_paths`, `private_schemes` | a *claim*: any local program can use them (threats R4, R5) |
//! | `document_hosts`, `redirect_hosts` | a claim too: where a product's own name is no look-alike  |
//! | `names`, all hosts              | what look-alikes and homographs are compared with            |
//! | `egress`                        | headroom in counts (`signals::velocity`); never trust        |
//! | `pinned`                        | a document when its host cannot be reached (QUIRK-14)        |
//!
//! A file is the payload of a compact JWS (`EdDSA`) from whoever maintains the catalogue; an update
//! is taken only with a newer serial. Not here: the signature (`jwt`), where the file comes from.
//!
//! Parsing is strict: a catalogue with one bad entry is refused with the entry and the member.

mod read;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use ipnet::IpNet;
use vestibule_protocol::{
    client_id_url::registrable_domain,
    redirect_uri::{RedirectKind, RedirectUri},
};

use read::Content;

use crate::signals::{address_list::AddressList, homograph::KnownHost, lookalike::NameKeys};

/// Largest file.
pub const CATALOGUE_BYTES_MAX: usize = 4 << 20;
/// Most entries.
pub const ENTRIES_MAX: usize = 5_000;
const SHIPPED: &str = include_str!("../catalogue/catalogue.json");

/// What is wrong with a catalogue.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{member}: {message}", .entry.map(|at| format!("entries[{at}].")).unwrap_or_default())]
pub struct CatalogueError {
    /// Index of the entry; `None` for the file.
    pub entry: Option<usize>,
    /// The member, or `file`.
    pub member: String,
    /// Which rule it broke.
    pub message: String,
}

/// A known client.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is called on pages.
    pub product: String,
    /// Who makes it.
    pub vendor: String,
    /// What it calls itself.
    pub names: Vec<String>,
    /// Exact ids of its documents.
    pub cimd_ids: Vec<String>,
    /// Exact redirects that only its vendor receives.
    pub https_redirects: Vec<String>,
    /// Paths of its loopback redirects.
    pub loopback_paths: Vec<String>,
    /// Schemes of its private-use redirects, without `:`.
    pub private_schemes: Vec<String>,
    /// Hosts of its documents, and of documents with ids that cannot be foretold.
    pub document_hosts: Vec<String>,
    /// Hosts of redirects whose paths cannot be foretold.
    pub redirect_hosts: Vec<String>,
    /// Ranges that its vendor publishes.
    pub egress: Vec<IpNet>,
    /// The day on which the catalogue first listed it, `YYYY-MM-DD`.
    pub first_seen: String,
    /// Where the facts are from.
    pub source: String,
    /// Many programs are called so, on any host: a name that imitates nobody.
    pub generic: bool,
    pinned: BTreeMap<String, String>,
    keys: Vec<NameKeys>,
    vendor_keys: NameKeys,
    /// The vendor's name is no part of the product's: only then does it add a claim.
    vendor_signs: bool,
    hosts: BTreeSet<String>,
    known_hosts: Vec<KnownHost>,
}

/// A name that is protected.
#[derive(Clone, Copy, Debug)]
pub struct KnownName<'a> {
    /// Whose name it is: a product, or a vendor.
    pub product: &'a str,
    /// In the forms that are compared.
    pub keys: &'a NameKeys,
    /// Its vendor's name, where that is no part of its own.
    pub vendor: Option<&'a NameKeys>,
    /// See [`Entry::generic`].
    pub generic: bool,
}

/// What a client says it is, without proof.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The product.
    pub entry: &'a Entry,
    /// By its name; else by its private-use scheme.
    pub by_name: bool,
}

impl Claim<'_> {
    /// One sentence for a page.
    pub fn sentence(&self) -> String {
        format!("It says it is {}; nothing proves it.", self.entry.product)
    }
}

/// A parsed catalogue.
#[derive(Clone, Debug)]
pub struct Catalogue {
    serial: u64,
    issued_at_s: u64,
    entries: Vec<Entry>,
    by_id: BTreeMap<String, usize>,
    by_redirect: BTreeMap<String, usize>,
    egress: AddressList,
}

impl Catalogue {
    /// The one in the binary.
    pub fn shipped() -> Result<Self, CatalogueError> {
        Self::parse(SHIPPED.as_bytes())
    }

    /// The one in the binary, parsed once for the process.
    #[expect(
        clippy::expect_used,
        reason = "the text is a constant, and the tests parse it"
    )]
    pub fn built_in() -> Arc<Self> {
        static PARSED: LazyLock<Arc<Catalogue>> =
            LazyLock::new(|| Arc::new(Catalogue::shipped().expect("the shipped catalogue")));
        Arc::clone(&PARSED)
    }

    /// Read a payload.
    pub fn parse(json: &[u8]) -> Result<Self, CatalogueError> {
        if json.len() > CATALOGUE_BYTES_MAX {
            return Err(read::file("longer than 4 MiB"));
        }
        Self::of(read::content(json)?)
    }

    /// An identity belongs to one entry.
    fn of(content: Content) -> Result<Self, CatalogueError> {
        let Content {
            serial,
            issued_at_s,
            entries,
        } = content;
        let mut by_id = BTreeMap::new();
        let mut by_redirect = BTreeMap::new();
        let mut products = BTreeMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let once = |map: &mut BTreeMap<String, usize>, member: &str, text: &str| {
                map.insert(text.to_owned(), at).map_or(Ok(()), |other| {
                    Err(CatalogueError {
                        entry: Some(at),
                        member: member.to_owned(),
                        message: format!("`{text}` is in entries[{other}] already"),
                    })
                })
            };
            once(&mut products, "product", &entry.product)?;
            for id in &entry.cimd_ids {
                once(&mut by_id, "cimd_ids", id)?;
            }
            for redirect in &entry.https_redirects {
                once(&mut by_redirect, "https_redirects", redirect)?;
            }
        }
        let egress: Vec<IpNet> = entries
            .iter()
            .flat_map(|entry| entry.egress.iter().copied())
            .collect();
        Ok(Self {
            serial,
            issued_at_s,
            egress: AddressList::of(&egress),
            entries,
            by_id,
            by_redirect,
        })
    }

    /// Read the payload of an update; refused unless its serial is newer, so that nobody can bring
    /// back an old catalogue that was signed once.
    pub fn update(&self, json: &[u8]) -> Result<Self, CatalogueError> {
        let new = Self::parse(json)?;
        let refuse = |member: &str, message: String| CatalogueError {
            entry: None,
            member: member.to_owned(),
            message,
        };
        if new.serial <= self.serial {
            let message = format!("{} is not newer than {}", new.serial, self.serial);
            return Err(refuse("serial", message));
        }
        if new.issued_at_s < self.issued_at_s {
            let message = "is before that of the catalogue in use".to_owned();
            return Err(refuse("issued_at", message));
        }
        Ok(new)
    }

    /// Rises with each issue.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// In seconds since 1970.
    pub fn issued_at_s(&self) -> u64 {
        self.issued_at_s
    }

    /// All, in the order of the file.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The client whose document has exactly this id.
    pub fn known_by_id(&self, client_id: &str) -> Option<&Entry> {
        self.entries.get(*self.by_id.get(client_id)?)
    }

    /// The client to which a registration's codes go, whoever registered it.
    ///
    /// With a redirect in use: that one is exactly an https redirect of the entry, and all others
    /// are the entry's too (loopback paths and schemes included): one vendor redirect beside an
    /// attacker's is nobody. Without one: all are exactly its https redirects.
    pub fn known_by_redirects(
        &self,
        redirects: &[RedirectUri],
        in_use: Option<&str>,
    ) -> Option<&Entry> {
        let exact = |uri: &str| self.by_redirect.get(uri).copied();
        let at = match in_use {
            Some(uri) => exact(uri)?,
            None => exact(redirects.first()?.as_str())?,
        };
        let entry = self.entries.get(at)?;
        let belongs = |uri: &RedirectUri| match uri.kind() {
            RedirectKind::Https => exact(uri.as_str()) == Some(at),
            RedirectKind::Loopback | RedirectKind::PrivateUse => {
                in_use.is_some() && entry.has_local(uri)
            }
        };
        let registered = in_use.is_none_or(|used| redirects.iter().any(|uri| uri.as_str() == used));
        (registered && redirects.iter().all(belongs)).then_some(entry)
    }

    /// What a client says it is, where that can be the truth and nothing proves it: its name is a
    /// product's and it returns where that product may; or it returns to a product's private-use
    /// scheme.
    pub fn claims(
        &self,
        name: Option<&NameKeys>,
        redirects: &[RedirectUri],
        document_host: Option<&str>,
    ) -> Option<Claim<'_>> {
        let named = name.and_then(|keys| {
            self.entries
                .iter()
                .filter(|entry| entry.is_named(keys))
                .find(|entry| entry.may_be_at(redirects, document_host))
        });
        let by_scheme = || {
            let private = |uri: &&RedirectUri| uri.kind() == RedirectKind::PrivateUse;
            redirects
                .iter()
                .filter(private)
                .find_map(|uri| self.entries.iter().find(|entry| entry.has_local(uri)))
        };
        match named {
            Some(entry) => Some(Claim {
                entry,
                by_name: true,
            }),
            None => by_scheme().map(|entry| Claim {
                entry,
                by_name: false,
            }),
        }
    }

    /// All names that are protected: products', then vendors'.
    pub fn names(&self) -> impl Iterator<Item = KnownName<'_>> {
        let products = self.entries.iter().flat_map(|entry| {
            entry.keys.iter().map(|keys| KnownName {
                product: &entry.product,
                keys,
                vendor: entry.signature(),
                generic: entry.generic,
            })
        });
        products.chain(self.entries.iter().map(|entry| KnownName {
            product: &entry.vendor,
            keys: &entry.vendor_keys,
            vendor: None,
            generic: entry.generic,
        }))
    }

    /// The host of a vendor's exact redirect that stands beside a redirect of somebody else: only
    /// its vendor can use the one, and only a stranger the other (threats R14). Loopback redirects
    /// are anybody's.
    pub fn borrowed_redirect(&self, redirects: &[RedirectUri]) -> Option<String> {
        redirects.iter().find_map(|uri| {
            let entry = self.entries.get(*self.by_redirect.get(uri.as_str())?)?;
            let foreign = |other: &RedirectUri| match other.kind() {
                RedirectKind::Https => !other.host().is_some_and(|host| entry.is_at_home(&host)),
                RedirectKind::Loopback => false,
                RedirectKind::PrivateUse => !entry.has_local(other),
            };
            redirects.iter().any(foreign).then(|| uri.host()).flatten()
        })
    }

    /// All hosts that are protected.
    pub fn hosts(&self) -> impl Iterator<Item = &KnownHost> {
        self.entries.iter().flat_map(|entry| &entry.known_hosts)
    }

    /// The pinned copy of a document: for failures of transport only, never over an answer that
    /// says that it is gone or that is invalid (QUIRK-14).
    pub fn pinned(&self, client_id: &str) -> Option<&str> {
        self.known_by_id(client_id)?
            .pinned
            .get(client_id)
            .map(String::as_str)
    }

    /// The address is in a range that a vendor publishes.
    pub fn is_vendor_egress(&self, ip: IpAddr) -> bool {
        self.egress.contains(ip)
    }
}

impl Entry {
    fn is_named(&self, keys: &NameKeys) -> bool {
        self.keys.iter().any(|known| {
            if self.generic {
                keys.is_same_in_full(known)
            } else {
                keys.is_same(known)
            }
        })
    }

    /// The vendor's name, where it adds a claim.
    fn signature(&self) -> Option<&NameKeys> {
        self.vendor_signs.then_some(&self.vendor_keys)
    }

    /// On a site of its vendor.
    fn is_at_home(&self, host: &str) -> bool {
        let site = registrable_domain(host);
        self.known_hosts.iter().any(|own| own.domain() == site)
    }

    /// A loopback path or a private-use scheme that it uses.
    fn has_local(&self, uri: &RedirectUri) -> bool {
        match uri.kind() {
            RedirectKind::Https => false,
            RedirectKind::Loopback => {
                let path = loopback_path(uri.as_str());
                self.loopback_paths.iter().any(|known| known == path)
            }
            RedirectKind::PrivateUse => {
                let scheme = uri.display_host().trim_end_matches(':');
                self.private_schemes.iter().any(|known| known == scheme)
            }
        }
    }

    /// Could this product return there, and have its document there? Local paths change with
    /// versions and prove nothing, so any will do for a product that has some.
    fn may_be_at(&self, redirects: &[RedirectUri], document_host: Option<&str>) -> bool {
        let local = !self.loopback_paths.is_empty() || !self.private_schemes.is_empty();
        if self.generic || (!local && self.hosts.is_empty()) {
            return true;
        }
        let own = |host: &str| self.hosts.contains(host);
        document_host.is_none_or(own)
            && redirects.iter().all(|uri| match uri.kind() {
                RedirectKind::Https => uri.host().as_deref().is_some_and(own),
                RedirectKind::Loopback | RedirectKind::PrivateUse => local,
            })
    }
}

fn loopback_path(uri: &str) -> &str {
    let rest = uri.strip_prefix("http://").unwrap_or(uri);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split('?').next().unwrap_or(path)
}
