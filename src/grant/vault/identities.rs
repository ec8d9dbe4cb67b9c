//! What a start and `dispatch doctor` look at where runs take their grants by their own identity: that they can log in, as themselves
//! alone, and read the one place that is theirs. That their job gives them an identity is the backend's to tell.

use secrecy::SecretString;

use super::{Failure, VaultProvider};
use crate::config::types::WorkloadIdentity;
use crate::grant::GrantError;
use crate::grant::policies::identity::HANDOVER;
use crate::grant::policies::roles::{Fields, Roles, differing};
use crate::vault::{VaultError, Why};

/// The fields of the role that decide who is let in, as whom, and to what.
const DECISIVE: [&str; 6] =
    ["role_type", "user_claim", "bound_audiences", "token_policies", "token_no_default_policy", "token_type"];

const APPLY: &str = "let an administrator run `dispatch policies apply`";

fn wrong(detail: String, fix: impl Into<String>) -> GrantError {
    GrantError::Misconfigured { detail, fix: fix.into() }
}

impl VaultProvider {
    /// Says by what runs are known, or what is missing.
    pub(super) async fn identities(&self, identity: &WorkloadIdentity) -> Result<String, GrantError> {
        let accessor = self.method(identity).await?;
        self.role_of_runs(identity).await?;
        self.policy_of_runs(&accessor).await?;
        self.trusts_keys(identity).await?;
        Ok(format!("runs log in at `{}` as `{}`, each known by its allocation", identity.mount, identity.role))
    }

    /// The accessor of the auth method.
    async fn method(&self, identity: &WorkloadIdentity) -> Result<String, GrantError> {
        let (mount, path) = (&identity.mount, &format!("auth/{}", identity.mount));
        let enable = || {
            format!("`vault auth enable -path={mount} jwt`, then `dispatch policies apply`; docs/vault.md has the rest")
        };
        match self.call(|session| async move { session.mount(path).await }).await {
            Ok(found) if found.kind == "jwt" => Ok(found.accessor),
            Ok(found) => {
                Err(wrong(format!("the auth method at `{mount}` is `{}`, and not `jwt`", found.kind), enable()))
            }
            Err(Failure::Call(VaultError { why: Why::Denied { .. }, .. })) => {
                Err(wrong(format!("no auth method is enabled at `{mount}`"), enable()))
            }
            Err(failure) => Err(failure.into()),
        }
    }

    async fn role_of_runs(&self, identity: &WorkloadIdentity) -> Result<(), GrantError> {
        let path = &format!("auth/{}/role/{}", identity.mount, identity.role);
        let found = self.call(|session| async move { session.read(path).await }).await?;
        let found: Option<Fields> = found.and_then(|answer| answer.data?.as_object().cloned());
        let found = found.ok_or_else(|| wrong(format!("there is no role `{path}`"), APPLY))?;
        let shipped = Roles::shipped(self.settings.token_ttl_seconds)
            .map_err(|error| wrong(error.to_string(), "this build is broken"))?;
        let mut decisive = self.site.identity_role(&shipped, &shipped);
        decisive.retain(|field, _| DECISIVE.contains(&field.as_str()));
        match differing(&decisive, &found).as_slice() {
            [] => Ok(()),
            fields => Err(wrong(format!("`{path}` is not as it should be: {}", fields.join(", ")), APPLY)),
        }
    }

    async fn policy_of_runs(&self, accessor: &str) -> Result<(), GrantError> {
        let wanted = self.site.handover_policy(accessor);
        match self.call(|session| async move { session.policy(HANDOVER).await }).await? {
            Some(text) if text == wanted.text => Ok(()),
            Some(_) => Err(wrong(format!("the policy `{HANDOVER}` is another than the one that ships"), APPLY)),
            None => Err(wrong(format!("there is no policy `{HANDOVER}`"), APPLY)),
        }
    }

    /// Logs in with nothing: what the server says against it tells whether it could judge a signature at all.
    async fn trusts_keys(&self, identity: &WorkloadIdentity) -> Result<(), GrantError> {
        let nothing = SecretString::from("none");
        match self.vault.login_jwt(&identity.mount, &identity.role, &nothing).await {
            Err(VaultError { why: Why::Refused { words, .. }, .. })
                if words.contains("could not load configuration") =>
            {
                let fix =
                    format!("`vault write auth/{}/config jwks_url=<Nomad>/.well-known/jwks.json`", identity.mount);
                Err(wrong(format!("the auth method at `{}` is not told whose keys it trusts", identity.mount), fix))
            }
            Err(VaultError { why: Why::Refused { .. }, .. }) => Ok(()),
            Err(error) => Err(Failure::from(error).into()),
            Ok(_) => Err(wrong(
                format!("`{}` lets in who has no identity", identity.mount),
                "disable it, and look who logged in",
            )),
        }
    }
}
