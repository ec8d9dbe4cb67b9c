//! `dispatch.toml`, then the environment, then flags; and for each value where it came from.
//!
//! - [`types`]: what can be configured; the only list of keys.
//! - [`keys`]: the same, read off the types' JSON schema: names, kinds, ranges, environment variables, documentation.
//! - [`load`]: finds the file, answers a [`Loaded`] or everything that is wrong; `overlay`: the environment and the flags.
//! - `file`: one TOML file against the keys, every mistake at once, each with its place.
//! - `draft`: the values while they are put together.
//! - `check`: what a schema cannot say: values that do not fit together.
//! - `vault`: the same for `[secrets.vault]`, and the variables that fill it in.
//! - [`error`]: what is wrong, with the text in which it is wrong.
//! - [`reload`]: what a running dispatcher may take over.

mod check;
mod draft;
pub mod error;
mod file;
pub mod keys;
mod leaf;
pub mod load;
mod overlay;
pub mod reload;
pub mod remote;
pub mod types;
mod vault;

pub use error::{ConfigError, Report};
pub use load::{Loaded, Origin, Setting, Sources};
pub use types::Config;
