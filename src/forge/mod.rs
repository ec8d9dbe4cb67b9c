//! The forge that holds the ops repo, Gitea or Forgejo, asked over its API.
//!
//! - `access`: where it is, and the token, by the config.
//! - `wire`: one request and its answer; what a forge would not say is not taken for one. `pages`: lists, read to their end.
//! - `people`, `repository`, `requests`: what admission looks at. `telling`: statuses, comments, issues, hooks.
//! - `setup`: settings and protection, changed.
//! - `findings`: what a look at all of it finds.
//! - `error`: what went wrong, and whether asking again can help.
//!
//! Nothing here decides: what an answer is worth is for admission to say.

mod access;
mod error;
mod findings;
mod pages;
mod people;
mod repository;
mod requests;
mod setup;
mod telling;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;

pub use access::As;
pub use error::{Class, Effect, ForgeError};
pub use findings::{findings, findings_at_start, is_used};
pub use people::{User, UserId};
pub use repository::{AddedFile, Branch, Permissions, Protection, Repository, RepositoryId};
pub use requests::{ChangedFile, Happening, PullNumber, PullRequest, RequestCommit, Review, ReviewState, Side, Which};
pub use telling::{Comment, Hook, HookConfig, Issue, Label, Status, StatusState, Told};

use self::access::{Address, Token};
use self::wire::Wire;

/// The repository on the forge. Cheap to clone; all clones share their connections and their bound on requests at once.
///
/// # Guarantees
/// - Every request has a deadline, every answer a bound, and no redirect is followed: the token goes to `forge.url` alone.
/// - A list is whole, or an error.
/// - No token is in an address, an error or a `Debug` print.
#[derive(Debug, Clone)]
pub struct Forge(Arc<Wire>);

impl Forge {
    /// The forge of the config, asked as one of its two users. Asks nobody yet.
    ///
    /// # Errors
    /// `forge.url` or `forge.repository` is missing or refused, or the certificates cannot be read.
    pub fn open(config: &Config, who: As) -> Result<Self, ForgeError> {
        let time = Duration::from_secs(u64::from(config.forge.timeout_seconds));
        let wire = Wire::new(Address::of(config)?, Token::of(config, who), time, config.forge.ca_file.as_deref())?;
        Ok(Self(Arc::new(wire)))
    }

    /// `owner/name`, for people.
    pub fn name(&self) -> String {
        format!("{}/{}", self.0.address().owner, self.0.address().name)
    }

    fn wire(&self) -> &Wire {
        &self.0
    }

    /// The path of something in the repository.
    fn path<'a>(&'a self, inner: &[&'a str]) -> Vec<&'a str> {
        let address = self.0.address();
        [&["repos", address.owner.as_str(), address.name.as_str()], inner].concat()
    }
}
