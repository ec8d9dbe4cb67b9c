//! Whether a commit is signed by somebody on a given list: git and `ssh-keygen` decide, nothing else does.
//!
//! The list is handed over as a file named by its own digest in the mirror, and the program by its full path, so that no
//! configuration can put another in its place. Only SSH signatures are looked at: an `OpenPGP` one would ask a keyring.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::environment::{self, Setting};
use super::error::OpsError;
use super::git::{Call, Git};
use super::objects;
use crate::support::ids::{CommitId, sha256_hex};

/// What the signature of a commit is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// The commit is not signed.
    None,
    /// Signed by a key of the list.
    Good {
        /// The first name that the list gives to the key; [`super::signers::principals`] has them all.
        principal: String,
        /// `SHA256:…`
        key: String,
    },
    /// Signed, but by a key that is not on the list, or not for this purpose or at this time.
    Untrusted {
        /// `SHA256:…`; empty when it could not be read.
        key: String,
    },
    /// The signature does not fit the commit: one of the two was altered.
    Bad {
        /// The verifier's words.
        detail: String,
    },
    /// Signed in a way that is not looked at.
    Unsupported {
        /// The first line of the signature.
        format: String,
    },
}

/// Verifies `commit` against the list `allowed_signers`.
pub(super) async fn verify(git: &Git, commit: &CommitId, allowed_signers: &[u8]) -> Result<Signature, OpsError> {
    match armour(&objects::raw_commit(git, commit).await?) {
        None => return Ok(Signature::None),
        Some(format) if format != "-----BEGIN SSH SIGNATURE-----" => return Ok(Signature::Unsupported { format }),
        Some(_) => {}
    }
    let list = list_file(git.folder(), allowed_signers)?;
    let call = Call::new("log")
        .args(["-1", "--no-show-signature", "--format=tformat:%G?%n%GS%n%GF%n%GG", commit.as_str(), "--"])
        .setting(Setting::new("gpg.ssh.allowedSignersFile", list))
        .setting(Setting::new("gpg.ssh.program", ssh_keygen()?));
    let answer = git.run(call).await?.success()?;
    verdict(&String::from_utf8_lossy(&answer))
}

/// git's letter, the principal, the key, and the verifier's words.
///
/// No words at all mean that the verifier never ran: that says nothing about the commit.
fn verdict(answer: &str) -> Result<Signature, OpsError> {
    let mut lines = answer.splitn(4, '\n');
    let mut line = || lines.next().unwrap_or_default().trim().to_owned();
    let (letter, principal, key, detail) = (line(), line(), line(), line());
    match letter.as_str() {
        "G" if !principal.is_empty() && !key.is_empty() => Ok(Signature::Good { principal, key }),
        "U" => Ok(Signature::Untrusted { key }),
        "B" if detail.is_empty() => Err(OpsError::answer("log", "ssh-keygen could not be run")),
        "B" => Ok(Signature::Bad { detail }),
        _ => Err(OpsError::answer("log", format!("the signature could not be checked (%G? is `{letter}`)"))),
    }
}

/// The first line of the signature in a commit object. One of `gpgsig-sha256` is over another form of the commit, which does not exist
/// here: to git, too, such a commit is not signed.
fn armour(raw: &[u8]) -> Option<String> {
    let headers = raw.split(|b| *b == b'\n').take_while(|line| !line.is_empty());
    let mut signatures = headers.filter_map(|line| line.strip_prefix(b"gpgsig "));
    let first = String::from_utf8_lossy(signatures.next()?).into_owned();
    Some(if signatures.next().is_some() { "more than one signature".to_owned() } else { first })
}

/// The list as a file that is never changed once it is there.
fn list_file(mirror: &Path, list: &[u8]) -> Result<String, OpsError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let step = OpsError::io;
    let folder = mirror.join("signers");
    let file = folder.join(sha256_hex(list));
    let name = file.to_str().ok_or(OpsError::Setting { key: "state_dir", why: "its path is not UTF-8".to_owned() })?;
    if fs::read(&file).is_ok_and(|there| there == list) {
        return Ok(name.to_owned());
    }
    fs::create_dir_all(&folder).map_err(step("making the folder of signers"))?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let temporary = folder.join(format!("new-{}-{number}", std::process::id()));
    fs::write(&temporary, list).map_err(step("writing the list of signers"))?;
    fs::rename(&temporary, &file).map_err(step("writing the list of signers"))?;
    Ok(name.to_owned())
}

/// The program that makes and verifies signatures, by its full path.
pub(super) fn ssh_keygen() -> Result<String, OpsError> {
    let found =
        std::env::split_paths(&search_path()).map(|folder| folder.join("ssh-keygen")).find(|file| file.is_file());
    let found = found.as_deref().and_then(Path::to_str).map(PathBuf::from);
    let missing = || OpsError::Start { program: "ssh-keygen", source: std::io::ErrorKind::NotFound.into() };
    Ok(found.ok_or_else(missing)?.display().to_string())
}

/// Where programs are looked for; a service may have been started without `PATH`.
pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_else(|| environment::PATH.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_that_never_ran_is_an_error_and_not_a_bad_signature() {
        assert!(verdict("B\n\n\n\n").is_err());
        assert!(verdict("N\n\n\n\n").is_err());
        assert!(verdict("").is_err());
        assert!(verdict("G\n\n\n\n").is_err(), "good, but by nobody");
    }

    #[test]
    fn a_commit_with_two_signatures_is_not_looked_at() {
        let raw = b"tree x\ngpgsig -----BEGIN SSH SIGNATURE-----\n x\ngpgsig -----BEGIN SSH SIGNATURE-----\n\nmessage";
        assert_eq!(armour(raw).as_deref(), Some("more than one signature"));
    }

    #[test]
    fn a_signature_of_another_form_of_the_commit_is_none() {
        assert_eq!(armour(b"tree x\ngpgsig-sha256 -----BEGIN SSH SIGNATURE-----\n x\n\nmessage"), None);
    }

    #[test]
    fn a_signature_in_the_message_is_none() {
        assert_eq!(armour(b"tree x\n\ngpgsig -----BEGIN SSH SIGNATURE-----"), None);
    }
}
