//! The authorization server without HTTP and without SQL: one file per use case.
//!
//! Every use case has the same shape: parse, decide in pure code, prepare everything that can
//! fail, commit once through a verb of the store, then answer. Time, randomness, documents and the
//! store come in as trait objects; the crate never names an HTTP type.
//!
//! | Use case                                   | File |
//! |--------------------------------------------|------|
//! | who is this client, by either door         | [`clients`] |
//! | `POST /register`, RFC 7592                 | [`register`], [`registration`] |
//! | `/authorize`, PAR, consent, sign-in, set-up | [`authorize`], [`hint`], [`push`], [`consent`], [`sign_in`], [`setup`] |
//! | `POST /token`                              | [`token`], [`redeem`], [`refresh`], [`machine`], [`issue`] |
//! | revocation, introspection, userinfo        | [`revoke`], [`introspect`], [`userinfo`] |
//! | the page of a client that waits            | [`waiting`] |
//! | an admin's pages                           | [`admin_pages`] |
//! | live settings, keys                        | [`settings`], [`keys`] |
//! | policies, the catalogue, what a client is worth | [`policies`], [`catalogue`], [`explain`] |
//! | from registrations to a document client     | [`succession`] |
//! | what a third party thinks of a request     | [`score`] |
//!
//! Not here: what a page looks like, what a status code is (`server`), what is kept (`store`).

mod admin_pages;
mod admission;
mod authorize;
mod catalogue;
mod client_auth;
mod clients;
mod clock;
mod consent;
mod domains;
mod drift;
mod engine;
mod explain;
mod hint;
mod initial_tokens;
mod introspect;
mod issue;
mod keys;
mod live;
mod machine;
mod pages;
mod password;
mod policies;
mod power_table;
mod problem;
mod push;
mod recent;
mod redeem;
mod refresh;
mod register;
mod registration;
mod revoke;
mod score;
mod sealed;
mod settings;
mod setup;
mod sign_in;
mod source;
mod succession;
mod throttle;
mod ticket;
mod token;
mod userinfo;
mod vouching;
mod waiting;

pub use admin_pages::{ApprovalForm, DoorsForm};
pub use admission::SignalFiles;
pub use catalogue::SaveCatalogueError;
pub use clients::{AddClientError, NewCredentials};
pub use clock::{Clock, Entropy};
pub use consent::ConsentForm;
pub use domains::{AskProofError, Domains, FetchDomains, ProofAsked};
pub use engine::{CachedDocument, Engine, EngineConfig, EngineParts, StartError, accept_issuer};
pub use explain::{ExplainError, Explanation};
pub use initial_tokens::*;
pub use keys::{AccessTokenAlg, AccessTokenAlgs, KeyError, StagedKey};
pub use pages::*;
pub use policies::{Replay, ReplayedChange, SavePolicyError};
pub use problem::{Problem, Shape};
pub use push::Pushed;
pub use score::{
    HttpScoreHook, SCORE_DEADLINE, SCORE_DEADLINE_MAX, ScoreHook, Scores, WeakHookSecret,
};
pub use settings::{Limits, Rate, Settings, SettingsChange, SettingsError};
pub use setup::{AddUserError, NewAccount, SetupForm};
pub use sign_in::SignInForm;
pub use source::Source;
pub use succession::LinkError;
pub use vouching::VouchError;
