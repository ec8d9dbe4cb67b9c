//! What the kernel knows of a process: the time it has had, its memory, and whether it has started others.

use std::fs;
use std::time::{Duration, Instant};

/// What a process has used up to now.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// Milliseconds of processor time of its own threads, to the nanosecond as the scheduler counts it.
    pub(crate) own_ms: f64,
    /// Milliseconds of processor time of its children that have ended; in ticks of 10 ms.
    pub(crate) children_ms: f64,
    /// Page faults of its children that have ended: not a single process can be started and end without any.
    pub(crate) children_faults: u64,
}

impl Used {
    /// By the process `pid`.
    pub(crate) fn by(pid: u32) -> Self {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // The name of the program, in brackets, may hold blanks.
        let fields: Vec<u64> =
            stat.rsplit(')').next().unwrap().split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let tick_ms = 10.0;
        // Fields are counted from 3, the first behind the name: 11 is cminflt, 16 and 17 are cutime and cstime.
        let field = |number: usize| fields[number - 3];
        Self { own_ms: own_ms(pid), children_ms: float(field(16) + field(17)) * tick_ms, children_faults: field(11) }
    }

    /// What was used since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            own_ms: self.own_ms - before.own_ms,
            children_ms: self.children_ms - before.children_ms,
            children_faults: self.children_faults - before.children_faults,
        }
    }
}

/// By all threads that are there. A thread that has ended meanwhile is not counted; those that serve do not end.
fn own_ms(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    float(nanoseconds.sum()) / 1e6
}

/// Threads of a dispatcher at rest: the first one, the runtime's two, the journal's.
const AT_REST: usize = 4;

/// Waits until what a burst of work left has ended by itself: children that are kept for a while, threads for a disk.
pub(crate) fn wait_at_rest(pid: u32) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let threads: Vec<_> = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten().collect();
        let no_child = threads
            .iter()
            .all(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default().trim().is_empty());
        if no_child && threads.len() <= AT_REST {
            return;
        }
        assert!(Instant::now() < end, "it does not come to rest");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Resident memory in MiB: now, and at most so far.
pub(crate) fn memory(pid: u32) -> (f64, f64) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (of("VmRSS:"), of("VmHWM:"))
}

/// Counts and sizes here are far below the 2^52 up to which this is exact.
#[allow(clippy::cast_precision_loss, reason = "see above")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}
