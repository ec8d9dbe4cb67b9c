//! Redaction: no granted value leaves the job, in whatever form the formula prints it.
//!
//! - `forms`: one value → every byte string under which it could appear (pure).
//! - [`patterns`]: all forms of all values in one automaton (pure).
//! - [`stream`]: the automaton over a stream that arrives in arbitrary pieces (pure).
//! - [`registry`]: which values there are now; more may come while the formula runs.
//!
//! Used by `runner::pump`, one [`Redactor`] for each of the formula's streams.
//!
//! # What is found
//! Each value trimmed, each of its lines of 8 characters or more, each leaf of 6 or more if it is JSON; each of these plain,
//! reversed, JSON-escaped, URL-encoded, quoted for a shell, in base64 (both alphabets, any alignment) and hex. Line breaks are
//! ignored, on both sides: `base64` and `xxd -p` wrap what they print, and `fold` wraps anything.
//!
//! # What is not found
//! A value that the formula transforms in a way that is not listed: compressed, encrypted, hashed, spelled out with
//! separators, split over stdout and stderr. A part of a value that is neither a whole line nor a leaf. Of a value in base64
//! amid other data, up to 4 bits at each end are shared with its neighbours and stay. Redaction guards against accidents; a
//! formula that means to give a secret away is stopped by review, not by this.

pub mod fit;
mod forms;
pub mod patterns;
pub mod registry;
pub mod stream;

pub use fit::Unfit;
pub use patterns::Patterns;
pub use registry::{Registry, RegistryError};
pub use stream::Redactor;

#[cfg(test)]
mod properties;
