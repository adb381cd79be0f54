//! A labelled corpus of arrivals, honest and abusive, and what each preset makes of them.
//!
//! | What                                  | Where       |
//! |---------------------------------------|-------------|
//! | the form of `data/*.jsonl`            | [`arrival`] |
//! | an arrival as facts, and its outcome  | [`judge`]   |
//! | rates, tables, what `balanced` promises | [`report`] |
//!
//! `cargo xtask corpus` prints the tables; `docs/corpus.md` says how to read them and what they do
//! not show. Both labels and texts are ours: nothing in here is traffic of anybody.
//!
//! Not here: HTTP, a store, a clock. An arrival goes through the parsers, signals and policies that
//! the hub uses, by way of `vestibule-protocol` and `vestibule-policy` alone.

pub mod arrival;
pub mod judge;
pub mod report;
