//! HTTP: routes, endpoints, pages. Unwraps a request, calls one method of the engine, wraps its
//! answer; nothing is judged here.
//!
//! | What                                         | Where        |
//! |----------------------------------------------|--------------|
//! | every route, on one screen                   | [`routes`]   |
//! | client address, forms, cookies               | `extract/`   |
//! | one file per endpoint for programs           | `endpoints/` |
//! | what a person sees                           | `pages/`, `templates/` |
//! | an error's status and headers                | [`problem`]  |
//! | CORS, security headers, unknown hosts        | [`surface`]  |
//! | connections                                  | [`serve`]    |
//!
//! Not here: a store, a rule of OAuth, TLS (a reverse proxy's).

mod app;
mod endpoints;
mod extract;
mod pages;
mod problem;
mod routes;
mod serve;
mod surface;

pub use app::{App, HttpSettings};
pub use pages::respond;
pub use routes::{Route, Surface, endpoints_markdown, route_list, router, routes};
pub use serve::serve;
