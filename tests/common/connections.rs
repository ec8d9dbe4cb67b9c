//! How many connections a process holds open to a server, counted by the kernel's tables.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Counts until it is stopped.
pub(crate) struct Connections(Arc<AtomicBool>, JoinHandle<usize>);

impl Connections {
    /// Those of the process `pid` to the port of `url`.
    pub(crate) fn count(pid: u32, url: &str) -> Self {
        let port: u16 = url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let (remote, over) = (format!(":{port:04X}"), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&over);
        let counting = thread::spawn(move || {
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                let table = fs::read_to_string("/proc/net/tcp").unwrap();
                let to: Vec<&str> = table.lines().filter_map(|line| socket_to(&remote, line)).collect();
                let own = sockets(pid);
                most = most.max(to.iter().filter(|inode| own.contains(**inode)).count());
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        Self(over, counting)
    }

    /// The most that there were at one time.
    pub(crate) fn stop(self) -> usize {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap()
    }
}

/// The inode of a line of the kernel's table that is an open connection to `remote`: `sl local remote st queues tr retr uid timeout inode …`,
/// where the state 01 is ESTABLISHED.
fn socket_to<'a>(remote: &str, line: &'a str) -> Option<&'a str> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    match fields[..] {
        [_, _, address, "01", _, _, _, _, _, inode, ..] if address.ends_with(remote) => Some(inode),
        _ => None,
    }
}

/// The inodes of the sockets that a process has.
fn sockets(pid: u32) -> BTreeSet<String> {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}
