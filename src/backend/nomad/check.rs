//! What all of it needs: a leader, a token that may, a version, a namespace, the registered jobs. Looked at in this order; what depends on
//! something that does not hold is not looked at.

use super::client::types::{Attached, Job};
use super::client::{ClientError, Prospect};
use super::shipped::Shipped;
use super::{NomadBackend, PAYLOAD_LIMIT, names, restraint};
use crate::support::chain;
use crate::support::checkup::{Finding, Standing};

/// What runs were seen to behave under; others are likely to, and unproven.
const SEEN_VERSION: &str = "1.11.";

/// The marker of a job that `dispatch jobs` has registered.
const META_SPEC: &str = "dispatch_spec";

/// The accessor that a server answers for a request without a token.
const ANONYMOUS: &str = "anonymous";

const REGISTER: &str = "register it: `dispatch jobs apply`";

fn standing(error: &ClientError) -> Standing {
    match error.prospect() {
        Prospect::Never => Standing::Wrong,
        Prospect::Later | Prospect::InDoubt => Standing::Unreachable,
    }
}

fn failed(subject: &str, error: &ClientError, fix: &str) -> Finding {
    Finding::bad(standing(error), subject, chain::words(error), fix)
}

impl NomadBackend {
    pub(super) async fn look_around(&self) -> Vec<Finding> {
        let leader = self.check_leader().await;
        if leader.standing > Standing::Warning {
            return vec![leader];
        }
        let mut findings =
            vec![leader, self.check_token().await, self.check_version().await, self.check_namespace().await];
        let hold = findings.iter().all(|finding| finding.standing <= Standing::Warning);
        if hold {
            findings.push(self.check_list().await);
            for (place, job) in self.variants().into_iter().enumerate() {
                let missing = if place == 0 { Standing::Wrong } else { Standing::Warning };
                let wanted = self.settings.specs.get(&job).map(String::as_str);
                findings.push(self.check_job(&job, wanted, missing, Standing::Wrong).await);
            }
            // No action waits for it.
            if let Some(Shipped { id, marker, .. }) = &self.settings.sidecar {
                findings.push(self.check_job(id, Some(marker), Standing::Warning, Standing::Warning).await);
            }
        }
        findings
    }

    async fn check_leader(&self) -> Finding {
        let (subject, address) = ("nomad: leader", self.client.address());
        match self.client.leader().await {
            Ok(leader) if !leader.is_empty() => Finding::good(subject, format!("{address}, leader {leader}")),
            Ok(_) => Finding::bad(
                Standing::Unreachable,
                subject,
                format!("{address}: the servers have no leader"),
                "look at the servers: `nomad server members`",
            ),
            Err(ClientError::Distrusted { why, detail, .. }) => {
                let evidence = format!("{address}: {}: {detail}", why.what);
                Finding::bad(Standing::Unreachable, subject, evidence, why.fix)
            }
            Err(error) if error.is_of_another_region() => failed(
                subject,
                &error,
                "write the servers' region into backends.nomad.region (NOMAD_REGION), or leave it out",
            ),
            Err(error) => failed(
                subject,
                &error,
                &format!("see that a Nomad agent answers at {address} (backends.nomad.address, NOMAD_ADDR)"),
            ),
        }
    }

    async fn check_version(&self) -> Finding {
        let subject = "nomad: version";
        match self.client.version().await {
            Ok(version) if version.starts_with(SEEN_VERSION) => Finding::good(subject, version),
            Ok(version) => Finding::bad(
                Standing::Warning,
                subject,
                format!("{version}; this build was tried out with {SEEN_VERSION}x"),
                "run `dispatch doctor` and an action of the low tier after an upgrade of Nomad",
            ),
            Err(error) => Finding::bad(
                Standing::Warning,
                subject,
                chain::words(&error),
                "give the token's policy `agent { policy = \"read\" }`",
            ),
        }
    }

