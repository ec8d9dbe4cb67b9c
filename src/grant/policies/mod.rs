//! What must stand in Vault for grants to work: a policy for each secret, the dispatcher's own, and the roles. They ship in
//! `policies/`; a site may keep its own in a folder.
//!
//! - [`hcl`]: what a policy asks for (pure); [`roles`]: the roles and their fields (pure).
//! - [`identity`]: what there is besides where runs take their grants by their own identity (pure).
//! - [`apply`]: compares with a server, and writes.

pub mod apply;
pub mod hcl;
pub mod identity;
pub mod roles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::types::{Vault, WorkloadIdentity};
use crate::support::ids::SecretName;
use roles::Roles;

/// The policy of the dispatcher itself.
pub const DISPATCHER: &str = "service-dispatcher";

/// With this the names of secrets' policies begin, on the server too.
pub const RUNNER: &str = "runner-";

/// One of the shipped policies of secrets: the shape of all of them.
const RUNNER_SHAPE: &str = include_str!("../../../policies/runner-GITHUB_TOKEN.hcl");
const RUNNER_SHAPE_NAME: &str = "GITHUB_TOKEN";
const DISPATCHER_SHAPE: &str = include_str!("../../../policies/service-dispatcher.hcl");

/// The secrets for which a policy ships: those that ops repos have.
const SHIPPED: [&str; 6] =
    ["CLAWHUB_TOKEN", "CODEBERG_TOKEN", "DEPLOY_KEY", "DOCKER_HUB_TOKEN", RUNNER_SHAPE_NAME, "NPM_TOKEN"];

/// Why the policies of a site cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or the folder.
    #[error("{} cannot be read or written", .path.display())]
    Io {
        /// It.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Names that are one name to the server.
    #[error(
        "`{first}` and `{second}` are one policy to the server, which writes names in lower case: rename one of the secrets"
    )]
    SameName {
        /// One.
        first: String,
        /// The other.
        second: String,
    },
    /// A file that belongs to no secret.
    #[error("{file} is not named after a secret: {rule}")]
    Name {
        /// The file.
        file: String,
        /// The rule.
        rule: &'static str,
    },
    /// A secret that actions may name has no policy in the folder.
    #[error("{} holds no policy for {secret}: `dispatch policies add {secret}` writes it", .folder.display())]
    Missing {
        /// The secret.
        secret: SecretName,
        /// The folder.
        folder: PathBuf,
    },
    /// `roles.toml`.
    #[error("{place}: {detail}")]
    Roles {
        /// The file.
        place: String,
        /// What is wrong with it.
        detail: String,
    },
}

/// Where the secrets of a site stand, and with which role their tokens are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The mount of the key-value store.
    pub mount: String,
    /// The folder of the secrets, with its slash.
    pub prefix: String,
    /// The token role.
    pub role: String,
    /// How runs take their grants by their own identity, where they do.
    pub identity: Option<WorkloadIdentity>,
    /// The namespace of runs in Nomad, where it is known.
    pub namespace: Option<String>,
}

impl Site {
    /// As configured.
    pub fn of(vault: &Vault) -> Self {
        Self {
            mount: vault.mount.clone(),
            prefix: vault.prefix.clone(),
            role: vault.role.clone(),
            identity: vault.workload_identity.clone(),
            namespace: None,
        }
    }

    /// The same, for runs in this namespace of Nomad.
    #[must_use]
    pub fn in_namespace(self, namespace: Option<String>) -> Self {
        Self { namespace, ..self }
    }

    /// The path by which a secret is read.
    pub fn data_path(&self, secret: &SecretName) -> String {
        format!("{}/data/{}{secret}", self.mount, self.prefix)
    }

    /// The policy of a secret, in the shipped shape.
    pub fn runner_policy(&self, secret: &SecretName) -> String {
        self.render(&RUNNER_SHAPE.replace(RUNNER_SHAPE_NAME, secret.as_str()))
    }

    /// The dispatcher's policy, in the shipped shape.
    pub fn dispatcher_policy(&self) -> String {
        self.render(DISPATCHER_SHAPE) + &self.addition()
    }

    fn render(&self, shape: &str) -> String {
        shape
            .replace("kv/data/disinto/runner/", &format!("{}/data/{}", self.mount, self.prefix))
            .replace("kv/metadata/disinto/runner/", &format!("{}/metadata/{}", self.mount, self.prefix))
            .replace("\"auth/token/create/runner\"", &format!("\"auth/token/create/{}\"", self.role))
    }
}

/// The name that a secret's policy has on the server.
pub fn policy_name(secret: &SecretName) -> String {
    format!("{RUNNER}{secret}").to_lowercase()
}

/// A policy that is to stand on the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name there.
    pub name: String,
    /// Its text, byte for byte.
    pub text: String,
    /// The shipped shape of it.
    pub shape: String,
}

impl Policy {
    /// What it asks for beyond the shipped shape.
    pub fn beyond(&self) -> Vec<String> {
        hcl::beyond(&self.text, &self.shape)
    }
}

