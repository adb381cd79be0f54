//! The one way out (design invariant 7): a bounded HTTPS GET that cannot be talked into reaching
//! the inside of a network, and the few calls that configuration asks for.
//!
//! | Part            | What it does                                                             |
//! |-----------------|--------------------------------------------------------------------------|
//! | [`StrangerUrl`] | a URL that somebody unknown chose; decided on the raw string (F7 to F9)  |
//! | [`OperatorUrl`] | a URL from configuration; nothing converts one into the other            |
//! | [`address`]     | the table of special-purpose ranges, one RFC per row (F1, F5, F6)        |
//! | [`Fetcher`]     | resolve once, judge every address, dial exactly those, TLS, one exchange |
//! | [`Resolve`]     | where names become addresses, or texts; replaceable in tests             |
//! | [`Dial`]        | where a connection is opened; tests count the calls                      |
//!
//! ```text
//! StrangerUrl ──► resolve ──► guard: all or nothing ──► dial, in order ──► peer is who we dialled?
//!                                                                                   │
//!        Fetched ◄── status, some headers, bounded body ◄── HTTP/1.1 ◄── TLS ≥ 1.2 ◄┘
//! ```
//!
//! What never happens, so that whole classes of attack are gone: a redirect is not followed (F10),
//! a proxy variable is not read (F12), a connection is not used twice (F13), a compressed body is
//! not opened (F21), and there is no time or size that a host can choose (F19, F20). The guard is
//! not optional: [`Fetcher::new`] tests it and refuses to start when it does not hold (F16).
//!
//! Not here: any knowledge of OAuth, caches, budgets per host, and what people are told. Outside
//! this process [`FetchError::AddressRefused`] and [`FetchError::NameNotResolved`] must look the
//! same, or the hub becomes a map of the network behind it (F15). `cimd` folds them into one
//! answer; only the log tells them apart.

pub mod address;
mod answer;
mod dial;
mod exchange;
mod fetcher;
mod guard;
mod resolve;
mod target;
mod tls;

use std::pin::Pin;

pub use answer::{FetchError, Fetched, Purpose};
pub use dial::{Dial, Dialled, Io};
pub use fetcher::{FetchSettings, FetchSetupError, Fetcher};
pub use resolve::{NotResolved, Resolve};
pub use target::{OperatorUrl, OperatorUrlError, StrangerUrl, StrangerUrlError, UrlError};

/// A future behind a pointer, so that [`Resolve`] and [`Dial`] work as `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
