//! The one way out: bounded HTTPS GET of a URL that a stranger chose, to public addresses only.
//!
//! The only crate with an HTTP client and a resolver. It knows nothing of OAuth. There are two
//! kinds of targets without conversion between them: [`StrangerUrl`] (anybody's choice, GET only,
//! every address judged before the first packet) and [`OperatorUrl`] (from configuration only, one
//! exact origin).
//!
//! | Promise                                                           | Where                |
//! |-------------------------------------------------------------------|----------------------|
//! | the text is judged before it is parsed (F7, F8, F9, F14)          | [`StrangerUrl`]      |
//! | no special-purpose address, in any IPv6 disguise (F1, F5, F6)     | [`address`]          |
//! | what is dialled is what was judged; one bad answer spoils all (F2, F3, F4) | [`connect`] |
//! | no redirect, proxy, pool, cookie, compression (F10, F12, F13, F21) | [`Fetcher::get`]    |
//! | one deadline, one byte budget (F19, F20)                          | [`Fetcher::get`]     |
//! | no fetch without a guard that was tried (F16)                     | [`Fetcher::new`]     |
//!
//! Callers must not tell strangers [`FetchError`]s apart: that an address was refused and that a
//! name does not resolve has to look alike from outside (F15).
//!
//! Not here: caching, budgets, what a document means.

pub mod address;
mod client;
mod connect;
mod resolve;
mod settings;
mod url;

pub use self::url::{OperatorUrl, OperatorUrlError, StrangerUrl, StrangerUrlError};
pub use client::{FetchError, Fetched, Fetcher, Purpose};
pub use connect::{Dial, TcpDial};
pub use resolve::{Resolve, ResolveFailed, Resolving, SystemResolver};
pub use settings::{FetchSettings, FetchSetupError};
