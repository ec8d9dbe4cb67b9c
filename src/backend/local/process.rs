//! Processes by an identity that outlives the reuse of numbers: pid, start time and boot. The one file that reads `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

/// A process, told apart from any other that ever had its number on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pid: i32,
    /// Clock ticks after boot (`/proc/<pid>/stat`, field 22).
    start: u64,
    boot: String,
}

/// Whether a process is still there.
#[derive(Debug)]
pub(super) enum Life {
    /// It runs; the descriptor stays with this very process.
    Running(OwnedFd),
    /// It has ended.
    Ended,
    /// The machine was started anew since.
    Rebooted,
}

/// What is read of `/proc/<pid>/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    dead: bool,
    parent: i32,
    session: i32,
    start: u64,
}

impl Identity {
    /// This process.
    pub(super) fn own() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = stat(pid).map(|stat| stat.start).ok_or(io::ErrorKind::NotFound)?;
        Ok(Self { pid, start, boot: boot()? })
    }

    /// Looks for the process. The descriptor is opened first and the identity compared after it, so that the number cannot
    /// change hands in between.
    pub(super) fn look(&self) -> io::Result<Life> {
        if self.boot != boot()? {
            return Ok(Life::Rebooted);
        }
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(Life::Ended) };
        let descriptor = match pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(Life::Ended),
            Err(errno) => return Err(errno.into()),
        };
        let same = stat(self.pid).is_some_and(|stat| !stat.dead && stat.start == self.start);
        Ok(if same { Life::Running(descriptor) } else { Life::Ended })
    }

    /// The living processes of the session that this (ended) process led, and all below them, also those that left the
    /// session. A number that has another owner by now had no session left when it was given away: there is none to find.
    pub(super) fn session_left(&self) -> io::Result<Vec<OwnedFd>> {
        if self.boot != boot()? || stat(self.pid).is_some_and(|stat| stat.start != self.start) {
            return Ok(Vec::new());
        }
        let stats: Vec<(i32, Stat)> = all()?.into_iter().filter_map(|pid| Some((pid, stat(pid)?))).collect();
        let of_session = |stat: &Stat| stat.session == self.pid && stat.start >= self.start;
        let mut found = Vec::new();
        for (pid, seen) in with_descendants(&stats, of_session) {
            let descriptor = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
            // Looked at again behind the open descriptor: the number may have changed hands since the list was made.
            let same = stat(pid).is_some_and(|now| now.start == seen.start && !now.dead);
            found.extend(descriptor.filter(|_| same));
        }
        Ok(found)
    }
}

fn with_descendants(stats: &[(i32, Stat)], roots: impl Fn(&Stat) -> bool) -> BTreeMap<i32, Stat> {
    let mut found: BTreeMap<i32, Stat> = stats.iter().copied().filter(|(_, stat)| roots(stat)).collect();
    loop {
        let before = found.len();
        let below: Vec<_> = stats.iter().copied().filter(|(_, stat)| found.contains_key(&stat.parent)).collect();
        found.extend(below);
        if found.len() == before {
            return found;
        }
    }
}

/// The direct children of `parent`, zombies too.
pub(super) fn children(parent: Pid) -> io::Result<Vec<Pid>> {
    let parent = parent.as_raw_nonzero().get();
    let is_child = |pid: &i32| stat(*pid).is_some_and(|stat| stat.parent == parent);
    Ok(all()?.into_iter().filter(is_child).filter_map(Pid::from_raw).collect())
}

/// How often the kernel ended a process of this one's control group for want of memory, where that can be read.
pub(super) fn oom_kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let events = fs::read_to_string(format!("/sys/fs/cgroup{path}/memory.events")).ok()?;
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.parse().ok()
}

/// This machine's name.
pub(super) fn host() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|name| name.trim().to_owned())
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn all() -> io::Result<Vec<i32>> {
    let entries = fs::read_dir("/proc")?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The second field is the program's name in brackets and may hold anything, brackets and spaces too: the others are
/// counted from the last bracket.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        dead: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let text = b"7 (a) Z 9 9 (b) S 5 7 6 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
        assert_eq!(parse_stat(text), Some(Stat { dead: false, parent: 5, session: 6, start: 4242 }));
        assert_eq!(parse_stat(b"7 (x"), None);
    }

    #[test]
    fn descendants_that_left_the_session_are_found_below_their_parents() {
        let one = |parent, session| Stat { dead: false, parent, session, start: 1 };
        let stats = [(2, one(1, 9)), (3, one(2, 3)), (4, one(3, 3)), (5, one(1, 5))];
        let found = with_descendants(&stats, |stat| stat.session == 9);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [2, 3, 4]);
    }

    #[test]
    fn a_process_is_itself_only_with_its_start_time_and_its_boot() {
        let own = Identity::own().unwrap();
        assert!(matches!(own.look().unwrap(), Life::Running(_)));
        assert!(matches!(Identity { start: own.start + 1, ..own.clone() }.look().unwrap(), Life::Ended));
        assert!(matches!(Identity { boot: "another".to_owned(), ..own }.look().unwrap(), Life::Rebooted));
    }
}
