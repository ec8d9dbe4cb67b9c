//! The `file` provider: one age-encrypted file per secret, `<NAME>.enc`, for one machine without Vault.
//!
//! `presence` looks at a file without opening its content; `mint` decrypts exactly the files named, for that one run, and keeps
//! nothing. The identity is read anew each time, so that a changed one counts at once and none is held in between.
//! Whether a secret may be named at all (the allowlist) is admission's question, asked before anything comes here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Ask, Grant, GrantError, GrantRecord, Presence, SecretProvider, value};
use crate::config::types::SecretFiles;
use crate::runner::envelope::Handover;
use crate::support::checkup::{Finding, Standing};
use crate::support::ids::SecretName;
use crate::support::seal::{self, Identities};

/// The largest `.enc` file that is read: the longest value, armored, to many recipients, is well below.
const MAX_SEALED_BYTES: u64 = 256 * 1024;
/// The longest value with its newline, and one byte more.
const MAX_PLAIN: usize = value::MAX_BYTES + 3;
/// The largest identity file that is read.
const MAX_IDENTITY_BYTES: u64 = 64 * 1024;

/// Secrets in age-encrypted files. Holds two paths and no secret.
#[derive(Debug, Clone)]
pub struct FileProvider {
    directory: PathBuf,
    identity: PathBuf,
}

/// Why a secret's file cannot be taken. No content in it.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("there is no such file")]
    Missing,
    #[error("it is not a regular file")]
    NotRegular,
    #[error("it is a symbolic link to outside of the folder")]
    OutsideFolder,
    #[error("the file is empty")]
    Empty,
    #[error("the file is larger than 256 KiB")]
    TooLarge,
    #[error(transparent)]
    Sealed(#[from] seal::OpenError),
    #[error(transparent)]
    Unfit(#[from] value::Unfit),
    #[error("it cannot be read: {0}")]
    Io(io::Error),
}

impl FileProvider {
    /// A provider over these settings. Touches no file: [`SecretProvider::check`] tells whether it can work.
    pub fn open(settings: &SecretFiles) -> Self {
        Self { directory: settings.directory.clone(), identity: settings.identity.clone() }
    }

    fn path_of(&self, secret: &SecretName) -> PathBuf {
        self.directory.join(format!("{secret}.enc"))
    }

    /// Opens the secret's file: a regular one, in the folder itself or reached by a link that stays inside it.
    fn open_sealed(&self, secret: &SecretName) -> Result<(File, u64), Refusal> {
        let folder = fs::canonicalize(&self.directory).map_err(Refusal::Io)?;
        let path = fs::canonicalize(folder.join(format!("{secret}.enc"))).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Refusal::Missing,
            _ => Refusal::Io(source),
        })?;
        if !path.starts_with(&folder) {
            return Err(Refusal::OutsideFolder);
        }
        let file = open_plain(&path).map_err(Refusal::Io)?;
        let metadata = file.metadata().map_err(Refusal::Io)?;
        match metadata.len() {
            _ if !metadata.is_file() => Err(Refusal::NotRegular),
            0 => Err(Refusal::Empty),
            size if size > MAX_SEALED_BYTES => Err(Refusal::TooLarge),
            size => Ok((file, size)),
        }
    }

    fn look(&self, secret: &SecretName) -> Result<u64, Refusal> {
        let (file, size) = self.open_sealed(secret)?;
        let mut head = Vec::with_capacity(seal::HEADER_BYTES);
        file.take(seal::HEADER_BYTES as u64).read_to_end(&mut head).map_err(Refusal::Io)?;
        if seal::looks_sealed(&head) { Ok(size) } else { Err(seal::OpenError::NotAge.into()) }
    }

    fn presence_now(&self, secret: &SecretName) -> Presence {
        let path = self.path_of(secret);
        match self.look(secret) {
            Ok(size) => Presence::Present { evidence: format!("{}, {size} bytes", path.display()) },
            Err(why @ Refusal::Io(_)) => Presence::Unknown { evidence: format!("{}: {why}", path.display()) },
            Err(why) => Presence::Absent { evidence: format!("{}: {why}", path.display()) },
        }
    }

    fn decrypt(&self, identities: &Identities, secret: &SecretName) -> Result<SecretString, Refusal> {
        let (file, _) = self.open_sealed(secret)?;
        let mut sealed = Vec::new();
        file.take(MAX_SEALED_BYTES).read_to_end(&mut sealed).map_err(Refusal::Io)?;
        Ok(value::fit(&identities.open(&sealed, MAX_PLAIN)?)?)
    }

    fn decrypt_all(&self, secrets: &BTreeSet<SecretName>) -> Result<BTreeMap<SecretName, SecretString>, GrantError> {
        if secrets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let identities = self.identities()?;
        secrets
            .iter()
            .map(|secret| match self.decrypt(&identities, secret) {
                Ok(value) => Ok((secret.clone(), value)),
                Err(why) => Err(self.not_granted(secret, &why)),
            })
            .collect()
    }

    fn not_granted(&self, secret: &SecretName, why: &Refusal) -> GrantError {
        let detail = format!("{}: {why}", self.path_of(secret).display());
        match why {
            Refusal::Io(_) => GrantError::Unavailable { detail },
            _ => GrantError::Unusable { secret: secret.clone(), detail },
        }
    }

    /// Reads the identity. Refused when others than its owner may read it: then it opens nothing worth protecting.
    fn identities(&self) -> Result<Identities, GrantError> {
        let path = self.identity.display();
        let unreadable = |source: &io::Error| GrantError::Misconfigured {
            detail: format!("the age identity {path} cannot be read: {source}"),
            fix: "set secrets.file.identity to a file that the dispatcher's user can read".to_owned(),
        };
        let file =
            open_plain(&fs::canonicalize(&self.identity).map_err(|e| unreadable(&e))?).map_err(|e| unreadable(&e))?;
        let metadata = file.metadata().map_err(|e| unreadable(&e))?;
        if !metadata.is_file() {
            return Err(unreadable(&io::Error::other("it is not a regular file")));
        }
        let mode = metadata.mode() & 0o777;
        if mode & !0o600 != 0 {
            return Err(GrantError::Misconfigured {
                detail: format!("the age identity {path} has mode {mode:04o}, and 0600 is the widest allowed"),
                fix: format!("run `chmod 600 {path}`"),
            });
        }
        let mut text =
            Zeroizing::new(String::with_capacity(usize::try_from(metadata.len()).unwrap_or(0).min(65_536) + 1));
        file.take(MAX_IDENTITY_BYTES).read_to_string(&mut text).map_err(|e| unreadable(&e))?;
        Identities::parse(&text).map_err(|line| self.not_an_identity(line))
    }

    fn not_an_identity(&self, line: usize) -> GrantError {
        let path = self.identity.display();
        let detail = match line {
            0 => format!("the age identity {path} holds no key"),
            _ => format!("line {line} of the age identity {path} is not a key that begins with AGE-SECRET-KEY-1"),
        };
        GrantError::Misconfigured { detail, fix: "make one with `age-keygen`".to_owned() }
    }

    fn check_now(&self) -> Vec<Finding> {
        let folder = finding("secrets: folder", &self.directory, self.check_directory());
        let identity = finding("secrets: age identity", &self.identity, self.identities().map(drop));
        vec![folder, identity]
    }

    /// The folder must be readable, and not writable by everyone: sealing needs no secret, so that whoever can write there can
    /// give a run another credential than the one that was meant.
    fn check_directory(&self) -> Result<(), GrantError> {
        let path = self.directory.display();
        let unreadable = |source: io::Error| GrantError::Misconfigured {
            detail: format!("the folder of secrets {path} cannot be read: {source}"),
            fix: "set secrets.file.directory to a folder that the dispatcher's user can read".to_owned(),
        };
        fs::read_dir(&self.directory).map_err(unreadable)?;
        let mode = fs::metadata(&self.directory).map_err(unreadable)?.mode();
        if mode & 0o002 == 0 {
            return Ok(());
        }
        Err(GrantError::Misconfigured {
            detail: format!("everyone may write to the folder of secrets {path}"),
            fix: format!("run `chmod o-w {path}`"),
        })
    }

    /// Runs `work` where it may wait for the disk. When the caller goes away it ends by itself, and its values are wiped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, GrantError> {
        let provider = self.clone();
        let lost = |_| GrantError::Unavailable { detail: "the thread that reads the files was stopped".to_owned() };
        tokio::task::spawn_blocking(move || work(&provider)).await.map_err(lost)
    }
}

