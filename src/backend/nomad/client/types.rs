//! What Nomad's answers hold, as far as it is read here (1.11.3). Go writes an empty list or table as `null`, so every one of them is
//! optional.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// What a dispatch answers. **The id may be that of a job that does not exist** (a lost race under one token): read it back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Dispatched {
    /// The child.
    #[serde(rename = "DispatchedJobID")]
    pub job: String,
    /// Empty when an earlier dispatch under the token is answered.
    #[serde(rename = "EvalID", default)]
    pub evaluation: String,
}

/// A job, as far as runs need it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The parameterized job of which it is a dispatch.
    #[serde(rename = "ParentID")]
    pub parent: String,
    /// `pending`, `running`, `dead`. A dead job's task may still run.
    pub status: String,
    /// Whether it was deregistered.
    pub stop: bool,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
    /// The token it was dispatched under.
    pub dispatch_idempotency_token: String,
    /// For optimistic changes.
    pub job_modify_index: u64,
    /// Its meta.
    pub meta: Option<BTreeMap<String, String>>,
    /// Whether it can be dispatched, and how.
    pub parameterized_job: Option<Value>,
    /// Its groups.
    pub task_groups: Option<Vec<TaskGroup>>,
}

/// A group of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroup {
    /// Its name.
    pub name: String,
    /// Its tasks.
    pub tasks: Option<Vec<Task>>,
    /// How often a task begins anew on its client.
    pub restart_policy: Option<RestartPolicy>,
    /// How often it is placed anew after a failure.
    pub reschedule_policy: Option<ReschedulePolicy>,
    /// What becomes of it while its client is away.
    pub disconnect: Option<Disconnect>,
}

/// A task of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What its driver is told.
    pub config: Option<TaskConfig>,
    /// Goes before its group's.
    pub restart_policy: Option<RestartPolicy>,
}

/// What a driver is told, as far as it is read here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct TaskConfig {
    /// The image, with drivers that have one.
    pub image: Option<String>,
}

/// `restart`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// At the most.
    pub attempts: i64,
}

/// `reschedule`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReschedulePolicy {
    /// At the most.
    pub attempts: i64,
    /// Without an end.
    pub unlimited: bool,
}

/// `disconnect`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disconnect {
    /// Nanoseconds after which a client that is away is lost.
    pub lost_after: i64,
    /// Whether another allocation takes its place meanwhile.
    pub replace: Option<bool>,
}

/// A job in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JobStub {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The parameterized job of which it is a dispatch.
    #[serde(rename = "ParentID")]
    pub parent: String,
    /// `pending`, `running`, `dead`.
    pub status: String,
    /// Whether it was deregistered.
    pub stop: bool,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
    /// Its meta.
    pub meta: Option<BTreeMap<String, String>>,
}

/// An allocation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its job.
    #[serde(rename = "JobID")]
    pub job: String,
    /// The name of its node.
    pub node_name: String,
    /// `pending`, `running`, `complete`, `failed`, `lost`, `unknown`.
    pub client_status: String,
    /// What the server wants: `run`, `stop`, `evict`.
    pub desired_status: String,
    /// Why.
    pub desired_description: String,
    /// By task.
    pub task_states: Option<BTreeMap<String, TaskState>>,
    /// Raft index of its making: the order of allocations of a job.
    pub create_index: u64,
    /// Raft index of its last change.
    pub modify_index: u64,
    /// Nanoseconds since 1970, by the server's clock.
    pub create_time: i64,
    /// Nanoseconds since 1970.
    pub modify_time: i64,
}

/// How a task stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running`, `dead`.
    pub state: String,
    /// RFC 3339; absent or in year 1 while it runs.
    pub finished_at: Option<String>,
    /// The last ten.
    pub events: Option<Vec<TaskEvent>>,
}

/// Something that happened to a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// `Received`, `Task Setup`, `Started`, `Terminated`, ….
    #[serde(rename = "Type")]
    pub kind: String,
    /// Nanoseconds since 1970, by the client's clock.
    pub time: i64,
    /// Of `Terminated`; 0 on others.
    pub exit_code: i32,
    /// Of `Terminated`, with some drivers.
    pub signal: i32,
    /// Whether the task failed by it.
    pub fails_task: bool,
    /// In words.
    pub display_message: String,
    /// What is particular to the event.
    pub details: Option<BTreeMap<String, String>>,
}

/// An evaluation: one decision of the scheduler about a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its job.
    #[serde(rename = "JobID")]
    pub job: String,
    /// `pending`, `blocked`, `complete`, `failed`, `canceled`.
    pub status: String,
    /// `job-register`, `job-deregister`, `node-drain`, `alloc-stop`, ….
    pub triggered_by: String,
    /// Raft index of its last change.
    pub modify_index: u64,
    /// Why nothing could be placed, by group.
    #[serde(rename = "FailedTGAllocs")]
    pub failed: Option<BTreeMap<String, Metric>>,
}

/// Why a group could not be placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Metric {
    /// Nodes looked at.
    pub nodes_evaluated: u64,
    /// By datacenter.
    pub nodes_available: Option<BTreeMap<String, u64>>,
    /// Constraint (a driver, a volume, an expression) → nodes that it ruled out.
    pub constraint_filtered: Option<BTreeMap<String, u64>>,
    /// Resource → nodes that lack it.
    pub dimension_exhausted: Option<BTreeMap<String, u64>>,
}

/// What a deregistration or registration answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Change {
    /// The evaluation that it set off; empty where there was nothing to change.
    #[serde(rename = "EvalID")]
    pub evaluation: String,
    /// The job's index after it.
    pub job_modify_index: u64,
}

/// What a plan answers.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Plan {
    /// `Diff.Type` is `None`, `Edited` or `Added`; the fields that changed stand inside.
    pub diff: Option<Value>,
    /// To register against.
    pub job_modify_index: u64,
    /// In words.
    pub warnings: String,
    /// What could not be placed.
    #[serde(rename = "FailedTGAllocs")]
    pub failed: Option<BTreeMap<String, Metric>>,
}

/// What a validation answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Validation {
    /// All errors in one text; empty for none.
    pub error: String,
    /// Each.
    pub validation_errors: Option<Vec<String>>,
    /// In words.
    pub warnings: String,
}

/// The token that calls, as the server knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TokenSelf {
    /// Its accessor; `anonymous` where no token was sent.
    #[serde(rename = "AccessorID")]
    pub accessor: String,
    /// For people.
    pub name: String,
    /// `client` or `management`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The names of its policies.
    pub policies: Option<Vec<String>>,
    /// RFC 3339.
    pub expiration_time: Option<String>,
}

/// An ACL policy in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PolicyStub {
    /// Its name.
    pub name: String,
    /// To which workloads it is attached: these have its rights too, by their own identity.
    #[serde(rename = "JobACL")]
    pub attached: Option<Attached>,
}

/// The workloads of a namespace, or of one job in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Attached {
    /// The namespace.
    pub namespace: String,
    /// The job; empty: all of them.
    #[serde(rename = "JobID")]
    pub job: String,
}

/// A variable. Whether it is locked is not in it: only a management token sees that.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Variable {
    /// Its content.
    pub items: Option<BTreeMap<String, String>>,
    /// Raft index of its last change, which a renewal of its lock is not.
    pub modify_index: u64,
}

/// What the event stream said in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct News {
    /// Raft index of the change.
    pub index: u64,
    /// Jobs whose allocations changed.
    pub allocations: Vec<String>,
    /// Jobs whose evaluations changed.
    pub evaluations: Vec<String>,
}
