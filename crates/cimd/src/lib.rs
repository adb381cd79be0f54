//! Client ID Metadata Documents: from a `client_id` that is a URL to metadata that was checked.
//!
//! [`Resolver`] is what an authorization server keeps: it fetches through `vestibule-fetch` (public
//! addresses only, no redirects, 5 kB, one deadline), checks with
//! `vestibule_protocol::cimd_document`, and caches what validated. The crate is usable alone; it
//! knows nothing of grants, consent or databases.
//!
//! | Rule                                                        | Where |
//! |-------------------------------------------------------------|-------|
//! | what an answer means: fresh, withdrawn, unreachable         | [`answer`] (pure) |
//! | how long a document may be used                             | [`lifetime`] (pure) |
//! | exact-string cache, single flight, stale-while-revalidate   | [`resolver`] |
//! | budgets per host and per source                             | [`budget`] |
//!
//! Draft: `draft-ietf-oauth-client-id-metadata-document-03` by its editor's copy; rules that are
//! new there live in `vestibule_protocol::cimd_document` only.
//!
//! Not here: which ids are welcome (door, policy), what a person is shown.

pub mod answer;
pub mod budget;
pub mod lifetime;
pub mod resolver;

pub use resolver::{Document, Documents, KeyBytes, ResolveError, Resolver, ResolverSettings};
