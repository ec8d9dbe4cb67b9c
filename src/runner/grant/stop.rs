//! Why a grant was not opened: the words, and the exit code that goes with them. In each of these cases the formula has not begun.

use std::io;
use std::time::Duration;

use super::deposit::IdentityError;
use crate::runner::event::ReservedExit;
use crate::support::ids::SecretName;
use crate::vault::kv::Absence;
use crate::vault::{SettingsError, VaultError};

/// Why the runner stops in front of a wrapping, or behind it with not all of its secrets.
#[derive(Debug, thiserror::Error)]
pub enum GrantStop {
    /// What the envelope says of Vault or of the wrapping cannot be used.
    #[error("the envelope's wrapping cannot be used")]
    Settings(#[source] SettingsError),
    /// The wrapping's time cannot be read.
    #[error("the envelope's wrapping was made at a time that cannot be read")]
    Time(#[source] jiff::Error),
    /// The identity of this workload cannot be used.
    #[error("the grant is handed over to this workload's own identity")]
    Identity(#[source] IdentityError),
    /// Vault does not take the identity.
    #[error("Vault does not let this workload in by its identity; `dispatch policies check` compares the role")]
    LogIn(#[source] Box<VaultError>),
    /// Nobody deposited the wrapping token in time.
    #[error(
        "no wrapping token was deposited at `{place}` within {} s: the dispatcher that made it was ended before it could, or Vault \
         did not take it",
        waited.as_secs()
    )]
    NotDeposited {
        /// Where.
        place: String,
        /// For how long it was looked for.
        waited: Duration,
    },
    /// What was deposited is gone, or is none.
    #[error("what was deposited at `{place}` for this run cannot be used")]
    NoDeposit {
        /// Where.
        place: String,
        /// What is there.
        #[source]
        source: Absence,
    },
    /// Its lookup answers something else than the envelope says.
    #[error(
        "the wrapping is not the one that was made for this run: its {part} is another; somebody has opened it and wrapped it \
         anew, or put another in its place"
    )]
    Other {
        /// What differs.
        part: &'static str,
    },
    /// What was in it is not what was put into it.
    #[error(
        "the wrapping held something else than was put into it ({found}); somebody has put it in place of the real one"
    )]
    OtherContent {
        /// What was found.
        found: &'static str,
    },
    /// It is gone although its time had not come.
    #[error(
        "the wrapping is gone, {left} s before its time: somebody else has opened it, or its grant was taken back; Vault's audit \
         log tells who asked for sys/wrapping/unwrap or cubbyhole/response{doubt}"
    )]
    Intercepted {
        /// Seconds that it would have lived still.
        left: i64,
        /// What makes this less than certain.
        doubt: &'static str,
    },
    /// It is gone because its time has come.
    #[error(
        "the wrapping has expired: it was made at {made} and lived for {ttl} s, and the run came to it later than that"
    )]
    Expired {
        /// When it was made.
        made: String,
        /// Seconds that it lived.
        ttl: u64,
    },
    /// It was asked for, and the answer did not arrive. It is spent: nobody may ask for it again.
    #[error(
        "the wrapping was asked to open and the answer was lost on the way ({how}); it is spent, and a new grant is needed"
    )]
    Spent {
        /// What was seen of it.
        how: String,
    },
    /// Vault did not serve for as long as there was a point in asking.
    #[error("Vault did not serve within {} s", waited.as_secs())]
    Unavailable {
        /// For how long it was asked.
        waited: Duration,
        /// The last answer.
        #[source]
        source: Box<VaultError>,
    },
    /// Vault refuses, and will refuse again.
    #[error("the grant cannot be opened")]
    Refused(#[source] Box<VaultError>),
    /// The run's token died while it was used.
    #[error("the grant was taken back, or ran out, before secret {name} was read")]
    TakenBack {
        /// The secret.
        name: SecretName,
        /// The answer.
        #[source]
        source: Box<VaultError>,
    },
    /// There is nothing to grant.
    #[error("secret {name} is granted and cannot be read at `{path}`, field `{field}`")]
    Absent {
        /// The secret.
        name: SecretName,
        /// Where.
        path: String,
        /// Where in it.
        field: String,
        /// What is there instead.
        #[source]
        source: Absence,
    },
    /// The run's token may not read it: its policy is missing, or says something else.
    #[error("secret {name} is granted and its token may not read it; `dispatch policies check` compares the policies")]
    Denied {
        /// The secret.
        name: SecretName,
        /// The answer.
        #[source]
        source: Box<VaultError>,
    },
    /// A test's fault.
    #[error("opening the grant was stopped")]
    Stopped(#[from] io::Error),
}

impl GrantStop {
    /// The exit code.
    pub fn exit(&self) -> ReservedExit {
        match self {
            Self::Settings(_) | Self::Time(_) | Self::Identity(_) => ReservedExit::BadEnvelope,
            Self::Other { .. } | Self::OtherContent { .. } | Self::Intercepted { .. } => ReservedExit::GrantIntercepted,
            Self::Expired { .. }
            | Self::Spent { .. }
            | Self::Unavailable { .. }
            | Self::NotDeposited { .. }
            | Self::NoDeposit { .. }
            | Self::LogIn(_)
            | Self::Refused(_)
            | Self::TakenBack { .. }
            | Self::Stopped(_) => ReservedExit::GrantExpired,
            Self::Absent { .. } | Self::Denied { .. } => ReservedExit::SecretMissing,
        }
    }
}
