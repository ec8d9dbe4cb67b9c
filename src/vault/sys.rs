//! The server itself: its health, its mounts, its policies; and reading or writing any path, for what is applied from files.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use vaultrs::api::sys::requests::ReadHealthRequest;

use super::answer::Answer;
use super::call::Call;
use super::client::{Session, Vault, With, named};
use super::error::{VaultError, Why};

/// What the server says about itself. It says so in every state, under different statuses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Health {
    /// Whether it was ever initialised.
    pub initialized: bool,
    /// Whether it is sealed.
    pub sealed: bool,
    /// Whether another node is the active one.
    #[serde(default)]
    pub standby: bool,
    /// Whether it reaches the active one (474 where it does not).
    #[serde(default)]
    pub ha_connection_healthy: Option<bool>,
    /// Its clock, in Unix seconds: what expiry is decided by.
    pub server_time_utc: i64,
    /// `1.21.1`.
    #[serde(default)]
    pub version: String,
    /// Which cluster it is.
    #[serde(default)]
    pub cluster_id: Option<String>,
}

impl Health {
    /// Its clock.
    pub fn now(&self) -> Option<Timestamp> {
        Timestamp::from_second(self.server_time_utc).ok()
    }

    /// Why it cannot serve now, if it cannot.
    pub fn trouble(&self) -> Option<&'static str> {
        match () {
            () if !self.initialized => Some("it was never initialised: `vault operator init`"),
            () if self.sealed => Some("it is sealed: unseal it (`vault operator unseal`)"),
            () if self.ha_connection_healthy == Some(false) => Some("it is a standby, and no active node answers it"),
            () => None,
        }
    }
}

/// What is mounted at a path.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Mount {
    /// `kv`, for instance.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its options.
    #[serde(default)]
    pub options: Option<MountOptions>,
    /// Its accessor: by this name policies mean it.
    #[serde(default)]
    pub accessor: String,
}

/// Options of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MountOptions {
    /// `2` for KV v2.
    #[serde(default)]
    pub version: Option<String>,
}

impl Vault {
    /// Asks after its health. Needs no token.
    ///
    /// # Errors
    /// No answer, or not one of Vault; a rate limit may refuse even this.
    pub async fn health(&self) -> Result<Health, VaultError> {
        let request = ReadHealthRequest::default();
        let reply = self.send(&request, With::default()).await?;
        // The status says the same as the body, and a 429 may be a quota or a standby.
        match reply.body.parse("the health of a Vault server") {
            Ok(health) => Ok(health),
            Err(why) if reply.status.is_success() => Err(self.error(named(&request), why)),
            Err(_) => Err(self.error(named(&request), reply.into_why("sys/health", With::default()))),
        }
    }
}

impl Session {
    /// What is mounted at `path`; needs no right beyond one to something below it.
    ///
    /// # Errors
    /// [`Why::Denied`] also when there is no such mount, or as any call.
    pub async fn mount(&self, path: &str) -> Result<Mount, VaultError> {
        let request = Call::get(format!("sys/internal/ui/mounts/{path}"));
        let call = named(&request);
        self.ask(request).await?.data("a mount").map_err(|why| self.vault().error(call, why))
    }

    /// The text of the policy `name`, byte for byte; `None` where there is none.
    ///
    /// # Errors
    /// Refused.
    pub async fn policy(&self, name: &str) -> Result<Option<String>, VaultError> {
        let answer = self.read(&format!("sys/policies/acl/{name}")).await?;
        let data = answer.and_then(|answer| answer.data);
        Ok(data.and_then(|data| Some(data.get("policy")?.as_str()?.to_owned())))
    }

    /// Writes the policy `name`, which the server turns into lower case. It holds at once, for living tokens too.
    ///
    /// # Errors
    /// [`Why::Refused`] with the server's words when it does not parse, or as any call.
    pub async fn write_policy(&self, name: &str, text: &str) -> Result<(), VaultError> {
        self.write(&format!("sys/policies/acl/{name}"), serde_json::json!({ "policy": text })).await.map(drop)
    }

    /// The names of all policies.
    ///
    /// # Errors
    /// Refused.
    pub async fn policies(&self) -> Result<Vec<String>, VaultError> {
        #[derive(Deserialize)]
        struct Names {
            keys: Vec<String>,
        }
        let request = Call::list("sys/policies/acl");
        let call = named(&request);
        let names: Result<Names, Why> = self.ask(request).await?.data("names of policies");
        names.map(|names| names.keys).map_err(|why| self.vault().error(call, why))
    }

    /// Reads any path; `None` where there is nothing.
    ///
    /// # Errors
    /// Refused.
    pub async fn read(&self, path: &str) -> Result<Option<Answer>, VaultError> {
        match self.ask(Call::get(path)).await {
            Ok(answer) => Ok(Some(answer)),
            Err(VaultError { why: Why::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes `body` to any path. Most of Vault's objects keep what the body leaves out.
    ///
    /// # Errors
    /// Refused.
    pub async fn write(&self, path: &str, body: Value) -> Result<Answer, VaultError> {
        self.ask(Call::post(path, body)).await
    }

    /// Removes what is at any path; nothing there is no error for Vault.
    ///
    /// # Errors
    /// Refused.
    pub async fn delete(&self, path: &str) -> Result<(), VaultError> {
        self.ask(Call::delete(path)).await.map(drop)
    }
}
