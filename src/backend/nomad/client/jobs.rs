//! Calls about jobs: dispatch and what surrounds it, and those by which the shipped jobs are registered.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::Call;
use super::types::{Change, Dispatched, Evaluation, Job, JobStub, Plan, PolicyStub, TokenSelf, Validation};
use super::{Client, ClientError, Since};

const DISPATCH: Call = Call { does: "dispatching the job", needs: "dispatch-job" };
const READ: Call = Call { does: "reading the job", needs: "read-job" };
const EVALUATIONS: Call = Call { does: "reading the job's evaluations", needs: "read-job" };
const LIST: Call = Call { does: "listing jobs", needs: "list-jobs" };
const DEREGISTER: Call = Call { does: "deregistering the job", needs: "deregister-job" };
const PARSE: Call = Call { does: "parsing the job", needs: "parse-job" };
const VALIDATE: Call = Call { does: "validating the job", needs: "read-job" };
const PLAN: Call = Call { does: "planning the job", needs: "plan-job" };
const REGISTER: Call = Call {
    does: "registering the job",
    needs: "register-job, and for a host volume that the job mounts a `host_volume` rule",
};
const LEADER: Call = Call { does: "asking for the leader", needs: "" };
const SELF: Call = Call { does: "asking for the agent's version", needs: "`agent { policy = \"read\" }`" };
const TOKEN: Call = Call { does: "asking for the token's policies", needs: "" };
const NAMESPACE: Call = Call { does: "reading the namespace", needs: "any capability in it" };

/// Jobs in one page of a list.
const PAGE: &str = "500";

/// A dispatch of a parameterized job.
#[derive(Debug, Clone)]
pub struct Dispatch<'a> {
    /// The parameterized job.
    pub parent: &'a str,
    /// Under which at most one child comes, as long as the server remembers it.
    pub token: &'a str,
    /// What the child's id begins with; not checked by the server: `[a-z0-9-]`.
    pub prefix: &'a str,
    /// Meta.
    pub meta: BTreeMap<&'static str, String>,
    /// Payload, at most 16,384 bytes.
    pub payload: &'a [u8],
}

/// How a registration treats a job that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registration {
    /// It must not be there.
    New,
    /// It must be as it was when its `JobModifyIndex` was this.
    Replacing(u64),
}

impl Client {
    /// Dispatches. What it answers must be read back.
    ///
    /// # Errors
    /// [`ClientError`]; where the outcome is in doubt, the same token brings the same child.
    pub async fn dispatch(&self, dispatch: &Dispatch<'_>) -> Result<Dispatched, ClientError> {
        let body = json!({
            "Meta": dispatch.meta,
            "Payload": STANDARD.encode(dispatch.payload),
            "IdPrefixTemplate": dispatch.prefix,
        });
        let request = self.put(&format!("job/{}/dispatch", dispatch.parent), &body);
        self.read(DISPATCH, request.with("idempotency_token", dispatch.token)).await
    }

