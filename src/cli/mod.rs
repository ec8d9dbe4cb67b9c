//! The command line: one file for each verb; the words that people read about errors in one place.
//!
//! [`main`] parses arguments ([`args`]), starts the log ([`logging`]), hands an [`invocation::Invocation`] to the verb and
//! maps what comes back to an exit code. A verb turns what modules below answer into a struct of [`view`], and [`output`]
//! shows it: by [`render`] to people, in the envelope to tools.

mod adhoc;
pub mod args;
pub mod audit;
pub mod check;
pub mod completions;
pub mod config_show;
pub mod control;
pub mod daemon;
mod demo;
mod doctor;
mod endpoint;
pub mod error;
pub mod explain;
pub mod gc;
mod inside;
pub mod invocation;
mod jobs;
pub mod list;
pub mod logging;
pub mod logs;
pub mod man;
pub mod ops;
pub mod output;
pub mod plan;
mod policies;
mod records;
pub mod render;
pub mod request;
mod runner;
pub mod schema;
mod service;
pub mod show;
mod supervise;
pub mod view;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory as _, FromArgMatches as _};

use crate::support::descriptors;
use args::{Cli, OpsVerb, Verb};
use error::{CliError, Kind};
use invocation::Invocation;
use output::{Format, Output, Paint, When, complain};

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    // First of all: supervisor and runner are verbs, too.
    descriptors::keep_from_children();
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = inside::run(&arguments) {
        return code;
    }
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(error) => return not_parsed(&error, &arguments),
    };
    let (format, color) = (cli.globals.output, cli.globals.color);
    let mut invocation = match Invocation::new(cli.globals, Output::stdout(format, color)) {
        Ok(invocation) => invocation,
        Err(error) => return failed(&error, &mut Output::stdout(format, color), color),
    };
    match invocation.start_log(&cli.verb).and_then(|()| run(&cli.verb, &mut invocation)) {
        Ok(code) => code,
        Err(error) => failed(&error, &mut invocation.output, color),
    }
}

/// clap colours its own words before it has parsed `--color`, so that flag is looked up first.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    let color = match given(arguments, "--color") {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    Cli::from_arg_matches(&Cli::command().color(color).try_get_matches_from(arguments)?)
}

/// One arm for each verb.
fn run(verb: &Verb, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    match verb {
        Verb::Status => daemon::status(invocation),
        Verb::Cancel(target) => daemon::cancel(target, invocation),
        Verb::Retry(target) => daemon::retry(target, invocation),
        Verb::Drain => daemon::drain(invocation),
        Verb::Ops(OpsVerb::Init(arguments)) => ops::init(arguments, invocation),
        Verb::Ops(OpsVerb::AcceptRewrite { commit }) => daemon::accept_rewrite(commit, invocation),
        Verb::Schema(schema) => schema::run(schema, invocation),
        Verb::Config(verb) => config_show::run(verb, invocation),
        Verb::Completions(completions) => completions::run(completions, invocation),
        Verb::Man(man) => man::run(man, invocation),
        Verb::Run(arguments) => service::run(arguments, invocation),
        Verb::Once(arguments) => service::once(arguments, invocation),
        Verb::Demo(arguments) => demo::run(arguments, invocation),
        Verb::List(arguments) => list::run(arguments, invocation),
        Verb::Show(target) => show::run(target, invocation),
        Verb::Logs(arguments) => logs::run(arguments, invocation),
        Verb::Policies(verb) => policies::run(verb, invocation),
        Verb::Doctor => doctor::run(invocation),
        Verb::Jobs(verb) => jobs::run(verb, invocation),
        Verb::Gc(arguments) => gc::run(arguments, invocation),
        Verb::Audit(verb) => audit::run(verb, invocation),
        Verb::Explain(arguments) => explain::run(arguments, invocation),
        Verb::Plan(action) => plan::run(action, invocation),
        Verb::Request(arguments) => request::run(arguments, invocation),
        Verb::Check(arguments) => check::run(arguments, invocation),
    }
}

/// Shows a failure: to tools on stdout, to people on stderr.
fn failed(error: &CliError, output: &mut Output, color: When) -> ExitCode {
    if error.kind() != Kind::ReaderGone {
        match output.format() {
            Format::Json => drop(output.say_error(error)),
            Format::Text => complain(&error.to_text(Paint::of(color, &std::io::stderr()))),
        }
    }
    ExitCode::from(error.kind().exit_code())
}

/// `--help`, `--version`, and arguments that do not parse: clap's own words, in the form that was asked for.
fn not_parsed(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Its reader may have gone; there is nothing more to do either way.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if given(arguments, "--output") == Some("json") {
        let text = error.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        let words = CliError::new(Kind::Usage, message).hint("see `dispatch --help`");
        return failed(&words, &mut Output::stdout(Format::Json, When::Never), When::Never);
    }
    let _ = error.print();
    ExitCode::from(Kind::Usage.exit_code())
}

/// What stands behind `flag` in arguments that clap has not parsed, or could not.
fn given<'a>(arguments: &'a [OsString], flag: &str) -> Option<&'a str> {
    let texts: Vec<&str> = arguments.iter().map_while(|argument| argument.to_str()).collect();
    let behind = texts.iter().position(|text| *text == flag).and_then(|at| texts.get(at + 1)).copied();
    behind.or_else(|| texts.iter().find_map(|text| text.strip_prefix(flag)?.strip_prefix('=')))
}
