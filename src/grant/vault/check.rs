//! What a start and `dispatch doctor` look at, in this order; what depends on something that does not hold is not looked at.

use std::collections::BTreeSet;

use super::VaultProvider;
use crate::config::types::WorkloadIdentity;
use crate::grant::GrantError;
use crate::grant::policies::DISPATCHER;
use crate::grant::policies::identity::HANDOVER;
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};
use crate::vault::{VaultError, Why};

const APPLY: &str =
    "let an administrator run `dispatch policies apply`, and give the dispatcher that policy and no other";

impl VaultProvider {
    pub(super) async fn findings(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut looks = vec![Look::Server, Look::Login, Look::Policy, Look::Mount, Look::Wrapping, Look::Role];
        looks.extend(self.settings.workload_identity.as_ref().map(Look::Identities));
        for look in looks {
            let finding = self.look(look).await;
            let stands = finding.standing <= Standing::Warning;
            findings.push(finding);
            if !stands {
                break;
            }
        }
        findings
    }

    async fn look(&self, look: Look<'_>) -> Finding {
        let subject = look.subject(self);
        let looked = match look {
            Look::Server => return self.server(subject).await,
            Look::Login => self.logged_in().await,
            Look::Policy => self.policy().await,
            Look::Mount => self.mount().await,
            Look::Wrapping => self
                .proven
                .get_or_try_init(|| self.prove_wrapping_is_forced())
                .await
                .map(|()| "a mint in the clear is refused by the server".to_owned()),
            Look::Identities(identity) => self.identities(identity).await,
            Look::Role => self.prove_role().await.map(|()| {
                format!(
                    "a token of {} s, an orphan, with the policy that was asked for alone",
                    self.settings.token_ttl_seconds
                )
            }),
        };
        match looked {
            Ok(evidence) => Finding::good(subject, evidence),
            Err(GrantError::Misconfigured { detail, fix }) => Finding::bad(Standing::Wrong, subject, detail, fix),
            Err(error) => {
                Finding::bad(Standing::Unreachable, subject, error.to_string(), "look at the server's own log")
            }
        }
    }

    async fn server(&self, subject: String) -> Finding {
        match self.vault.health().await {
            Ok(health) => match health.trouble() {
                None => Finding::good(subject, format!("{}, version {}", self.vault.address(), health.version)),
                Some(words) => {
                    let evidence = format!("{}: {words}", self.vault.address());
                    Finding::bad(Standing::Unreachable, subject, evidence, "grants wait until it serves")
                }
            },
            Err(error) => {
                let standing = if error.why.may_pass() { Standing::Unreachable } else { Standing::Wrong };
                Finding::bad(standing, subject, chain::words(&error), "look at secrets.vault.address and ca_cert")
            }
        }
    }

    async fn logged_in(&self) -> Result<String, GrantError> {
        let token = self.call(|session| async move { session.lookup_self().await }).await?;
        let life = match (token.ttl, token.renewable) {
            (0, _) => "without an end".to_owned(),
            (ttl, true) => format!("{ttl} s left, renewed before that"),
            (ttl, false) => format!("{ttl} s left, cannot be renewed"),
        };
        Ok(format!("policies {}; {life}", token.policies.join(", ")))
    }

    /// It may do what grants need, and nothing by which it could read a secret itself.
    async fn policy(&self) -> Result<String, GrantError> {
        let (needed, denied) = (self.needed(), self.denied());
        let put_down = self.settings.workload_identity.as_ref().map(|identity| self.place_of_probe(identity));
        let paths = needed.iter().map(|(path, _)| path).chain(&denied).chain(&put_down);
        let paths: Vec<String> = paths.cloned().collect::<BTreeSet<_>>().into_iter().collect();
        let paths = &paths;
        let can = self.call(|session| async move { session.capabilities_self(paths).await }).await?;
        let wrong = |detail: String| Err(GrantError::Misconfigured { detail, fix: APPLY.to_owned() });
        let has = |path: &String, word: &str| can.get(path).is_some_and(|all| all.iter().any(|one| one == word));
        if let Some((path, capability)) = needed.iter().find(|(path, capability)| !has(path, capability)) {
            return wrong(format!("the dispatcher's token has no `{capability}` on `{path}`"));
        }
        if let Some(path) = denied.iter().find(|path| !has(path, "deny")) {
            let all = can.get(path).map(|all| all.join(", ")).unwrap_or_default();
            return wrong(format!("the dispatcher's token may do more than grants need: {all} on `{path}`"));
        }
        if let Some(path) = put_down.filter(|path| has(path, "read")) {
            return wrong(format!("the dispatcher's token may read what it puts down for runs: `{path}`"));
        }
        Ok(format!("what `{DISPATCHER}` gives, and no secret"))
    }

