//! Arguments of the verbs that need no dispatcher: files that are checked or printed, the demo.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::action::schema::SchemaKind;

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
