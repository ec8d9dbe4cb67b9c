//! The one thread that writes to the journal. What waits together is committed together: one sync of the disk for many steps.
//! A simulation writes without a thread, so that the same seed is the same history (`Writer::here`).

use std::fmt;
use std::sync::mpsc;
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::JournalError;

/// How many jobs share one commit at most: bounds how long the first of them waits.
const BATCH: usize = 512;

/// Tells the caller how it went, once the commit is known to have succeeded or failed.
type Reply = Box<dyn FnOnce(Option<String>) + Send>;

/// Is given no connection where the transaction could not begin.
type Job = Box<dyn FnOnce(Option<&Connection>) -> Reply + Send>;

pub(super) enum Writer {
    Thread(mpsc::Sender<Job>),
    #[cfg(any(test, feature = "fault-points"))]
    Here(here::Here),
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(connection: Connection) -> Result<Self, JournalError> {
        let (jobs, inbox) = mpsc::channel();
        thread::Builder::new().name("journal".to_owned()).spawn(move || serve(&connection, &inbox))?;
        Ok(Self::Thread(jobs))
    }

    #[cfg(any(test, feature = "fault-points"))]
    pub(super) fn here(connection: Connection, disk: here::Disk) -> Self {
        Self::Here(here::Here::new(connection, disk))
    }

    pub(super) async fn call<T, F>(&self, job: F) -> Result<T, JournalError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, JournalError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let outcome = connection.map(|connection| whole(connection, job));
            Box::new(move |failure| {
                let failed = |detail| Err(JournalError::Commit { detail });
                let outcome = match (outcome, failure) {
                    (Some(Ok(_)) | None, Some(detail)) => failed(detail),
                    (Some(outcome), _) => outcome,
                    (None, None) => Err(JournalError::Closed),
                };
                // The caller may have gone; what was committed stays committed.
                drop(answer.send(outcome));
            })
        });
        match self {
            Self::Thread(jobs) => jobs.send(job).map_err(|_| JournalError::Closed)?,
            #[cfg(any(test, feature = "fault-points"))]
            Self::Here(here) => here.take(job).await,
        }
        answered.await.map_err(|_| JournalError::Closed)?
    }
}

/// Does the job whole or not at all, whatever becomes of the others in its batch.
fn whole<T, F>(connection: &Connection, job: F) -> Result<T, JournalError>
where
    F: FnOnce(&Connection) -> Result<T, JournalError>,
{
    let sql = |statement: &str| connection.execute_batch(statement).map_err(JournalError::statement("begin a job"));
    sql("SAVEPOINT job")?;
    let outcome = job(connection);
    if outcome.is_err() {
        sql("ROLLBACK TO job")?;
    }
    sql("RELEASE job")?;
    outcome
}

fn serve(connection: &Connection, inbox: &mpsc::Receiver<Job>) {
    while let Ok(first) = inbox.recv() {
        let batch = std::iter::once(first).chain(inbox.try_iter().take(BATCH - 1));
        let (replies, failure) = commit(connection, batch);
        for reply in replies {
            reply(failure.clone());
        }
    }
}

fn commit(connection: &Connection, batch: impl Iterator<Item = Job>) -> (Vec<Reply>, Option<String>) {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let usable = begun.is_ok().then_some(connection);
    let replies = batch.map(|job| job(usable)).collect();
    let ended = begun.and_then(|()| connection.execute_batch("COMMIT"));
    let failure = ended.err().map(|error| error.to_string());
    if failure.is_some() && usable.is_some() {
        // SQLite may have rolled back by itself already; then there is nothing left to do, and it says so.
        drop(connection.execute_batch("ROLLBACK"));
    }
    (replies, failure)
}

/// Writing in the task that asks, on a disk that a simulation describes.
#[cfg(any(test, feature = "fault-points"))]
pub(super) mod here {
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use rusqlite::Connection;
    use tokio::time::sleep;

    use super::{Job, commit};

    /// What one commit meets.
    #[derive(Debug, Clone, Copy)]
    pub struct Passing {
        /// Before it is done.
        pub before: Duration,
        /// The disk is full: it is not done.
        pub full: bool,
        /// Before the answer to it is heard.
        pub after: Duration,
    }

    /// Says what the next commit meets.
    pub type Disk = Box<dyn Fn() -> Passing + Send + Sync>;

    pub(crate) struct Here {
        connection: Mutex<Connection>,
        disk: Disk,
    }

    impl Here {
        pub(super) fn new(connection: Connection, disk: Disk) -> Self {
            Self { connection: Mutex::new(connection), disk }
        }

        pub(super) async fn take(&self, job: Job) {
            let passing = (self.disk)();
            sleep(passing.before).await;
            let (replies, failure) = if passing.full {
                (vec![job(None)], Some("database or disk is full".to_owned()))
            } else {
                let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
                commit(&connection, std::iter::once(job))
            };
            sleep(passing.after).await;
            for reply in replies {
                reply(failure.clone());
            }
        }
    }
}
