//! Signals: what can be found out about a client and a request, each in its own file, pure, with one
//! sentence that a person understands. A signal says what is; a policy says what follows.
//!
//! | What                                      | Where                          |
//! |-------------------------------------------|--------------------------------|
//! | who it is, and who it says it is          | [`crate::catalogue`], [`domain_proof`] |
//! | whom it imitates                          | [`lookalike`], [`homograph`], [`borrowed`] |
//! | where it returns to, what it links to     | [`redirect_shape`], [`origins`], [`quality`] |
//! | what the hub remembers                    | [`history`], [`stability`]     |
//! | clones                                    | [`software`], [`velocity`]     |
//! | where a request comes from                | [`address_list`], [`geo`], [`user_agent`] |
//! | what others say                           | [`score`]                      |
//!
//! [`client_facts`] and [`source_facts`] put them together. All inputs are bounded by the parsers of
//! `protocol`; times are arguments.

pub mod address_list;
pub mod borrowed;
pub mod domain_proof;
pub mod geo;
pub mod history;
pub mod homograph;
pub mod lookalike;
pub mod origins;
pub mod quality;
pub mod redirect_shape;
pub mod score;
pub mod software;
pub mod stability;
pub mod user_agent;
pub mod velocity;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr};

use vestibule_protocol::{
    client_id::ClientKey,
    client_metadata::{ClientMetadata, DisplayName},
    redirect_uri::{RedirectKind, RedirectUri},
    trust::{Door, Signal, Standing, UserAgentKind},
};

use crate::{
    catalogue::{Catalogue, Entry},
    facts::{ClientFacts, SourceFacts},
};
use address_list::NamedLists;
use geo::Geo;
use history::{History, HistoryFacts, clamp};
use homograph::KnownHost;
use lookalike::{NameKeys, OwnNames};
use velocity::Counts;

/// What an operator may have set up, and whether it works now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Feed<T> {
    /// Not set up: nothing is missing.
    Off,
    /// Set up, and without an answer now: missing.
    Failed,
    /// There.
    Ready(T),
}

impl<T> Feed<T> {
    fn ready(&self) -> Option<&T> {
        match self {
            Self::Ready(value) => Some(value),
            Self::Failed | Self::Off => None,
        }
    }

    fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}

/// What is known of a client before it is judged.
#[derive(Clone, Copy, Debug)]
pub struct ClientInputs<'a> {
    /// What it says of itself.
    pub metadata: &'a ClientMetadata,
    /// How it came to be.
    pub door: Door,
    /// Its id; `None` while it registers.
    pub client_id: Option<&'a str>,
    /// Host of its document; `None` for other doors.
    pub document_host: Option<&'a str>,
    /// The registered redirect that a grant is bound to. `None` where none is, which is stricter:
    /// then all redirects must be the catalogue's.
    pub redirect_in_use: Option<&'a str>,
    /// What an admin says of exactly this client.
    pub vouched: Option<Standing>,
    /// A live proof of the domain that it claims ([`domain_proof`]).
    pub domain_proved: bool,
    /// What the store says; `None` if it could not be asked.
    pub history: Option<History>,
    /// Now, in seconds since 1970.
    pub now_s: u64,
    /// Known clients.
    pub catalogue: &'a Catalogue,
    /// Names of the hub's own clients, without this one.
    pub own_names: &'a OwnNames,
    /// The hub's host, and others that an operator protects.
    pub own_hosts: &'a [KnownHost],
}

/// What is known of a request's source before it is judged.
#[derive(Clone, Copy, Debug)]
pub struct SourceInputs<'a> {
    /// The address, behind configured proxies only.
    pub ip: IpAddr,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// A country file.
    pub countries: Feed<&'a Geo>,
    /// A file of autonomous systems.
    pub networks: Feed<&'a Geo>,
    /// An admin's lists.
    pub lists: &'a NamedLists,
    /// Reputation lists.
    pub reputation: Feed<&'a NamedLists>,
    /// What [`velocity::Velocity::counts`] told.
    pub counts: Counts,
    /// For published egress ranges.
    pub catalogue: &'a Catalogue,
}

/// The catalogue's entry for exactly this client. A document is known by its id alone: copying a
/// vendor's redirect into another document makes nobody the vendor.
pub fn known<'a>(inputs: &ClientInputs<'a>) -> Option<&'a Entry> {
    match inputs.door {
        Door::Admin => None,
        Door::Cimd => inputs.catalogue.known_by_id(inputs.client_id?),
        Door::Dcr => inputs
            .catalogue
            .known_by_redirects(&inputs.metadata.redirect_uris, inputs.redirect_in_use),
    }
}

/// The best of what speaks for it, in this order: an admin made it (`first_party`), an admin
/// vouches for it or it proved its domain (`verified`), the catalogue knows it (`known`), nobody
/// (`unverified`).
fn standing(inputs: &ClientInputs<'_>, catalogued: bool) -> Standing {
    if inputs.door == Door::Admin {
        // Whoever made it says what it is.
        return inputs.vouched.unwrap_or(Standing::FirstParty);
    }
    let proved = inputs.domain_proved.then_some(Standing::Verified);
    let listed = catalogued.then_some(Standing::Known);
    [inputs.vouched, proved, listed]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(Standing::Unverified)
}

