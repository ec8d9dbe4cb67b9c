//! Named points at which a test stops the process, makes a step fail, or has it done twice.
//!
//! Compiled in only with the `fault-points` feature; without it every call is an empty inline function, so a release
//! build has neither the points nor the environment variables. A test says `DISPATCH_FAULT=kill:journal.launching.after`,
//! `…=error:results.write` (fails as a full disk would), `…=error:results.write:3` (only the third time it is
//! reached), or `DISPATCH_FAULT_TWICE=1` (every step that asks [`twice`] is executed twice).

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

/// Whether every step is to be executed twice.
pub fn twice() -> bool {
    #[cfg(feature = "fault-points")]
    {
        std::env::var_os("DISPATCH_FAULT_TWICE").is_some()
    }
    #[cfg(not(feature = "fault-points"))]
    {
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

#[cfg(feature = "fault-points")]
mod imp {
    use std::collections::HashMap;
    use std::io;
    use std::sync::{Mutex, OnceLock, PoisonError};

    /// What the environment asked for: the deed, the point, and at which passing (0: at each).
    struct Wish {
        deed: String,
        point: String,
        nth: u64,
    }

    fn wish() -> Option<&'static Wish> {
        static WISH: OnceLock<Option<Wish>> = OnceLock::new();
        WISH.get_or_init(|| {
            let text = std::env::var("DISPATCH_FAULT").ok()?;
            let mut parts = text.split(':');
            let (deed, point) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            Some(Wish { deed, point, nth: parts.next().and_then(|n| n.parse().ok()).unwrap_or(0) })
        })
        .as_ref()
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

    pub(super) fn point(name: &str) -> io::Result<()> {
        trace(name);
        let Some(wish) = wish().filter(|wish| wish.point == name) else { return Ok(()) };
        let count = passing(name);
        if wish.nth != 0 && wish.nth != count {
            return Ok(());
        }
        match wish.deed.as_str() {
            "kill" => {
                let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
                Ok(())
            }
            _ => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}
