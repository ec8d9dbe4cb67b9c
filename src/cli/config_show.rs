//! `dispatch config show [--origin]`: every effective value. There are no secrets in it: the configuration only names them.

use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;

use super::args::ConfigVerb;
use super::error::CliError;
use super::invocation::Invocation;
use super::output::Look;
use crate::config::{Loaded, Setting};

/// Which columns are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Columns {
    /// Key and value.
    Values,
    /// Also where the value came from.
    Origins,
}

/// Prints the configuration.
///
/// # Errors
/// It does not hold, or stdout cannot be written.
pub fn run(verb: &ConfigVerb, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    #[derive(Serialize)]
    struct Shown<'a> {
        file: &'a Option<std::path::PathBuf>,
        settings: &'a [Setting],
    }
    let ConfigVerb::Show { origin } = verb;
    let columns = if *origin { Columns::Origins } else { Columns::Values };
    let loaded = invocation.load()?;
    let data = Shown { file: &loaded.file, settings: &loaded.settings };
    invocation.output.say("config.show", &data, |look| render(&loaded, columns, look))?;
    Ok(ExitCode::SUCCESS)
}

/// The settings as a table.
pub fn render(loaded: &Loaded, columns: Columns, look: Look) -> String {
    let row = |setting: &Setting| {
        let mut row = vec![setting.key.clone(), value(&setting.value)];
        if columns == Columns::Origins {
            row.push(setting.origin.to_string());
        }
        row
    };
    let header: &[&str] = match columns {
        Columns::Values => &["key", "value"],
        Columns::Origins => &["key", "value", "origin"],
    };
    look.table(header, loaded.settings.iter().map(row).collect(), "nothing is set")
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