    async fn check_token(&self) -> Finding {
        let subject = "nomad: token";
        match self.client.token_self().await {
            Ok(token) => {
                let policies = token.policies.unwrap_or_default().join(", ");
                let until = token.expiration_time.map(|until| format!(", until {until}")).unwrap_or_default();
                if token.kind == "management" {
                    return Finding::bad(
                        Standing::Warning,
                        subject,
                        format!("`{}` is a management token: it may do everything{until}", token.name),
                        "give the dispatcher a token of policies/nomad-dispatcher.hcl alone",
                    );
                }
                if token.accessor == ANONYMOUS {
                    return Finding::bad(
                        Standing::Warning,
                        subject,
                        "none is sent, so the servers take us for anybody".to_owned(),
                        "set backends.nomad.token_file, or NOMAD_TOKEN, to a token of policies/nomad-dispatcher.hcl",
                    );
                }
                match self.given_to_runs().await {
                    Ok(None) => Finding::good(subject, format!("`{}`, policies: {policies}{until}", token.name)),
                    Ok(Some(policy)) => Finding::bad(
                        Standing::Wrong,
                        subject,
                        format!(
                            "its policy `{policy}` is attached to the workloads of the namespace: every formula has its rights"
                        ),
                        format!("apply it again without -namespace: `nomad acl policy apply {policy} FILE`"),
                    ),
                    Err(error) => failed(subject, &error, "see that the servers answer for /v1/acl/policies"),
                }
            }
            Err(ClientError::Refused { said, .. }) if said.contains("ACL support disabled") => Finding::bad(
                Standing::Warning,
                subject,
                "the servers have no ACLs: whoever reaches them may run anything",
                "enable ACLs in the servers' configuration",
            ),
            Err(error) => {
                failed(subject, &error, "set backends.nomad.token_file, or NOMAD_TOKEN, to a token that is valid")
            }
        }
    }

    /// A policy of the token that runs have too, by the identity that Nomad gives to each workload.
    async fn given_to_runs(&self) -> Result<Option<String>, ClientError> {
        let jobs = self.variants();
        let is_ours = |attached: &Attached| {
            attached.namespace == self.client.namespace() && (attached.job.is_empty() || jobs.contains(&attached.job))
        };
        let mut policies = self.client.policies().await?.into_iter();
        Ok(policies.find(|policy| policy.attached.as_ref().is_some_and(is_ours)).map(|policy| policy.name))
    }

    async fn check_namespace(&self) -> Finding {
        let (subject, namespace) = ("nomad: namespace", self.client.namespace());
        let fix = format!("make it: `nomad namespace apply {namespace}`, and give the token's policy a rule for it");
        match self.client.namespace_exists().await {
            Ok(true) => Finding::good(subject, namespace),
            Ok(false) => Finding::bad(Standing::Wrong, subject, format!("there is no namespace `{namespace}`"), fix),
            Err(error) => failed(subject, &error, &fix),
        }
    }

    async fn check_list(&self) -> Finding {
        let subject = "nomad: runs";
        match self.client.jobs(&names::tidemarks(&self.settings.job)).await {
            Ok(_) => Finding::good(subject, format!("may be listed; a payload holds up to {PAYLOAD_LIMIT} bytes")),
            Err(error) => failed(subject, &error, "add the capability to the namespace's rule in the token's policy"),
        }
    }

    /// Whether the job `id` is there, with the marker that is wanted.
    async fn check_job(&self, id: &str, wanted: Option<&str>, missing: Standing, wrong: Standing) -> Finding {
        let subject = format!("nomad: job {id}");
        match self.client.job(id).await {
            Err(error) => failed(&subject, &error, "add the capability to the namespace's rule in the token's policy"),
            Ok(None) => Finding::bad(missing, subject, "it is not registered", REGISTER),
            Ok(Some(job)) => match what_is_wrong(&job, wanted) {
                Some(evidence) => Finding::bad(wrong, subject, evidence, REGISTER),
                None => Finding::good(subject, "registered, as this build ships it"),
            },
        }
    }
}

fn what_is_wrong(job: &Job, wanted: Option<&str>) -> Option<String> {
    let spec = job.meta.as_ref().and_then(|meta| meta.get(META_SPEC));
    match spec {
        _ if job.stop => Some("it is stopped".to_owned()),
        _ if job.parameterized_job.is_none() => Some("it is not a parameterized job".to_owned()),
        None => Some(format!("it is none of `dispatch jobs`: its meta has no `{META_SPEC}`")),
        Some(spec) if wanted.is_some_and(|wanted| wanted != spec) => {
            Some("it differs from what this build and this config would register".to_owned())
        }
        Some(_) => restraint::loosened(job),
    }
}
