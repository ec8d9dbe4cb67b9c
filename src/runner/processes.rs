//! The formula's processes: its group, the orphans that it leaves, and the duties of process 1. This process is their subreaper
//! (or really process 1), so whatever the formula started and lost sooner or later becomes a child of ours.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, kill_process,
    kill_process_group, set_child_subreaper, set_dumpable_behavior, set_parent_process_death_signal, wait, waitid,
    waitpid,
};
use tokio::signal::unix::Signal as Signals;
use tokio::time::{Instant, timeout, timeout_at};

/// A process that does not die of SIGKILL within this time hangs in the kernel; nothing more can be done about it from here.
const SWEEP: Duration = Duration::from_secs(5);

/// Children that were handed over to us bring no signal of their own.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Prepares this process: it adopts orphans, it is told (SIGTERM) when its parent dies, and no other process of the same user
/// can read its memory.
///
/// # Errors
/// When the kernel refuses.
pub fn take_charge() -> io::Result<()> {
    set_child_subreaper(Some(getpid()))?;
    set_parent_process_death_signal(Some(Signal::TERM))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// Signals the whole group led by `leader`, which must not have been reaped: its id could be somebody else's by then.
pub fn signal_group(leader: Pid, signal: Signal) {
    // The group may be gone already; then there is nothing to signal.
    let _ = kill_process_group(leader, signal);
}

/// Reaps what has ended, and answers how `leader` did once it has; what is left of its group is killed then.
///
/// # Errors
/// When there is no such child.
pub fn reap(leader: Pid) -> io::Result<Option<WaitStatus>> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if waitid(WaitId::Pid(leader), look)?.is_some() {
        signal_group(leader, Signal::KILL);
        return Ok(waitpid(Some(leader), WaitOptions::NOHANG)?.map(|(_, status)| status));
    }
    loop {
        match any_ended() {
            Ok(Some((pid, status))) if pid == leader => return Ok(Some(status)),
            Ok(Some(_)) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Not rustix's `waitpid(None, …)`: that is wait4(0), which sees this process's own group only.
fn any_ended() -> rustix::io::Result<Option<(Pid, WaitStatus)>> {
    wait(WaitOptions::NOHANG)
}

/// The exit code that stands for `status`: a signal n is 128 + n.
pub fn exit_code(status: WaitStatus) -> i32 {
    status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal)).unwrap_or(255)
}

/// Kills every child that is left, and theirs as they come to us, and reaps them all. Answers how many would not die.
pub async fn sweep(child_ended: &mut Signals) -> usize {
    let end = Instant::now() + SWEEP;
    loop {
        loop {
            match any_ended() {
                Ok(Some(_)) => {}
                Err(Errno::CHILD) => return 0,
                _ => break,
            }
        }
        let left = children();
        for child in &left {
            // Our own unreaped child: its id cannot have been given to another.
            let _ = kill_process(*child, Signal::KILL);
        }
        if timeout_at(end, timeout(LOOK_AGAIN, child_ended.recv())).await.is_err() {
            return left.len();
        }
    }
}

fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| parent(*pid) == Some(own))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The fourth field of `/proc/<pid>/stat`; the second is a name in brackets that may hold anything.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let behind = stat.iter().rposition(|byte| *byte == b')')? + 1;
    std::str::from_utf8(stat.get(behind..)?).ok()?.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_a_process_is_read_from_proc() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert_eq!(parent(own), rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()));
        assert_eq!(parent(0), None);
    }
}