fn finding(subject: &str, path: &Path, looked: Result<(), GrantError>) -> Finding {
    match looked {
        Ok(()) => Finding::good(subject, path.display().to_string()),
        Err(GrantError::Misconfigured { detail, fix }) => Finding::bad(Standing::Wrong, subject, detail, fix),
        Err(error) => Finding::bad(Standing::Unreachable, subject, error.to_string(), "look at its file system"),
    }
}

/// Opens for reading without following a last link, and without waiting where the path is a pipe.
fn open_plain(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[async_trait]
impl SecretProvider for FileProvider {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn check(&self) -> Vec<Finding> {
        let looked = self.blocking(Self::check_now).await;
        looked.unwrap_or_else(|error| vec![finding("secrets: folder", &self.directory, Err(error))])
    }

    async fn presence(&self, secret: &SecretName) -> Presence {
        let named = secret.clone();
        match self.blocking(move |provider| provider.presence_now(&named)).await {
            Ok(presence) => presence,
            Err(error) => Presence::Unknown { evidence: error.to_string() },
        }
    }

    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        let record = GrantRecord::of(ask.secrets);
        let named = ask.secrets.clone();
        let values = self.blocking(move |provider| provider.decrypt_all(&named)).await??;
        Ok(Grant { record, handover: Handover::Values(values) })
    }

    /// Nothing to take back: the run got the values themselves and no handle by which they could be withdrawn. What ends the
    /// grant is the end of the run's processes; what ends a leaked value is its rotation.
    async fn revoke(&self, _record: &GrantRecord) -> Result<(), GrantError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