    /// A job; `None` where there is none.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn job(&self, id: &str) -> Result<Option<Job>, ClientError> {
        match self.read(READ, self.get(&format!("job/{id}"))).await {
            Err(ClientError::Absent { .. }) => Ok(None),
            other => other.map(Some),
        }
    }

    /// What was handed over to a child; `None` where there is no such job, or it holds nothing that can be read.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn payload(&self, id: &str) -> Result<Option<Vec<u8>>, ClientError> {
        #[derive(Deserialize)]
        struct Child {
            #[serde(rename = "Payload", default)]
            payload: Option<String>,
        }
        match self.read::<Child>(READ, self.get(&format!("job/{id}"))).await {
            Err(ClientError::Absent { .. }) => Ok(None),
            other => Ok(STANDARD.decode(other?.payload.unwrap_or_default()).ok()),
        }
    }

    /// The jobs whose id begins with `prefix`, with their meta.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn jobs(&self, prefix: &str) -> Result<Vec<JobStub>, ClientError> {
        let (mut all, mut next) = (Vec::new(), None::<String>);
        loop {
            let request = self.get("jobs").with("prefix", prefix).with("meta", "true").with("per_page", PAGE);
            let request = match next {
                Some(token) => request.with("next_token", token),
                None => request,
            };
            let answer = self.exchange(LIST, request).await?;
            all.extend(answer.json::<Option<Vec<JobStub>>>(LIST)?.unwrap_or_default());
            next = answer.next;
            if next.is_none() {
                return Ok(all);
            }
        }
    }

    /// The evaluations of a job, as they are at the index `since` or later; none for a job that is not there.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn evaluations(&self, job: &str, since: Since) -> Result<Vec<Evaluation>, ClientError> {
        let request = self.get(&format!("job/{job}/evaluations")).since(since);
        Ok(self.read::<Option<_>>(EVALUATIONS, request).await?.unwrap_or_default())
    }

    /// Deregisters a job, **never with `purge`**: that would forget its token and its allocation while the task goes on. A job that
    /// is not there, or was deregistered before, is no error.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn deregister(&self, job: &str) -> Result<Change, ClientError> {
        self.read(DEREGISTER, self.request(reqwest::Method::DELETE, &format!("job/{job}"))).await
    }

    /// A jobspec as the server's own JSON; `variables` as in a file of `name = value` lines.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the line, for a jobspec that does not parse.
    pub async fn parse(&self, hcl: &str, variables: &str) -> Result<Value, ClientError> {
        let body = json!({ "JobHCL": hcl, "Variables": variables, "Canonicalize": true });
        self.read(PARSE, self.put("jobs/parse", &body)).await
    }

    /// Whether the server would take a job. The driver's config is not looked at.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn validate(&self, job: &Value) -> Result<Validation, ClientError> {
        self.read(VALIDATE, self.put("validate/job", &json!({ "Job": job }))).await
    }

    /// What a registration would change.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn plan(&self, id: &str, job: &Value) -> Result<Plan, ClientError> {
        self.read(PLAN, self.put(&format!("job/{id}/plan"), &json!({ "Job": job, "Diff": true }))).await
    }

    /// Registers a job, unless it is not as expected.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn register(&self, job: &Value, how: Registration) -> Result<Change, ClientError> {
        let index = match how {
            Registration::New => 0,
            Registration::Replacing(index) => index,
        };
        let body = json!({ "Job": job, "EnforceIndex": true, "JobModifyIndex": index });
        self.read(REGISTER, self.put("jobs", &body)).await
    }

    /// The leader's address. Needs no right.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn leader(&self) -> Result<String, ClientError> {
        self.read(LEADER, self.get("status/leader")).await
    }

    /// The version of the agent that answers.
    ///
    /// # Errors
    /// [`ClientError::Denied`] without `agent { policy = "read" }`.
    pub async fn version(&self) -> Result<String, ClientError> {
        let agent: Value = self.read(SELF, self.get("agent/self")).await?;
        let version = agent.pointer("/config/Version/Version").and_then(Value::as_str);
        Ok(version.unwrap_or("unknown").to_owned())
    }

    /// What the server knows of the token.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn token_self(&self) -> Result<TokenSelf, ClientError> {
        self.read(TOKEN, self.get("acl/token/self")).await
    }

    /// The policies that the token has.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn policies(&self) -> Result<Vec<PolicyStub>, ClientError> {
        self.read(TOKEN, self.get("acl/policies")).await
    }

    /// Whether the namespace is there and the token may see it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn namespace_exists(&self) -> Result<bool, ClientError> {
        #[derive(Deserialize)]
        struct Namespace {}
        match self.read::<Namespace>(NAMESPACE, self.get(&format!("namespace/{}", self.namespace()))).await {
            Ok(Namespace {}) => Ok(true),
            Err(ClientError::Absent { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
