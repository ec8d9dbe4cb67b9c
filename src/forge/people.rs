//! People on the forge: a login is a name that can be given up and taken by somebody else; the number behind it cannot.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Forge;
use super::error::ForgeError;
use super::wire::Call;

/// The number of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

impl UserId {
    /// Whether it is one person's. All deleted users share -1, and 0 or less is nobody.
    pub fn is_somebody(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The number.
    pub id: UserId,
    /// The name.
    pub login: String,
    /// The e-mail, where the asking user may see it; often one that the forge made up.
    #[serde(default)]
    pub email: String,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (user {})", self.login, self.id)
    }
}

impl Forge {
    /// The user whose token is used. Needs the scope `read:user`.
    pub async fn me(&self) -> Result<User, ForgeError> {
        self.wire().read(&Call::get("the token's user", &["user"])).await
    }

    /// A user by name. Needs the scope `read:user`.
    pub async fn user(&self, login: &str) -> Result<User, ForgeError> {
        self.wire().read(&Call::get(format!("the user {login}"), &["users", login])).await
    }
}
