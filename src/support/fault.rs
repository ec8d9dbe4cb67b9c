//! Named points at which a test stops the process, makes a step fail, holds it up, or has it done twice.
//!
//! Compiled in only with the `fault-points` feature; without it every call is an empty inline function, so a release
//! build has neither the points nor the environment variables. A test says in `DISPATCH_FAULT`, several with commas between:
//!
//! - `kill:journal.launching.after`: ends the process there, as `kill -9` does;
//! - `error:results.write`, `error:results.write:3`: the step fails as on a full disk, each time or the third time only;
//! - `full:journal.:FILE`: every step whose name begins so fails while there is that file: a disk that is full until it is freed;
//! - `pause:journal.return.after:FILE`: goes on once that file is gone.
//!
//! With `DISPATCH_FAULT_TWICE=1` every step that asks [`twice`] is executed twice; the trace has a line `twice:<step>` for each.

/// Passes the point `name`: may kill this process with SIGKILL, or answer the error of a full disk.
///
/// # Errors
/// Only with the `fault-points` feature and only where the test asked for it: `StorageFull`.
#[cfg(feature = "fault-points")]
pub fn point(name: &str) -> std::io::Result<()> {
    imp::point(name)
}

/// Passes a point; without the feature this does nothing.
///
/// # Errors
/// Never without the `fault-points` feature.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn point(_name: &str) -> std::io::Result<()> {
    Ok(())
}

/// Whether every step is to be executed twice, and so `step`.
pub fn twice(step: &str) -> bool {
    #[cfg(feature = "fault-points")]
    {
        imp::twice(step)
    }
    #[cfg(not(feature = "fault-points"))]
    {
        let _ = step;
        false
    }
}

/// How many seconds a minute of a time limit has. A test cannot wait for a real one: with the `fault-points` feature,
/// `DISPATCH_FAULT_MINUTE=1` makes it one second, so that `timeout_minutes = 1` is over in a moment.
pub fn seconds_per_minute() -> u64 {
    #[cfg(feature = "fault-points")]
    {
        let wish = std::env::var("DISPATCH_FAULT_MINUTE").ok();
        wish.and_then(|seconds| seconds.parse().ok()).unwrap_or(60)
    }
    #[cfg(not(feature = "fault-points"))]
    {
        60
    }
}

/// By how much this machine's clock is wrong: with the `fault-points` feature, as many seconds as `DISPATCH_FAULT_CLOCK` says.
pub fn clock_is_off_by() -> jiff::SignedDuration {
    #[cfg(feature = "fault-points")]
    {
        let wish = std::env::var("DISPATCH_FAULT_CLOCK").ok();
        jiff::SignedDuration::from_secs(wish.and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
    }
    #[cfg(not(feature = "fault-points"))]
    {
        jiff::SignedDuration::ZERO
    }
}

#[cfg(feature = "fault-points")]
mod imp {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// What the environment asked for: the deed, the point (or how its name begins), and at which passing (0: at each), or while
    /// there is which file.
    struct Wish {
        deed: String,
        point: String,
        when: String,
    }

    fn wishes() -> &'static [Wish] {
        static WISHES: OnceLock<Vec<Wish>> = OnceLock::new();
        WISHES.get_or_init(|| {
            let text = std::env::var("DISPATCH_FAULT").unwrap_or_default();
            text.split(',').filter_map(wish).collect()
        })
    }

    fn wish(text: &str) -> Option<Wish> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        Some(Wish { deed: parts.next()?, point: parts.next()?, when: parts.next().unwrap_or_default() })
    }

    impl Wish {
        fn is_about(&self, name: &str) -> bool {
            if self.deed == "full" { name.starts_with(&self.point) } else { name == self.point }
        }

        fn has_come(&self, passing: u64) -> bool {
            match self.deed.as_str() {
                "full" | "pause" => std::path::Path::new(&self.when).exists(),
                _ => [0, passing].contains(&self.when.parse().unwrap_or(0)),
            }
        }

        fn come_true(&self) -> io::Result<()> {
            match self.deed.as_str() {
                "kill" => {
                    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                    Ok(())
                }
                "pause" => {
                    while self.has_come(0) {
                        std::thread::sleep(std::time::Duration::from_millis(5));
                    }
                    Ok(())
                }
                _ => Err(io::Error::from(io::ErrorKind::StorageFull)),
            }
        }
    }

    fn passing(name: &str) -> u64 {
        static SEEN: OnceLock<Mutex<HashMap<String, u64>>> = OnceLock::new();
        let mut seen = SEEN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(name.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// Appends each point passed to the file named by `DISPATCH_FAULT_TRACE`: how a test learns which points there are.
    fn trace(name: &str) {
        use std::io::Write as _;
        let Some(path) = std::env::var_os("DISPATCH_FAULT_TRACE") else { return };
        if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
            // In one write: several processes trace into the same file.
            let _ = file.write_all(format!("{name}\n").as_bytes());
        }
    }

    pub(super) fn twice(step: &str) -> bool {
        let asked = std::env::var_os("DISPATCH_FAULT_TWICE").is_some();
        if asked {
            trace(&format!("twice:{step}"));
        }
        asked
    }

    pub(super) fn point(name: &str) -> io::Result<()> {
        trace(name);
        let Some(wish) = wishes().iter().find(|wish| wish.is_about(name)) else { return Ok(()) };
        if wish.has_come(passing(name)) { wish.come_true() } else { Ok(()) }
    }
}
