//! The server's answers, in process: the real router over a real engine and a real store, with
//! client documents, time and randomness that the tests decide.
//!
//! | What                                            | Where      |
//! |-------------------------------------------------|------------|
//! | every route: headers, CORS, methods             | `coverage` |
//! | every parameter of every route, sent badly      | `matrix`   |
//! | the whole way over HTTP, by either door         | `flow`     |
//! | exact error bodies and their headers            | `bodies`   |
//! | what a person is shown                          | `pages`    |
//! | the same for what few requests lead to          | `variants` |
//! | the socket, floods, proxies, set-up              | `edge`     |
//! | that no secret is logged                        | `logs`     |
//!
//! Not here: the binary (its own tests), rules of OAuth row by row (the engine's tests).

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what surprises a test should end it"
)]

mod bodies;
mod coverage;
mod edge;
mod flow;
mod logs;
mod matrix;
mod pages;
mod support;
mod variants;
