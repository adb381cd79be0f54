//! Tokens and keys, tried against each other.
