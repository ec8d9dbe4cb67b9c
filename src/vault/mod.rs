//! The client of Vault's HTTP interface (KV v2, tokens, response wrapping; OpenBao answers the same calls). It knows the calls
//! and what their answers mean, and nothing of grants: which calls make one is `grant`'s and `runner`'s.
//!
//! - [`client`]: [`Vault`], a server, and [`Session`], a server and a token; the one place where a request is sent.
//! - [`call`]: requests that `vaultrs` lacks or has differently; everyone else's are its own endpoint types.
//! - [`answer`]: what comes back. No type here that could hold a secret has a `Debug`.
//! - [`error`]: every way to be refused, in words; `classify` tells which it is (pure), `scrub` cleans the server's own words.
//! - [`token`], [`wrapping`], [`kv`], [`sys`], [`login`]: one function for each call.
//!
//! No retries in here: [`Why::may_pass`] says whether one makes sense, and the caller's policy when.

pub mod answer;
pub mod call;
mod classify;
pub mod client;
pub mod error;
pub mod kv;
pub mod login;
mod scrub;
pub mod sys;
pub mod token;
pub mod wrapping;

pub use answer::{Answer, WrapInfo};
pub use client::{Session, Settings, Token, Trust, Vault};
pub use error::{SettingsError, VaultError, Why};
