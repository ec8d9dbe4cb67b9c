//! Arguments of the verbs with which an operator sets a site up: the ops repo, jobs in Nomad, policies in Vault.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::support::ids::{CommitId, SecretName};

/// `dispatch jobs …`
#[derive(Debug, Clone, Subcommand)]
pub enum JobsVerb {
    /// Print what registering the jobs would change, field by field; exit 1 when they are not as the configuration wants them
    Plan,
    /// Register the jobs that are new or differ
    Apply,
    /// Have Nomad check the jobs, without a look at those that are registered
    Validate,
}

/// `dispatch ops …`
#[derive(Debug, Clone, Subcommand)]
pub enum OpsVerb {
    /// Make the files of an ops repo, and protect its primary branch; what is there already stays
    Init(InitArgs),
    /// Go on after the primary branch was rewritten
    AcceptRewrite {
        /// The new head, in full
        #[arg(value_name = "COMMIT")]
        commit: CommitId,
    },
}

/// `dispatch ops init`
#[derive(Debug, Clone, Args)]
pub struct InitArgs {
    /// Put the files into this folder: a clone, from which they go through a pull request
    #[arg(value_name = "DIR", required_unless_present_any = ["remote", "protect", "webhook"], conflicts_with = "remote")]
    pub folder: Option<PathBuf>,
    /// Put them straight onto the primary branch (config: `ops.remote`)
    #[arg(long)]
    pub remote: bool,
    /// Protect the primary branch through the forge's API; needs an administrator's token
    #[arg(long)]
    pub protect: bool,
    /// Approvals that a merge needs; a higher number that is there stays
    #[arg(long, value_name = "N", default_value_t = 1, requires = "protect")]
    pub approvals: u32,
    /// Somebody whose approval counts; may be given several times [default: those of `approval.medium` and `approval.high`]
    #[arg(long = "approver", value_name = "LOGIN", requires = "protect")]
    pub approvers: Vec<String>,
    /// Have the forge call this address on each push and each change of a request (config: `webhook.secret_*` signs); needs an
    /// administrator's token
    #[arg(long, value_name = "URL")]
    pub webhook: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `dispatch policies …`
#[derive(Debug, Clone, Subcommand)]
pub enum PoliciesVerb {
    /// Say what would be written, and write nothing
    Plan(PoliciesFrom),
    /// Write the policies and roles that differ
    Apply(PoliciesApplyArgs),
    /// Compare: exit 1 where something differs
    Check(PoliciesFrom),
    /// Write the policy of another secret into a folder, in the shipped shape
    Add(PolicyAddArgs),
}

/// Which policies, and with whose token.
#[derive(Debug, Clone, Args)]
pub struct PoliciesFrom {
    /// The folder of policies and roles [config: `secrets.vault.policies`; without it those that ship]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The file of an administrator's token [default: `$VAULT_TOKEN`]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// `dispatch policies apply`
#[derive(Debug, Clone, Args)]
pub struct PoliciesApplyArgs {
    /// Which, and with whose token
    #[command(flatten)]
    pub from: PoliciesFrom,
    /// Say what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `dispatch policies add`
#[derive(Debug, Clone, Args)]
pub struct PolicyAddArgs {
    /// The secret
    #[arg(value_name = "NAME")]
    pub name: SecretName,
    /// The folder [config: `secrets.vault.policies`]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
