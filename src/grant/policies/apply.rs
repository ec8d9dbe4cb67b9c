//! What stands on the server against what should, object by object; and writing what differs.

use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::roles::{Fields, Purpose, Roles, differing};
use super::{Policy, Site, Wanted, hcl};
use crate::config::types::Vault as Configured;
use crate::support::ids::hex;
use crate::vault::{Session, VaultError, Why};

/// What is to become of an object, or has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It is not there yet.
    Created,
    /// It is there, and otherwise.
    Updated,
    /// It is there, just so.
    Unchanged,
}

impl Change {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An ACL policy.
    Policy,
    /// The role of grants.
    TokenRole,
    /// The role by which the dispatcher logs in, or runs do.
    AuthRole,
}

impl Kind {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::TokenRole => "token role",
            Self::AuthRole => "auth role",
        }
    }
}

/// One object against the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// Its kind.
    pub kind: Kind,
    /// Its name on the server.
    pub name: String,
    /// What is to become of it.
    pub change: Change,
    /// SHA-256 of what should stand there, the first 12 hex digits.
    pub digest: String,
    /// The same of what stands there.
    pub standing: Option<String>,
    /// What differs: the fields of a role.
    pub differs: Vec<String>,
    /// What should stand there asks for more than what ships.
    pub beyond: Vec<String>,
    /// What stands there asks for more than what ships.
    pub standing_beyond: Vec<String>,
    write: Write,
}

/// How it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Write {
    Policy(String),
    Role { path: String, body: Value },
}

/// A role and where it stands.
struct Role<'a> {
    kind: Kind,
    purpose: Purpose,
    path: String,
    name: String,
    fields: &'a Fields,
    shipped: &'a Fields,
}

/// Why nothing could be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The server does not answer, or does not let this session read its policies and roles.
    #[error(transparent)]
    Refused(#[from] VaultError),
    /// Runs cannot log in: their policy names the accessor of a method that is not there.
    #[error("the auth method at which runs log in is not enabled at `{mount}`")]
    NoMethod {
        /// Where.
        mount: String,
    },
}

/// Compares everything that is wanted with the server.
///
/// # Errors
/// [`CompareError`]
pub async fn compare(
    session: &Session,
    wanted: &Wanted,
    site: &Site,
    login: &Configured,
    shipped: &Roles,
) -> Result<Vec<Compared>, CompareError> {
    let mut all = Vec::new();
    for policy in &wanted.policies {
        all.push(policy_against(session, policy).await?);
    }
    all.extend(of_identity(session, wanted, site, shipped).await?);
    for role in roles(wanted, site, login, shipped) {
        all.push(role_against(session, &role).await?);
    }
    Ok(all)
}

/// The policy and the role of runs, where they take their grants by their own identity.
async fn of_identity(
    session: &Session,
    wanted: &Wanted,
    site: &Site,
    shipped: &Roles,
) -> Result<Vec<Compared>, CompareError> {
    let Some(identity) = &site.identity else { return Ok(Vec::new()) };
    let mount = identity.mount.clone();
    let accessor = match session.mount(&format!("auth/{mount}")).await {
        // The server says so of a mount that is not there, to an administrator as well.
        Err(VaultError { why: Why::Denied { .. }, .. }) => return Err(CompareError::NoMethod { mount }),
        found => found?.accessor,
    };
    let policy = policy_against(session, &site.handover_policy(&accessor)).await?;
    let (fields, plain) = (site.identity_role(&wanted.roles, shipped), site.identity_role(shipped, shipped));
    let role = Role {
        kind: Kind::AuthRole,
        purpose: Purpose::Identity,
        path: format!("auth/{mount}/role/{}", identity.role),
        name: format!("{mount}/{}", identity.role),
        fields: &fields,
        shipped: &plain,
    };
    let role = role_against(session, &role).await?;
    Ok(vec![policy, role])
}

/// Policies of the server that are named like a secret's and belong to none: a run could never get one, and whoever may mint could.
///
/// # Errors
/// Refused.
pub async fn strays(session: &Session, wanted: &Wanted) -> Result<Vec<String>, VaultError> {
    let known = |name: &String| wanted.policies.iter().any(|policy| policy.name == *name);
    let mut names = session.policies().await?;
    names.retain(|name| name.starts_with("runner-") && !known(name));
    Ok(names)
}

