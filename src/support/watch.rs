//! Waiting on descriptors: for a change on disk by one inotify instance for many waiters (the local backend follows run
//! directories by it, the log reader a log file), for a process by its pidfd.
//!
//! One instance is shared because a user may have only 128 of them by default, but tens of thousands of watches.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Tells waiters when a file or an entry of a directory changes. Must be made and used inside a tokio runtime.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
    pump: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    inotify: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<i32, watch::Sender<()>>>,
}

/// One path under watch, until it is dropped.
#[derive(Debug)]
pub struct Watched {
    shared: Arc<Shared>,
    descriptor: i32,
    news: watch::Receiver<()>,
}

impl Watcher {
    /// Opens the instance.
    ///
    /// # Errors
    /// The user's limit of inotify instances (`fs.inotify.max_user_instances`) or of descriptors is reached.
    pub fn new() -> io::Result<Self> {
        let inotify = readable(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        let shared = Arc::new(Shared { inotify, watched: Mutex::default() });
        let pump = tokio::spawn(pump(Arc::clone(&shared))).abort_handle();
        Ok(Self { shared, pump })
    }

    /// Watches a directory's entries, or a file. Look at the state only after this, so that no change falls in between.
    ///
    /// # Errors
    /// The path does not exist, or the user's limit of watches is reached.
    pub fn watch(&self, path: &Path) -> io::Result<Watched> {
        // The lock is held over the system call: the kernel answers one descriptor for one inode however often it is asked,
        // and a waiter that leaves at this moment must not take it away again.
        let mut watched = self.shared.lock();
        let flags = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVED_TO;
        let descriptor = inotify::add_watch(&self.shared.inotify, path, flags)?;
        let news = watched.entry(descriptor).or_insert_with(|| watch::Sender::new(())).subscribe();
        Ok(Watched { shared: Arc::clone(&self.shared), descriptor, news })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Watched {
    /// Waits for a change since the watch was made or since this last returned.
    pub async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut watched = self.shared.lock();
        if watched.get(&self.descriptor).is_some_and(|sender| sender.receiver_count() == 1) {
            watched.remove(&self.descriptor);
            // Fails when the path is gone already, and its watch with it.
            let _ = inotify::remove_watch(&self.shared.inotify, self.descriptor);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, HashMap<i32, watch::Sender<()>>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A negative descriptor means that the kernel's queue ran over: anything may have changed.
    fn tell(&self, descriptor: i32) {
        let watched = self.lock();
        for (_, sender) in watched.iter().filter(|(one, _)| descriptor < 0 || **one == descriptor) {
            sender.send_replace(());
        }
    }

    fn drain(&self) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut space);
        loop {
            match reader.next() {
                Ok(event) => self.tell(event.wd()),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// A descriptor (an inotify instance, a pidfd) whose readiness to read can be awaited.
///
/// # Errors
/// The descriptor cannot be polled, or there is no tokio runtime with I/O here.
#[expect(deprecated, reason = "tokio 1.54 wants `unsafe` for types that may not own what they name; an OwnedFd does")]
pub fn readable(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

async fn pump(shared: Arc<Shared>) {
    while let Ok(mut ready) = shared.inotify.readable().await {
        if shared.drain().is_err() {
            return;
        }
        ready.clear_ready();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_waiter_on_a_directory_hears_of_a_change_also_after_another_has_left() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new().unwrap();
        let (mut one, two) = (watcher.watch(folder.path()).unwrap(), watcher.watch(folder.path()).unwrap());
        drop(two);
        std::fs::write(folder.path().join("x"), "x").unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), one.changed()).await.unwrap();
    }
}
