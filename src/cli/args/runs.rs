//! Arguments of the verbs that run actions, ask for them, and tell of their runs.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::support::control::Target;
use crate::support::ids::{ActionId, FormulaName, MountName, SecretName};

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