/// All names that it gives itself: a translation (RFC 7591 §2.2) is shown too.
fn names(metadata: &ClientMetadata) -> impl Iterator<Item = &str> {
    let translated = metadata.localized_names.iter().map(|(_, name)| name);
    let all = metadata.client_name.iter().chain(translated);
    all.map(DisplayName::as_str)
}

fn imitated_name(
    inputs: &ClientInputs<'_>,
    names: &[NameKeys],
    identity_proved: bool,
) -> Option<String> {
    let catalogue = inputs.catalogue;
    names.iter().find_map(|name| {
        let redirects = &inputs.metadata.redirect_uris;
        let is_claim = catalogue
            .claims(Some(name), redirects, inputs.document_host)
            .is_some_and(|claim| claim.by_name);
        lookalike::lookalike(name, identity_proved, is_claim, catalogue, inputs.own_names)
    })
}

/// A client lives where its document is, and where its codes go.
fn imitated_host(inputs: &ClientInputs<'_>) -> Option<String> {
    let redirects = inputs
        .metadata
        .redirect_uris
        .iter()
        .filter(|uri| uri.kind() == RedirectKind::Https)
        .filter_map(RedirectUri::host);
    let document = inputs.document_host.map(str::to_owned);
    document.into_iter().chain(redirects).find_map(|host| {
        homograph::homograph(&host, inputs.catalogue.hosts().chain(inputs.own_hosts))
    })
}

/// Put together what a policy sees of a client.
pub fn client_facts(inputs: &ClientInputs<'_>) -> ClientFacts {
    let (metadata, host) = (inputs.metadata, inputs.document_host);
    let catalogued = known(inputs).is_some();
    let standing = standing(inputs, catalogued);
    let vouched = matches!(
        inputs.vouched,
        Some(Standing::FirstParty | Standing::Verified)
    );
    // A proved domain says nothing about a name: anybody has a domain.
    let identity_proved = catalogued || vouched || standing == Standing::FirstParty;
    let keys: Vec<NameKeys> = names(metadata).map(NameKeys::of).collect();
    let name = metadata.client_name.as_ref().and(keys.first());
    let claim = inputs.catalogue.claims(name, &metadata.redirect_uris, host);
    let claim = claim.filter(|_| !identity_proved);
    let history = inputs
        .history
        .as_ref()
        .map_or_else(HistoryFacts::default, |history| {
            history::history(history, inputs.now_s)
        });
    ClientFacts {
        id: inputs
            .client_id
            .map_or_else(String::new, |id| ClientKey::of(id).short()),
        host: host.map(str::to_owned),
        door: inputs.door,
        software: software::software(metadata),
        standing,
        confidential: !metadata.auth_methods.is_public(),
        catalogued,
        redirects: redirect_shape::redirect_shapes(metadata, host),
        days_known: history.days_known,
        people: history.people,
        lookalike_of: imitated_name(inputs, &keys, identity_proved),
        claims: claim.map(|claim| claim.entry.product.clone()),
        homograph_of: if identity_proved {
            None
        } else {
            imitated_host(inputs).or_else(|| borrowed::borrowed(metadata, host, inputs.catalogue))
        },
        mixed_script: names(metadata).any(lookalike::mixed_script),
        quality: quality::quality(metadata, host).score,
        foreign_urls: !origins::foreign_urls(metadata, host).is_empty(),
        reports: history.reports,
        changes_30d: history.changes_30d,
        domain_proved: inputs.domain_proved,
    }
}

/// Put together what a policy sees of a request's source.
pub fn source_facts(inputs: &SourceInputs<'_>) -> SourceFacts {
    let reputation = inputs.reputation.ready();
    SourceFacts {
        ip: inputs.ip.to_canonical(),
        asn: inputs.networks.ready().and_then(|geo| geo.asn(inputs.ip)),
        country: inputs
            .countries
            .ready()
            .and_then(|geo| geo.country(inputs.ip)),
        listed: inputs.lists.contains(inputs.ip),
        bad_reputation: reputation.is_some_and(|lists| lists.contains(inputs.ip)),
        vendor_egress: inputs.catalogue.is_vendor_egress(inputs.ip),
        registrations_last_hour: clamp(inputs.counts.source.into()),
        software_last_hour: clamp(inputs.counts.software.into()),
        user_agent: user_agent::user_agent(inputs.user_agent),
    }
}

/// The signals that should be there and could not be had.
pub fn missing(
    client: &ClientInputs<'_>,
    source: &SourceInputs<'_>,
    facts: &SourceFacts,
    score: &Feed<u32>,
) -> BTreeSet<Signal> {
    [
        (
            Signal::Asn,
            !source.networks.is_off() && facts.asn.is_none(),
        ),
        (
            Signal::Country,
            !source.countries.is_off() && facts.country.is_none(),
        ),
        (Signal::History, client.history.is_none()),
        (Signal::Reputation, source.reputation == Feed::Failed),
        (Signal::Score, *score == Feed::Failed),
        (
            Signal::UserAgent,
            facts.user_agent == UserAgentKind::Missing,
        ),
    ]
    .into_iter()
    .filter_map(|(signal, missing)| missing.then_some(signal))
    .collect()
}
