//! `dispatch.toml`, then the environment, then flags; and for each value where it came from.

pub mod types;

pub use types::Config;