/// Writes one object.
///
/// # Errors
/// Refused, with the server's words.
pub async fn write(session: &Session, object: &Compared) -> Result<(), VaultError> {
    match &object.write {
        Write::Policy(text) => session.write_policy(&object.name, text).await,
        Write::Role { path, body } => session.write(path, body.clone()).await.map(drop),
    }
}

fn roles<'a>(wanted: &'a Wanted, site: &Site, login: &Configured, shipped: &'a Roles) -> Vec<Role<'a>> {
    let role = |kind: Kind, purpose: Purpose, path: String, name: String| {
        let (fields, shipped) = wanted.roles.of(purpose).zip(shipped.of(purpose))?;
        Some(Role { kind, purpose, path, name, fields, shipped })
    };
    let of_login = |purpose: Purpose, mount: &str, name: &str| {
        role(Kind::AuthRole, purpose, format!("auth/{mount}/role/{name}"), format!("{mount}/{name}"))
    };
    let token = role(Kind::TokenRole, Purpose::Token, format!("auth/token/roles/{}", site.role), site.role.clone());
    let approle = login.approle.as_ref().zip(wanted.roles.approle.as_ref());
    let approle = approle.and_then(|(login, (name, _))| of_login(Purpose::AppRole, &login.mount, name));
    let jwt = login.jwt.as_ref().and_then(|login| of_login(Purpose::Jwt, &login.mount, &login.role));
    [token, approle, jwt].into_iter().flatten().collect()
}

async fn policy_against(session: &Session, policy: &Policy) -> Result<Compared, VaultError> {
    let standing = session.policy(&policy.name).await?;
    let change = match &standing {
        None => Change::Created,
        Some(text) if *text == policy.text => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    Ok(Compared {
        kind: Kind::Policy,
        name: policy.name.clone(),
        change,
        digest: digest(policy.text.as_bytes()),
        standing: standing.as_ref().map(|text| digest(text.as_bytes())),
        differs: Vec::new(),
        beyond: policy.beyond(),
        standing_beyond: standing.map(|text| hcl::beyond(&text, &policy.shape)).unwrap_or_default(),
        write: Write::Policy(policy.text.clone()),
    })
}

async fn role_against(session: &Session, role: &Role<'_>) -> Result<Compared, VaultError> {
    let standing = match session.read(&role.path).await {
        Ok(answer) => answer.and_then(|answer| answer.data).and_then(|data| data.as_object().cloned()),
        // A role of a method that is not enabled; writing it will say so.
        Err(VaultError { why: Why::Refused { status: 404 | 405, .. }, .. }) => None,
        Err(error) => return Err(error),
    };
    let differs = standing.as_ref().map(|standing| differing(role.fields, standing)).unwrap_or_default();
    let change = match &standing {
        None => Change::Created,
        Some(_) if differs.is_empty() => Change::Unchanged,
        Some(_) => Change::Updated,
    };
    let as_wanted = |standing: &Fields| -> Fields {
        role.fields.keys().map(|field| (field.clone(), standing.get(field).cloned().unwrap_or_default())).collect()
    };
    let standing_beyond = standing.as_ref().map(|standing| role.purpose.beyond(&as_wanted(standing), role.shipped));
    Ok(Compared {
        kind: role.kind,
        name: role.name.clone(),
        change,
        digest: digest_of(role.fields),
        standing: standing.map(|standing| {
            if change == Change::Unchanged { digest_of(role.fields) } else { digest_of(&as_wanted(&standing)) }
        }),
        differs,
        beyond: role.purpose.beyond(role.fields, role.shipped),
        standing_beyond: standing_beyond.unwrap_or_default(),
        write: Write::Role { path: role.path.clone(), body: json!(role.fields) },
    })
}

fn digest_of(fields: &Fields) -> String {
    let sorted: std::collections::BTreeMap<&String, &Value> = fields.iter().collect();
    digest(json!(sorted).to_string().as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)).chars().take(12).collect()
}
