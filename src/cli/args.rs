//! The arguments of every verb. What a flag means stands in its doc comment, which is also its `--help`.
//!
//! Here are the verbs and the flags that all of them have; those of one verb stand in [`runs`], [`files`] and [`setup`].

mod files;
mod runs;
mod setup;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

pub use files::{CheckArgs, CompletionsArgs, ConfigVerb, DemoArgs, ManArgs, SchemaArgs};
pub use runs::{
    ActionArg, AuditVerb, ExplainArgs, GcArgs, ListArgs, LogsArgs, OnceArgs, Param, RequestArgs, RunArgs, TargetArg,
};
pub use setup::{InitArgs, JobsVerb, OpsVerb, PoliciesApplyArgs, PoliciesFrom, PoliciesVerb, PolicyAddArgs};

use super::logging::LogFormat;
use super::output::{Format, When};

const EXIT_CODES: &str = "\
Exit codes:
  0    done, or the run succeeded
  1    the run failed, or the command could not do what was asked
  2    wrong arguments or a wrong configuration
  3    the action was rejected
  4    the dispatcher, the ops repo or a backend cannot be reached
  5    it took longer than it may
  6    another dispatcher leads, or may by now
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
