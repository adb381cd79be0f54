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
//! | live settings, keys                        | [`settings`], [`keys`] |
//!
//! Not here: what a page looks like, what a status code is (`server`), what is kept (`store`).

mod authorize;
mod client_auth;
mod clients;
mod clock;
mod consent;
mod engine;
mod hint;
mod initial_tokens;
mod introspect;
mod issue;
mod keys;
mod machine;
mod pages;
mod password;
mod problem;
mod push;
mod redeem;
mod refresh;
mod register;
mod registration;
mod revoke;
mod sealed;
mod settings;
mod setup;
mod sign_in;
mod source;
mod throttle;
mod ticket;
mod token;
mod userinfo;

pub use clients::{AddClientError, NewCredentials};
pub use clock::{Clock, Entropy};
pub use consent::ConsentForm;
pub use engine::{CachedDocument, Engine, EngineConfig, EngineParts, StartError};
pub use initial_tokens::*;
pub use keys::KeyError;
pub use pages::*;
pub use problem::{Problem, Shape};
pub use push::Pushed;
pub use settings::{Settings, SettingsChange, SettingsError};
pub use setup::{AddUserError, NewAccount, SetupForm};
pub use sign_in::SignInForm;
pub use source::Source;
