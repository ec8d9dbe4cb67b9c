//! `dispatch logs`: the log of a run, also while it grows.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rusqlite::Connection;

use super::args::LogsArgs;
use super::error::{CliError, Kind};
use super::invocation::{Invocation, interruptible};
use super::output::{Format, Output, complain};
use super::view::LogView;
use super::{records, render};
use crate::dispatcher::report::run_view;
use crate::run::journal::read;
use crate::run::log::{LogReader, LogStore, Part, escape_for_terminal};
use crate::run::record::Run;
use crate::run::state::State;
use crate::support::ids::RunId;
use crate::support::text::one_line;
use crate::support::watch::{Watched, Watcher};

/// `dispatch logs`
///
/// # Errors
/// There is no such run, or nothing of its log.
pub fn run(arguments: &LogsArgs, invocation: &mut Invocation) -> Result<ExitCode, CliError> {
    let state_dir = invocation.load()?.config.state_dir;
    let journal = records::open(&state_dir)?;
    let run = records::find(&journal, &arguments.id)?.ok_or_else(|| records::unknown(&arguments.id))?;
    let source = Source { logs: LogStore::new(state_dir.join("logs")), state_dir, journal, run: run.id.clone() };
    if arguments.follow {
        if !is_over(&run) && records::status(&source.state_dir)?.is_none() {
            complain("no dispatcher is running: the log goes on when one is started\n");
        }
        interruptible(follow(&source, &mut invocation.output))?;
    } else {
        whole(&source, &run, &mut invocation.output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the log comes from.
struct Source {
    state_dir: PathBuf,
    logs: LogStore,
    journal: Connection,
    run: RunId,
}

/// Whether nothing more will come into the log.
fn is_over(run: &Run) -> bool {
    matches!(run.state, State::Settled | State::Published | State::Rejected)
}

fn whole(source: &Source, run: &Run, output: &mut Output) -> Result<(), CliError> {
    if !source.logs.path(&source.run).exists() {
        return Err(no_log(run));
    }
    let mut reader = source.logs.read(&source.run).map_err(|error| CliError::from_error(Kind::Failed, &error))?;
    if output.format() == Format::Text {
        return print(&mut reader, Part::All, |bytes| output.raw(escape_for_terminal(bytes).as_bytes()));
    }
    let mut text = Vec::new();
    print(&mut reader, Part::All, |bytes| {
        text.extend_from_slice(bytes);
        Ok(())
    })?;
    let view = view(source, run, &text);
    output.say("logs", &view, |_| String::new())
}

fn no_log(run: &Run) -> CliError {
    let state = run_view(run, None).state;
    let words = CliError::new(Kind::Failed, format!("{} has no log: it is {state}", run.id));
    if run.handle.is_some() {
        return words.hint(
            "`dispatch gc` removes logs after `limits.keep_days`; the result keeps the end of it: `dispatch show`",
        );
    }
    words.hint("it never began, or has not yet; `dispatch show ID` tells why, `dispatch logs -f ID` waits for it")
}

fn view(source: &Source, run: &Run, bytes: &[u8]) -> LogView {
    LogView {
        run: run.id.to_string(),
        state: run_view(run, None).state,
        log: source.logs.path(&run.id).display().to_string(),
        text: String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Hands on what there is, block by block.
fn print(
    reader: &mut LogReader,
    part: Part,
    mut to: impl FnMut(&[u8]) -> Result<(), CliError>,
) -> Result<(), CliError> {
    loop {
        let bytes = reader.read(part).map_err(|error| CliError::from_error(Kind::Failed, &error))?;
        if bytes.is_empty() {
            return Ok(());
        }
        to(&bytes)?;
    }
}

/// Prints until the run is over. Nothing asks again by the clock: the journal and the log are files that are watched.
async fn follow(source: &Source, output: &mut Output) -> Result<(), CliError> {
    let mut news = News::new(&source.state_dir)?;
    let mut reader = None;
    loop {
        news.also_watch_logs()?;
        // The state first: what the log gets before it is over is then read below.
        let run = read::run(&source.journal, &source.run).map_err(|error| records::failed(&error))?;
        let run = run.ok_or_else(|| CliError::new(Kind::Failed, "the run is gone from the journal"))?;
        let over = is_over(&run);
        if reader.is_none() && source.logs.path(&source.run).exists() {
            let opened = source.logs.read(&source.run);
            reader = Some(opened.map_err(|error| CliError::from_error(Kind::Failed, &error))?);
        }
        if let Some(reader) = &mut reader {
            let part = if over { Part::All } else { Part::WholeLines };
            print(reader, part, |bytes| show_part(source, &run, bytes, output))?;
        }
        if over {
            return show_end(&run, output);
        }
        news.changed().await;
    }
}

fn show_part(source: &Source, run: &Run, bytes: &[u8], output: &mut Output) -> Result<(), CliError> {
    match output.format() {
        Format::Text => output.raw(escape_for_terminal(bytes).as_bytes()),
        Format::Json => output.say("logs", &view(source, run, bytes), |_| String::new()),
    }
}

/// How it ended: to people on stderr, so that stdout is the log and nothing else; to tools as the last line.
fn show_end(run: &Run, output: &mut Output) -> Result<(), CliError> {
    let view = run_view(run, None);
    match output.format() {
        Format::Text => {
            complain(&format!("{}\n", one_line(&render::ending(&view))));
            Ok(())
        }
        Format::Json => output.say("logs.end", &view, |_| String::new()),
    }
}

/// Tells when the journal or a log changes.
struct News {
    watcher: Watcher,
    folder: PathBuf,
    journal: Watched,
    logs: Option<Watched>,
}

impl News {
    fn new(state_dir: &Path) -> Result<Self, CliError> {
        let watcher = Watcher::new().map_err(|error| unwatchable(&error))?;
        let journal = watcher.watch(state_dir).map_err(|error| unwatchable(&error))?;
        Ok(Self { watcher, folder: state_dir.join("logs"), journal, logs: None })
    }

    /// The folder of logs is made with the first of them.
    fn also_watch_logs(&mut self) -> Result<(), CliError> {
        if self.logs.is_none() && self.folder.exists() {
            self.logs = Some(self.watcher.watch(&self.folder).map_err(|error| unwatchable(&error))?);
        }
        Ok(())
    }

    async fn changed(&mut self) {
        match &mut self.logs {
            None => self.journal.changed().await,
            Some(logs) => tokio::select! {
                () = self.journal.changed() => {}
                () = logs.changed() => {}
            },
        }
    }
}

fn unwatchable(error: &std::io::Error) -> CliError {
    let words = CliError::new(Kind::Failed, "the log cannot be followed").caused_by(&error);
    words.hint("the limits are `fs.inotify.max_user_instances` and `fs.inotify.max_user_watches`")
}
