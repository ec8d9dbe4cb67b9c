//! The arguments of every verb. What a flag means stands in its doc comment, which is also its `--help`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{ArgAction, Args, Parser, Subcommand};

use super::logging::LogFormat;
use super::output::{Format, When};
use crate::action::schema::SchemaKind;
use crate::support::control::Target;
use crate::support::ids::{ActionId, CommitId, FormulaName, MountName, SecretName};

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or the run succeeded
  1    the run failed, or the command could not do what was asked
  2    wrong arguments or a wrong configuration
  3    the action was rejected
  4    the dispatcher, the ops repo or a backend cannot be reached
  5    it took longer than it may
  130  interrupted";

/// Runs privileged jobs that were approved in git, each with its own secrets and no others
#[derive(Debug, Parser)]
#[command(name = "dispatch", version, after_help = EXIT_CODES, disable_help_subcommand = true, max_term_width = 100)]
pub struct Cli {
    /// Flags of every verb.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags of every verb.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// The config file [default: `$DISPATCH_CONFIG`, ./dispatch.toml, /etc/dispatch/dispatch.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the journal, logs and run directories live (config: `state_dir`)
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<String>,
    /// The ops repo (config: `ops.remote`)
    #[arg(long, global = true, value_name = "REMOTE")]
    pub ops_remote: Option<String>,
    /// The primary branch of the ops repo (config: `ops.branch`)
    #[arg(long, global = true, value_name = "BRANCH")]
    pub ops_branch: Option<String>,
    /// `text` for people, `json` for one document for tools
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", hide_possible_values = true)]
    pub output: Format,
    /// Colours: `auto` (on a terminal without `NO_COLOR`), `always` or `never`
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", hide_possible_values = true)]
    pub color: When,
    /// The form of the log on stderr, `text` or `json`; `DISPATCH_LOG` filters it
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORM", hide_possible_values = true)]
    pub log_format: LogFormat,
    /// Log more; twice for everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
}

impl Globals {
    /// The flags that set a key of the configuration: flag, key, value.
    pub fn settings(&self) -> Vec<(&'static str, &'static str, String)> {
        let all = [&self.state_dir, &self.ops_remote, &self.ops_branch];
        FLAG_KEYS.iter().zip(all).filter_map(|((flag, key), value)| Some((*flag, *key, value.clone()?))).collect()
    }
}

/// Which flag sets which key, in the order of [`Globals::settings`].
pub const FLAG_KEYS: [(&str, &str); 3] =
    [("state-dir", "state_dir"), ("ops-remote", "ops.remote"), ("ops-branch", "ops.branch")];

/// The verbs. `runner`, `local-supervise` and `redact`, which the dispatcher itself calls, are hidden and stand at the end.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve: take up approved actions until told to stop
    Run(RunArgs),
    /// Take up what is there once, wait for it, and end
    Once(OnceArgs),
    /// Check actions, formulas and policies without running anything
    Check(CheckArgs),
    /// Print every admission check of an action with its evidence
    Explain(ExplainArgs),
    /// Print what would be granted, mounted and launched; nothing is
    Plan(ActionArg),
    /// Open the pull request for a new action, and follow it to its result
    Request(RequestArgs),
    /// What the dispatcher is doing
    Status,
    /// List runs
    List(ListArgs),
    /// Everything about one run
    Show(TargetArg),
    /// Print the log of a run
    Logs(LogsArgs),
    /// Stop a run, or keep it from beginning
    Cancel(TargetArg),
    /// Run an action again; the decision is recorded
    Retry(TargetArg),
    /// Take up nothing new, and end when what runs has ended
    Drain,
    /// Look at everything that the configuration names, and say what to do about what does not hold
    Doctor,
    /// The shipped jobs in Nomad; with an operator's token
    #[command(subcommand)]
    Jobs(JobsVerb),
    /// Remove what settled runs left behind
    Gc(GcArgs),
    /// The record of everything that happened
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Decisions about the ops repo
    #[command(subcommand)]
    Ops(OpsVerb),
    /// What must stand in Vault for grants to work
    #[command(subcommand)]
    Policies(PoliciesVerb),
    /// Print the JSON schema of a file format
    Schema(SchemaArgs),
    /// The configuration
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Print the completion script of a shell
    Completions(CompletionsArgs),
    /// Print the manual page
    Man(ManArgs),
    /// Show everything at work in a folder of its own
    Demo(DemoArgs),
}

/// `dispatch run`
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// On SIGTERM or SIGINT, wait for what runs instead of leaving it to be adopted later
    #[arg(long)]
    pub drain: bool,
}