/// Everything that is to stand on the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// The policies, the dispatcher's first.
    pub policies: Vec<Policy>,
    /// The roles.
    pub roles: Roles,
}

impl Wanted {
    /// What ships, for the secrets in `allow`; where that is empty, for those that ship.
    ///
    /// # Errors
    /// Never for what ships.
    pub fn shipped(site: &Site, allow: &BTreeSet<SecretName>, token_ttl_seconds: u32) -> Result<Self, PolicyError> {
        let named = |secret: &SecretName| {
            let text = site.runner_policy(secret);
            Policy { name: policy_name(secret), shape: text.clone(), text }
        };
        let mut policies = vec![dispatcher(site, site.dispatcher_policy())];
        policies.extend(or_shipped(allow).iter().map(named));
        Ok(Self { policies, roles: Roles::shipped(token_ttl_seconds)? })
    }

    /// What stands in `folder`, which must hold a policy for each secret in `allow`. What the folder leaves out besides (the
    /// dispatcher's policy, the roles) is as it ships.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn in_folder(
        folder: &Path,
        site: &Site,
        allow: &BTreeSet<SecretName>,
        token_ttl_seconds: u32,
    ) -> Result<Self, PolicyError> {
        let files = policy_files(folder)?;
        let mut policies = vec![dispatcher(site, files.get(DISPATCHER).cloned().unwrap_or(site.dispatcher_policy()))];
        let mut secrets = BTreeSet::new();
        for (stem, text) in files.iter().filter(|(stem, _)| stem.as_str() != DISPATCHER) {
            let secret: Option<SecretName> = stem.strip_prefix("runner-").and_then(|name| name.parse().ok());
            // Policies of other servers and services may stand beside ours.
            let Some(secret) = secret else {
                if stem.to_lowercase().starts_with("runner-") {
                    return Err(PolicyError::Name { file: format!("{stem}.hcl"), rule: SecretName::RULE });
                }
                continue;
            };
            policies.push(Policy {
                name: policy_name(&secret),
                text: text.clone(),
                shape: site.runner_policy(&secret),
            });
            secrets.insert(secret);
        }
        if let Some(secret) = allow.difference(&secrets).next() {
            return Err(PolicyError::Missing { secret: secret.clone(), folder: folder.to_owned() });
        }
        let path = folder.join("roles.toml");
        let roles = match fs::read_to_string(&path) {
            Ok(text) => Roles::parse(&text, &path.display().to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Roles::shipped(token_ttl_seconds)?,
            Err(source) => return Err(PolicyError::Io { path, source }),
        };
        Ok(Self { policies, roles })
    }
}

fn dispatcher(site: &Site, text: String) -> Policy {
    Policy { name: DISPATCHER.to_owned(), text, shape: site.dispatcher_policy() }
}

/// Those that actions may name; where the configuration says nothing, those that ship.
pub(super) fn or_shipped(allow: &BTreeSet<SecretName>) -> BTreeSet<SecretName> {
    if allow.is_empty() { SHIPPED.iter().filter_map(|name| name.parse().ok()).collect() } else { allow.clone() }
}

/// The `.hcl` files of `folder` by their stem. Two that differ only by case are refused: the later one would silently replace
/// the other on the server.
fn policy_files(folder: &Path) -> Result<BTreeMap<String, String>, PolicyError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| PolicyError::Io { path, source }
    };
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        let stem = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".hcl")).map(str::to_owned);
        let Some(stem) = stem else { continue };
        if let Some(other) = files.keys().find(|other| other.to_lowercase() == stem.to_lowercase()) {
            return Err(PolicyError::SameName { first: other.clone(), second: stem });
        }
        files.insert(stem, fs::read_to_string(&path).map_err(failed(&path))?);
    }
    Ok(files)
}

/// What became of a file that was to be added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It was written.
    Written,
    /// It stood there already, just so.
    Unchanged,
}

/// Writes the policy of `secret` into `folder`, in the shipped shape.
///
/// # Errors
/// The folder cannot be written, or another policy stands there under that name.
pub fn add(folder: &Path, site: &Site, secret: &SecretName) -> Result<(PathBuf, Added), PolicyError> {
    let path = folder.join(format!("runner-{secret}.hcl"));
    let text = site.runner_policy(secret);
    let failed = |source| PolicyError::Io { path: path.clone(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let stem = format!("runner-{secret}");
    let files = policy_files(folder)?;
    if let Some(standing) = files.get(&stem) {
        let differs = || failed(io::Error::new(io::ErrorKind::AlreadyExists, "another policy stands there"));
        return if *standing == text { Ok((path, Added::Unchanged)) } else { Err(differs()) };
    }
    if let Some(other) = files.keys().find(|other| other.to_lowercase() == stem.to_lowercase()) {
        return Err(PolicyError::SameName { first: other.clone(), second: stem });
    }
    fs::write(&path, text).map_err(failed)?;
    Ok((path, Added::Written))
}

#[cfg(test)]
mod tests;
