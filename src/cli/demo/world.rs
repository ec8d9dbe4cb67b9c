//! Makes the world of the demo: ops repo, people with keys, sealed secrets, configuration. All of it inside one folder.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;

use super::super::error::{CliError, Kind};
use super::folder::random_hex;
use super::scenario::{self, ACTIONS, Action, FORBIDDEN, FORMULAS, GRANTED, Pusher, UNASKED};
use crate::grant::{SealError, generate_identity, seal_for};
use crate::ops::workshop::{Author, Workshop};
use crate::ops::{NewFile, OpsError};

/// Why the world could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum WorldError {
    /// A file of the demo.
    #[error("writing {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The ops repo.
    #[error("making the ops repo")]
    Ops(#[from] OpsError),
    /// A secret.
    #[error("sealing a secret")]
    Seal(#[from] SealError),
    /// The values of the secrets.
    #[error("making the values of the secrets")]
    Random,
}

/// A secret of the demo: its name, and the value that must stand nowhere.
#[derive(Debug)]
pub(super) struct Canary {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// The world, made.
#[derive(Debug)]
pub(super) struct World {
    folder: PathBuf,
    /// The ops repo from its people's side.
    pub(super) workshop: Workshop,
    /// The secrets in the clear. They are written nowhere.
    pub(super) canaries: [Canary; 3],
    made: Vec<String>,
}

impl World {
    /// Makes everything in `folder`, which is empty.
    ///
    /// # Errors
    /// [`WorldError`].
    pub(super) async fn make(folder: &Path) -> Result<Self, WorldError> {
        let desk = folder.join("people");
        private_folder(&desk)?;
        let workshop = Workshop::create(&folder.join("ops.git"), &desk, "main").await?;
        let canaries = [canary(GRANTED)?, canary(UNASKED)?, canary(FORBIDDEN)?];
        seal(folder, &canaries)?;
        write(&folder.join("dispatch.toml"), scenario::config().as_bytes())?;
        let mut world = Self { folder: folder.to_owned(), workshop, canaries, made: Vec::new() };
        world.populate().await?;
        Ok(world)
    }

    /// The folder that holds all of it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.join("dispatch.toml")
    }

    /// What was made, a line each.
    pub(super) fn made(&self) -> Vec<String> {
        let names = self.canaries.each_ref().map(|canary| canary.name).join(", ");
        let secrets = format!("sealed   3 secrets with age: {names}; actions may name the first two");
        std::iter::once(secrets).chain(self.made.iter().cloned()).collect()
    }

    async fn populate(&mut self) -> Result<(), WorldError> {
        let key = self.workshop.key("alice").await?;
        let signers = format!("alice@example.com {}\n", key.public);
        let alice = Author { name: "Alice".into(), email: "alice@example.com".into(), key: Some(key) };
        let bob = Author { name: "Bob".into(), email: "bob@example.com".into(), key: None };
        let mut files = vec![file("vault/allowed_signers", signers), file("vault/policy.toml", scenario::policy())];
        files.extend(FORMULAS.iter().map(|formula| file(&format!("formulas/{}.sh", formula.name), formula.text())));
        self.commit(&alice, &files, "Three formulas, the policy, and who may sign").await?;
        for (pusher, author) in [(Pusher::Alice, &alice), (Pusher::Bob, &bob)] {
            let theirs: Vec<&Action> = ACTIONS.iter().filter(|action| action.by == pusher).collect();
            let files: Vec<NewFile> = theirs.iter().map(|action| file(&action.path(), action.text())).collect();
            let ids = theirs.iter().map(|action| action.id).collect::<Vec<_>>().join(", ");
            self.commit(author, &files, &ids).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, author: &Author, files: &[NewFile], message: &str) -> Result<(), WorldError> {
        let commit = self.workshop.commit(author, files, message).await?;
        let how = if author.key.is_some() { "signed" } else { "unsigned" };
        self.made.push(format!("pushed   {} by {}, {how}: {message}", commit.short(), author.name));
        Ok(())
    }
}

fn file(path: &str, text: String) -> NewFile {
    NewFile { path: path.to_owned(), bytes: text.into_bytes() }
}

fn canary(name: &'static str) -> Result<Canary, WorldError> {
    let value = format!("canary-{}", random_hex().map_err(|_| WorldError::Random)?);
    Ok(Canary { name, value })
}

/// The key, and one sealed file for each secret.
fn seal(folder: &Path, canaries: &[Canary]) -> Result<(), WorldError> {
    let identity = generate_identity();
    write(&folder.join("age.key"), identity.file.expose_secret().as_bytes())?;
    let secrets = folder.join("secrets");
    private_folder(&secrets)?;
    for canary in canaries {
        let sealed = seal_for(&identity.recipient, canary.value.as_bytes())?;
        write(&secrets.join(format!("{}.enc", canary.name)), &sealed)?;
    }
    Ok(())
}

fn private_folder(path: &Path) -> Result<(), WorldError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| WorldError::Write { path: path.to_owned(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), WorldError> {
    let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = opened.and_then(|mut file| file.write_all(bytes));
    written.map_err(|source| WorldError::Write { path: path.to_owned(), source })
}

/// The failure in words.
pub(super) fn words(error: &WorldError) -> CliError {
    let words = CliError::new(Kind::Failed, "the world of the demo could not be made").caused_by(error);
    match error {
        WorldError::Write { .. } => words.hint("name another folder with --dir"),
        WorldError::Ops(OpsError::TooOld { .. }) => words.hint("install a newer git; Debian 12 and later have one"),
        WorldError::Ops(_) | WorldError::Seal(_) | WorldError::Random => words,
    }
}