    /// Where something would be put down for a run.
    fn place_of_probe(&self, identity: &WorkloadIdentity) -> String {
        format!("{}/data/{}PROBE", self.site.mount, identity.prefix)
    }

    fn needed(&self) -> Vec<(String, &'static str)> {
        let of = |path: &str| (path.to_owned(), if path.ends_with("lookup-self") { "read" } else { "update" });
        let mut needed: Vec<(String, &str)> = [
            "auth/token/lookup-accessor",
            "auth/token/revoke-accessor",
            "sys/capabilities-accessor",
            "sys/wrapping/wrap",
            "auth/token/lookup-self",
            "auth/token/renew-self",
        ]
        .map(of)
        .into();
        needed.push((format!("auth/token/create/{}", self.settings.role), "update"));
        needed.push((format!("{}/metadata/{}PROBE", self.site.mount, self.site.prefix), "read"));
        if let Some(identity) = &self.settings.workload_identity {
            needed.extend(["create", "update"].map(|capability| (self.place_of_probe(identity), capability)));
            needed.push((format!("{}/metadata/{}PROBE", self.site.mount, identity.prefix), "delete"));
            needed.push((format!("auth/{}/role/{}", identity.mount, identity.role), "read"));
            needed.push((format!("sys/policies/acl/{HANDOVER}"), "read"));
        }
        needed
    }

    /// Each secret by its own path: a policy that reads one of them says nothing about another.
    fn denied(&self) -> Vec<String> {
        let mut denied = vec![
            format!("{}/data/{}PROBE", self.site.mount, self.site.prefix),
            "auth/token/create".to_owned(),
            "auth/token/create-orphan".to_owned(),
            format!("auth/token/roles/{}", self.settings.role),
            format!("sys/policies/acl/{DISPATCHER}"),
        ];
        denied.extend(self.secrets.iter().map(|secret| self.site.data_path(secret)));
        denied
    }

    async fn mount(&self) -> Result<String, GrantError> {
        let name = self.site.mount.as_str();
        let wrong = |detail: String| GrantError::Misconfigured {
            detail,
            fix: format!("`vault secrets enable -path={name} -version=2 kv`, or set secrets.vault.mount"),
        };
        let mount = match self.call(|session| async move { session.mount(name).await }).await {
            Err(super::Failure::Call(VaultError { why: Why::Denied { .. }, .. })) => {
                return Err(wrong(format!("nothing is mounted at `{name}`")));
            }
            other => other?,
        };
        let version = mount.options.and_then(|options| options.version).unwrap_or_default();
        match (mount.kind.as_str(), version.as_str()) {
            ("kv", "2") => Ok("a key-value store, version 2".to_owned()),
            (kind, version) => Err(wrong(format!("`{name}` is `{kind}` version `{version}`, and not kv version 2"))),
        }
    }
}

/// One thing to look at.
#[derive(Debug, Clone, Copy)]
enum Look<'a> {
    Server,
    Login,
    Policy,
    Mount,
    Wrapping,
    Role,
    Identities(&'a WorkloadIdentity),
}

impl Look<'_> {
    fn subject(self, provider: &VaultProvider) -> String {
        match self {
            Self::Server => "vault: server".to_owned(),
            Self::Login => "vault: login".to_owned(),
            Self::Policy => "vault: policy of the dispatcher".to_owned(),
            Self::Mount => format!("vault: mount {}", provider.site.mount),
            Self::Wrapping => "vault: wrapping is forced".to_owned(),
            Self::Role => format!("vault: token role {}", provider.settings.role),
            Self::Identities(_) => "vault: identities of runs".to_owned(),
        }
    }
}
