//! The control socket: what an operator's commands ask of a running dispatcher (`support::control` has the protocol).

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::Dispatcher;
use super::pickup::HEAD;
use crate::run::journal::JournalError;
use crate::run::record::Run;
use crate::run::state::State;
use crate::run::step::{Request, Step, StopCause};
use crate::support::chain;
use crate::support::control::{
    Code, Command, MAX_LINE, Refusal, Reply, SocketAddress, Target, decode_command, encode_reply,
};
use crate::support::ids::{CommitId, RunId};

impl Dispatcher {
    /// Opens the socket in `state_dir`. One that was left by a dispatcher that is gone is replaced: the lock on the directory
    /// is ours.
    ///
    /// # Errors
    /// Any error of the socket.
    pub fn listen(state_dir: &Path) -> io::Result<UnixListener> {
        use std::os::unix::fs::PermissionsExt as _;
        let address = SocketAddress::of(state_dir)?;
        match std::fs::remove_file(address.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(address.path())?;
        std::fs::set_permissions(address.path(), std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Answers commands for as long as the listener lives.
    pub async fn answer(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(Arc::clone(&self).converse(stream))),
                Err(error) => {
                    tracing::warn!(%error, "the control socket does not accept");
                    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
                }
            }
        }
    }

    async fn converse(self: Arc<Self>, stream: UnixStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read.take(u64::try_from(MAX_LINE).unwrap_or(u64::MAX)));
        let mut line = Vec::new();
        while matches!(lines.read_until(b'\n', &mut line).await, Ok(length) if length > 0) {
            let reply = match decode_command(&line) {
                Ok(command) => self.carry_out(command).await,
                Err(refusal) => Err(refusal),
            };
            let reply = reply.map_or_else(Reply::Error, Reply::Ok);
            if write.write_all(encode_reply(&reply).as_bytes()).await.is_err() {
                return;
            }
            line.clear();
            lines.get_mut().set_limit(u64::try_from(MAX_LINE).unwrap_or(u64::MAX));
        }
    }

    async fn carry_out(&self, command: Command) -> Result<Value, Refusal> {
        let changes = matches!(command, Command::Cancel { .. } | Command::Retry { .. } | Command::AcceptRewrite { .. });
        if let Some(words) = self.stands_by().filter(|_| changes) {
            return Err(Refusal::new(Code::Conflict, format!("{words}: ask that one")));
        }
        match command {
            Command::Ping => Ok(json!({ "pid": std::process::id(), "version": env!("CARGO_PKG_VERSION") })),
            Command::Status => {
                let status = self.status().await.map_err(|error| internal(&error))?;
                serde_json::to_value(status).map_err(|error| Refusal::new(Code::Internal, error.to_string()))
            }
            Command::Cancel { id } => self.cancel(&id).await,
            Command::Retry { id } => self.retry(&id).await,
            Command::Drain => {
                self.draining.send_replace(true);
                Ok(json!({ "running": self.crew.running() }))
            }
            Command::Poll => {
                self.look_now();
                Ok(json!({}))
            }
            Command::AcceptRewrite { commit } => self.accept_rewrite(&commit).await,
        }
    }

    async fn find(&self, target: &Target) -> Result<Run, Refusal> {
        let journal = &self.crew.world().journal;
        let found = match target {
            Target::Run(run) => journal.run(run).await,
            Target::Action(action) => {
                journal.latest(vec![action.clone()]).await.map(|runs| runs.into_iter().flatten().next())
            }
        };
        let none = || Refusal::new(Code::NotFound, format!("the journal knows no {target}"));
        found.map_err(|error| internal(&error))?.ok_or_else(none)
    }

    /// Cancels a run, or withdraws one that has not begun.
    async fn cancel(&self, target: &Target) -> Result<Value, Refusal> {
        let run = self.find(target).await?;
        if matches!(run.state, State::Finished | State::Rejected | State::Settled | State::Published) {
            return Err(Refusal::new(Code::Conflict, format!("{} is over: it is {}", run.id, run.state)));
        }
        let step = Step::Stop { cause: StopCause::Operator, by: Some("control socket".to_owned()) };
        let run = self.crew.world().journal.step(&run.id, step).await.map_err(|error| internal(&error))?;
        self.crew.dequeue(&run.id);
        match run.state {
            State::Finished => self.crew.take_up(&run),
            _ if self.crew.has(&run.id) => self.crew.stop(&run.id),
            // A launch that was broken off, and has waited since the start for the ops repo to be looked at: ending it need not.
            _ => self.crew.take_up(&run),
        }
        Ok(json!({ "run": run.id, "state": run.state }))
    }

    /// Asks for another attempt at the same bytes, which must still stand on the primary branch.
    async fn retry(&self, target: &Target) -> Result<Value, Refusal> {
        let run = self.find(target).await?;
        let conflict = |words: String| Refusal::new(Code::Conflict, words);
        let latest = self.find(&Target::Action(run.id.action().clone())).await?;
        if latest.state != State::Published {
            return Err(conflict(format!("{} is not over: it is {}", latest.id, latest.state)));
        }
        let request = self.standing_request(&latest).await?;
        let next = RunId::new(latest.id.action().clone(), latest.id.attempt() + 1);
        let step = Step::See { request, asked_by: Some("control socket".to_owned()) };
        let _turn = self.pickup.recording.lock().await;
        let noted = self.pickup.note_attempt(next.action()).await;
        noted.map_err(|error| Refusal::new(Code::Internal, chain::words(&error)))?;
        let asked = self.crew.world().journal.step(&next, step).await;
        // Also after a failure: it may have been recorded all the same.
        self.wakes.judge.notify_one();
        let run = asked.map_err(|error| internal(&error))?;
        Ok(json!({ "run": run.id, "state": run.state }))
    }

    pub(super) async fn standing_request(&self, run: &Run) -> Result<Request, Refusal> {
        let conflict = |words: String| Refusal::new(Code::Conflict, words);
        let Some(request) = &run.request else {
            return Err(conflict(format!("the journal does not know what {} was asked to do", run.id)));
        };
        let journal = &self.crew.world().journal;
        let head: Option<CommitId> =
            journal.get(HEAD).await.map_err(|error| internal(&error))?.and_then(|head| head.parse().ok());
        let Some(head) = head else { return Err(conflict("the ops repo has not been looked at yet".to_owned())) };
        let looked_up = self.pickup.mirror.lookup(&head, std::slice::from_ref(&request.path)).await;
        let entry = looked_up.map_err(|error| Refusal::new(Code::Internal, chain::words(&error)))?.pop().flatten();
        match entry {
            Some(entry) if entry.object == request.blob => Ok(Request { head, ..request.clone() }),
            Some(_) => Err(conflict(format!("{} has changed since: changed bytes need a new id", request.path))),
            None => Err(conflict(format!("{} is no longer on the primary branch", request.path))),
        }
    }

    async fn accept_rewrite(&self, commit: &CommitId) -> Result<Value, Refusal> {
        let pending =
            self.crew.world().journal.get(super::pickup::REWRITTEN).await.map_err(|error| internal(&error))?;
        if pending.as_deref() != Some(commit.as_str()) {
            let words = match pending {
                Some(head) => format!("the rewritten head is {head}, not {commit}"),
                None => "the primary branch has not been rewritten".to_owned(),
            };
            return Err(Refusal::new(Code::Conflict, words));
        }
        let accepted = self.pickup.accept_rewrite(commit).await;
        accepted.map_err(|error| Refusal::new(Code::Internal, chain::words(&error)))?;
        self.moved().await.map_err(|error| internal(&error))?;
        self.troubles.clear("history");
        self.wakes.poll.notify_one();
        Ok(json!({ "head": commit }))
    }
}

fn internal(error: &JournalError) -> Refusal {
    Refusal::new(Code::Internal, chain::words(error))
}
