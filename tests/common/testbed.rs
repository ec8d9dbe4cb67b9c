//! The real servers that `tests/testbed/up` brought up, for tests: where they are, and a place of the test's own in each.
//!
//! - [`Testbed::get`] finds them, or says what to run. Everything here blocks, so that it works in `Drop` and beside any runtime.
//! - `api`: one HTTP question. `nomad`: [`Namespace`]. `forge`: [`Repository`] and [`User`]. `private`: [`PrivateServer`], which a
//!   test may seal, kill and start again.

#[path = "testbed/api.rs"]
mod api;
#[path = "testbed/forge.rs"]
mod forge;
#[path = "testbed/nomad.rs"]
mod nomad;
#[path = "testbed/private.rs"]
mod private;

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

#[allow(unused_imports, reason = "shared with tests that name more of them")]
pub(crate) use self::{
    api::{Answer, Api},
    forge::{Permission, Repository, User},
    nomad::{Namespace, exit_code_is_lost},
    private::{Kind, PrivateServer, is_alive, processes_naming},
};

const HOW: &str = "this test needs the real servers. Either run ./test, which brings them up itself, or keep them up with\n    \
    tests/testbed/up > /tmp/testbed.env && source /tmp/testbed.env\n\
    and take them down with tests/testbed/down";

/// What `up` printed.
#[derive(Debug)]
pub(crate) struct Testbed {
    variables: BTreeMap<String, String>,
}

impl Testbed {
    /// The testbed whose folder stands in `DISPATCH_TESTBED`.
    pub(crate) fn get() -> &'static Self {
        static TESTBED: OnceLock<Testbed> = OnceLock::new();
        TESTBED.get_or_init(|| {
            let folder = std::env::var_os("DISPATCH_TESTBED").unwrap_or_else(|| panic!("{HOW}"));
            let file = Path::new(&folder).join("env");
            let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}\n{HOW}", file.display()));
            Self { variables: variables(&text) }
        })
    }

    /// A variable that `up` printed: `TESTBED_NOMAD`, `DOCKER_HOST`, `TESTBED_SSHD_PORT`, ….
    pub(crate) fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("the testbed has no {name} (was it brought up with ONLY=…?)"))
    }

    /// The folder of the testbed.
    pub(crate) fn folder(&self) -> PathBuf {
        self.variable("DISPATCH_TESTBED").into()
    }

    /// Nomad, with the management token.
    pub(crate) fn nomad(&self) -> Api {
        Api::nomad(self.variable("NOMAD_ADDR"), self.variable("NOMAD_TOKEN"))
    }

    /// Vault, with the root token.
    pub(crate) fn vault(&self) -> Api {
        Api::vault(self.variable("VAULT_ADDR"), self.variable("VAULT_TOKEN"))
    }

    /// The forge, as its administrator.
    pub(crate) fn forge(&self) -> Api {
        Api::forge(self.variable("FORGE_URL"), self.variable("FORGE_TOKEN"))
    }

    /// A fresh namespace in Nomad; its jobs are stopped, and it is removed, at drop.
    pub(crate) fn namespace(&self) -> Namespace {
        Namespace::new(self.nomad())
    }

    /// A folder name below `kv/` in Vault that no other test uses; also good for names of policies and roles.
    pub(crate) fn vault_prefix() -> String {
        unique("t")
    }

    /// A fresh private repository with one commit on `main`, in an organisation of its own.
    pub(crate) fn repository(&self) -> Repository {
        Repository::new(self.forge())
    }

    /// An own Nomad; the options stand in `tests/testbed/nomad/server.sh`. Ended at drop, with all that runs on it.
    pub(crate) fn private_nomad(&self, options: &[&str]) -> PrivateServer {
        PrivateServer::start(self, Kind::Nomad, options)
    }

    /// An own Vault; the options stand in `tests/testbed/vault/server.sh`. Ended at drop.
    pub(crate) fn private_vault(&self, options: &[&str]) -> PrivateServer {
        PrivateServer::start(self, Kind::Vault, options)
    }

    /// An own Gitea. Ended at drop.
    pub(crate) fn private_gitea(&self) -> PrivateServer {
        PrivateServer::start(self, Kind::Gitea, &[])
    }
}

/// A script of `tests/testbed/`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testbed").join(name)
}

/// A name that nothing else bears: lower case letters and digits.
pub(crate) fn unique(stem: &str) -> String {
    format!("{stem}{:016x}", RandomState::new().build_hasher().finish())
}

/// Asks again and again until there is an answer; panics with `what` when there is none within the bound.
pub(crate) fn eventually<T>(what: &str, bound: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + bound;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "not within {bound:?}: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// Reads lines `export NAME=value`, quoted as the shell's `printf %q` does it.
fn variables(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.replace('\\', ""))).collect()
}
