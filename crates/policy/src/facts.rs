//! What is known of a client and of a request when a policy is asked: the closed record that the
//! Cedar schema types, and the only input of a decision.
//!
//! Two equal [`Facts`] get equal decisions under one policy, so decisions are remembered by them.
//! Counts are clamped to [`COUNT_MAX`], so that no arithmetic in a policy can overflow.
//!
//! Not here: how a fact is found (`signals`), what follows from it (`decision`).

use std::{collections::BTreeSet, net::IpAddr};

use vestibule_protocol::trust::{Door, RedirectShape, Signal, Standing, UserAgentKind};

/// Largest count that a policy sees.
pub const COUNT_MAX: u32 = 1_000_000;

/// The client, as it is now. Nothing in here comes from one request, so a token endpoint can use it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a typed attribute of the policy schema"
)]
pub struct ClientFacts {
    /// Short client key; empty at registration, when there is no id yet.
    pub id: String,
    /// Host of its document; none for a registration.
    pub host: Option<String>,
    /// How it came to be.
    pub door: Door,
    /// Normalised software key (`signals::software`): self-asserted.
    pub software: String,
    /// What an admin, a domain proof or the catalogue says.
    pub standing: Standing,
    /// It proves itself with a secret or a key.
    pub confidential: bool,
    /// Its exact identity is in the catalogue.
    pub catalogued: bool,
    /// Shapes of all its redirect URIs.
    pub redirects: BTreeSet<RedirectShape>,
    /// Whole days since it was first stored here; 0 for a newcomer.
    pub days_known: u32,
    /// People with a live grant to exactly this client.
    pub people: u32,
    /// The known client or hub client that its name imitates, without being it.
    pub lookalike_of: Option<String>,
    /// The catalogued product that it says it is, where nothing proves it (loopback or private use).
    pub claims: Option<String>,
    /// The known host that its own host imitates, or that it shows as its own.
    pub homograph_of: Option<String>,
    /// Its name mixes scripts in a way that people do not write (UTS 39).
    pub mixed_script: bool,
    /// 0 to 100: how complete and consistent its metadata is.
    pub quality: u32,
    /// A URL of its metadata (home page, policy, terms, keys, logo) is on another site than the
    /// client itself.
    pub foreign_urls: bool,
    /// People who reported it.
    pub reports: u32,
    /// Changes of its document that mattered, in the last 30 days.
    pub changes_30d: u32,
    /// A live proof of the domain it claims.
    pub domain_proved: bool,
}

/// Where a request comes from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SourceFacts {
    /// The address, behind configured proxies only.
    pub ip: IpAddr,
    /// Autonomous system.
    pub asn: Option<u32>,
    /// ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// An admin's CIDR list names it.
    pub listed: bool,
    /// A reputation file names it.
    pub bad_reputation: bool,
    /// A catalogued vendor's published egress range.
    pub vendor_egress: bool,
    /// Registrations and first sights from its prefix (IPv4 address, IPv6 /64) in the last hour.
    pub registrations_last_hour: u32,
    /// The same for the software that it says it is, from everywhere but vendor egress.
    pub software_last_hour: u32,
    /// What its `User-Agent` says.
    pub user_agent: UserAgentKind,
}

/// Everything that a policy sees.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Facts {
    /// The client.
    pub client: ClientFacts,
    /// The request's source.
    pub source: SourceFacts,
    /// Third-party risk score, 0 (good) to 100 (bad).
    pub score: Option<u32>,
    /// Signals that could not be had.
    pub missing: BTreeSet<Signal>,
}
