//! The forge's own database, for what its API refuses: whoever operates the forge could do it, and a bug of the forge might.

use std::time::Duration;

use rusqlite::Connection;

use crate::testbed::Testbed;

/// Runs one statement; answers how many rows it changed.
pub(crate) fn change(statement: &str) -> usize {
    let file = Testbed::get().folder().join("gitea/work/data/gitea.db");
    let database = Connection::open(file).unwrap();
    // The forge writes at the same time.
    database.busy_timeout(Duration::from_secs(20)).unwrap();
    database.execute(statement, []).unwrap()
}