/// `dispatch once`
#[derive(Debug, Clone, Args)]
pub struct OnceArgs {
    /// Run this file, which need not come from the ops repo; only with `debug.allow_unapproved`, and never published
    #[arg(long, value_name = "FILE")]
    pub action: Option<PathBuf>,
    /// Run on this backend
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// Say what would be run, and run nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `dispatch check`
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Files, or folders that are searched for actions, formulas and policies
    #[arg(required_unless_present = "range", conflicts_with = "range", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Check what changed between two commits of the repository around the current folder
    #[arg(long, value_name = "A..B")]
    pub range: Option<String>,
}

/// `dispatch explain`
#[derive(Debug, Clone, Args)]
pub struct ExplainArgs {
    /// The action
    #[arg(value_name = "ID", required_unless_present = "file")]
    pub id: Option<ActionId>,
    /// Explain this file as if it stood in the ops repo; the approval of a file cannot be judged
    #[arg(long, value_name = "FILE", conflicts_with_all = ["id", "reference"])]
    pub file: Option<PathBuf>,
    /// Look at this branch, tag or commit of the ops repo as if it were the primary branch: for what is not merged yet
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
}

/// `dispatch request`
#[derive(Debug, Clone, Args)]
pub struct RequestArgs {
    /// The formula that is to run
    #[arg(value_name = "FORMULA")]
    pub formula: FormulaName,
    /// Why, for the people who approve it
    #[arg(long, value_name = "TEXT")]
    pub context: String,
    /// A secret that it needs; may be given several times
    #[arg(long = "secret", value_name = "NAME")]
    pub secrets: Vec<SecretName>,
    /// A mount that it needs; may be given several times
    #[arg(long = "mount", value_name = "NAME")]
    pub mounts: Vec<MountName>,
    /// A parameter of the formula; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub params: Vec<Param>,
    /// The id of the action [default: the formula, the day and six characters of chance]
    #[arg(long, value_name = "ID")]
    pub id: Option<ActionId>,
    /// The title of the pull request [default: the formula and the first line of the context]
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Wait for its approval, its merge and its result; the exit code is that of the result
    #[arg(long)]
    pub wait: bool,
    /// Wait no longer than this; the request stays open
    #[arg(long, value_name = "MINUTES", requires = "wait")]
    pub timeout: Option<u32>,
    /// Check it and print the file; nothing is written anywhere
    #[arg(long, conflicts_with = "wait")]
    pub dry_run: bool,
}

/// `NAME=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Before the first `=`.
    pub name: String,
    /// Behind it.
    pub value: String,
}

impl FromStr for Param {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) =
            text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("write it as NAME=VALUE")?;
        Ok(Self { name: name.to_owned(), value: value.to_owned() })
    }
}

/// A verb about one action.
#[derive(Debug, Clone, Args)]
pub struct ActionArg {
    /// The action
    #[arg(value_name = "ID")]
    pub id: ActionId,
}

/// A verb about one run.
#[derive(Debug, Clone, Args)]
pub struct TargetArg {
    /// The action (its latest run), or `action@attempt`
    #[arg(value_name = "ID")]
    pub id: Target,
}

/// `dispatch list`
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only runs in this state: `waiting`, `running`, `succeeded`, `failed`, `rejected`, …
    #[arg(long, value_name = "STATE")]
    pub state: Option<String>,
    /// At most so many, the newest
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

/// `dispatch logs`
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The action (its latest run), or `action@attempt`
    #[arg(value_name = "ID")]
    pub id: Target,
    /// Go on printing until the run ends
    #[arg(short, long)]
    pub follow: bool,
}

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

/// `dispatch gc`
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `dispatch audit …`
#[derive(Debug, Clone, Subcommand)]
pub enum AuditVerb {
    /// Prove that no event of the journal was edited or is missing
    Verify,
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
    #[arg(value_name = "DIR", required_unless_present_any = ["remote", "protect"], conflicts_with = "remote")]
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

/// `dispatch schema`
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// Which format: the name of one of the files that people or dispatch write
    #[arg(value_enum, value_name = "KIND")]
    pub kind: SchemaKind,
}

/// `dispatch config …`
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigVerb {
    /// Print every effective value
    Show {
        /// Also print where each value came from
        #[arg(long)]
        origin: bool,
    },
}

/// `dispatch completions`
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

/// `dispatch man`
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Write one page for each verb into this folder instead
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `dispatch demo`
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Use this folder and keep it [default: a temporary one, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
