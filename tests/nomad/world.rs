//! A namespace with the shipped job registered for `raw_exec`, and a folder that formulas write to.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::Duration;

use dispatch::backend::nomad::client::{Client, ClientSettings, Registration, TokenSource};
use dispatch::backend::nomad::{NomadBackend, NomadSettings};
use dispatch::backend::{Backend as _, Cursor, Handle};
use dispatch::runner::envelope::{Envelope, FormulaKind, Handover, Limits, PROTOCOL, Sealed};
use dispatch::support::ids::{BlobId, LaunchKey, sha256_hex};
use dispatch::support::watch::Watcher;
use serde_json::{Value, json};

use crate::backend_contract::{Told, observe};
use crate::testbed::{Api, Namespace, Testbed};

/// What prints `hello` and exits with 7.
pub(crate) const HELLO: &str = "echo hello; exit 7";

pub(crate) const JOB: &str = "vault-runner";

/// How long a run may wait for a place.
pub(crate) const PLACEMENT: Duration = Duration::from_secs(60);

/// What each test stands on.
pub(crate) struct World {
    pub(crate) namespace: Namespace,
    pub(crate) api: Api,
    folder: tempfile::TempDir,
}

impl World {
    /// With the shipped job, as `raw_exec` runs it.
    pub(crate) async fn new() -> Self {
        Self::with("").await
    }

    /// Without any job.
    pub(crate) fn bare() -> Self {
        let testbed = Testbed::get();
        let folder = tempfile::tempdir().unwrap();
        let world = Self { namespace: testbed.namespace(), api: testbed.nomad(), folder };
        fs::write(world.path("token"), &world.api.token).unwrap();
        world
    }

    /// With further variables of the jobspec, each a line.
    pub(crate) async fn with(variables: &str) -> Self {
        let world = Self::bare();
        world.register(JOB, variables).await;
        world
    }

    /// Registers the shipped jobspec under `id`.
    pub(crate) async fn register(&self, id: &str, variables: &str) {
        let client = self.client(&self.api.address);
        let hcl = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/vault-runner.hcl")).unwrap();
        let given = [
            format!("job_id = \"{id}\""),
            format!("namespace = \"{}\"", self.namespace.name),
            "driver = \"raw_exec\"\nuser = \"\"\ncpu = 20\nmemory = 20\ndisk = 110\nkill_timeout = \"20s\"".to_owned(),
            format!("command = \"{}\"", env!("CARGO_BIN_EXE_dispatch")),
        ];
        let kept = given.iter().flat_map(|text| text.lines());
        // A variable may stand in a file of variables once.
        let overridden = |line: &&str| !variables.lines().any(|own| own.split('=').next() == line.split('=').next());
        let all: Vec<&str> = kept.filter(overridden).chain(variables.lines()).collect();
        let job = client.parse(&hcl, &(all.join("\n") + "\n")).await.unwrap();
        client.register(&job, Registration::New).await.unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn client(&self, address: &str) -> Client {
        self.client_with(address, TokenSource::File(self.path("token")))
    }

    fn client_with(&self, address: &str, token: TokenSource) -> Client {
        Client::new(ClientSettings {
            address: address.to_owned(),
            token,
            namespace: self.namespace.name.clone(),
            ..ClientSettings::default()
        })
        .unwrap()
    }

    /// From now on the dispatcher has a token of the shipped policy, and no other rights.
    pub(crate) fn take_shipped_policy(&self) {
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/nomad-dispatcher.hcl");
        let name = &self.namespace.name;
        self.take_policy(&fs::read_to_string(policy).unwrap().replace("\"dispatch\"", &format!("\"{name}\"")));
    }

    /// The same, of these rules.
    pub(crate) fn take_policy(&self, rules: &str) {
        let name = &self.namespace.name;
        self.api.must("PUT", &format!("/v1/acl/policy/{name}"), Some(&json!({ "Name": name, "Rules": rules })));
        let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
        let made = self.api.must("PUT", "/v1/acl/token", Some(&token));
        fs::write(self.path("token"), made["SecretID"].as_str().unwrap()).unwrap();
    }

    pub(crate) fn backend(&self) -> NomadBackend {
        self.backend_at(&self.api.address, PLACEMENT)
    }

    /// One that sends no token.
    pub(crate) fn anonymous_backend(&self) -> NomadBackend {
        NomadBackend::new(self.client_with(&self.api.address, TokenSource::None), Self::settings(PLACEMENT))
    }

    pub(crate) fn backend_at(&self, address: &str, placement: Duration) -> NomadBackend {
        NomadBackend::new(self.client(address), Self::settings(placement))
    }

    fn settings(placement: Duration) -> NomadSettings {
        NomadSettings {
            job: JOB.to_owned(),
            placement,
            setup: placement,
            mounts: BTreeMap::new(),
            specs: BTreeMap::new(),
            sidecar: None,
        }
    }

    /// An envelope whose formula first writes a line into the tally and then does `script`.
    pub(crate) fn envelope(&self, key: &LaunchKey, script: &str) -> Envelope {
        let script = format!("echo ran >> {}\n{script}\n", self.path("tally").display());
        let seal = |bytes: &[u8]| Sealed { sha256: sha256_hex(bytes), bytes: bytes.to_vec() };
        Envelope {
            protocol: PROTOCOL,
            run: "a@1".parse().unwrap(),
            key: key.clone(),
            slot: 0,
            action: seal(b"id = \"a\"\n"),
            formula: "f".parse().unwrap(),
            kind: FormulaKind::Mechanical,
            script: seal(script.as_bytes()),
            context_files: BTreeMap::new(),
            params: BTreeMap::new(),
            mounts: BTreeMap::new(),
            environment: BTreeMap::new(),
            handover: Handover::Values(BTreeMap::new()),
            limits: Limits { timeout_seconds: 100, grace_seconds: 1 },
            working_directory: None,
            traceparent: None,
        }
    }

    /// Launches `script` and follows it to its end.
    pub(crate) async fn run(&self, script: &str) -> Told {
        let backend = self.backend();
        let handle = self.launch(&backend, script).await;
        observe(&backend, &handle, &Cursor::default()).await
    }

    pub(crate) async fn launch(&self, backend: &NomadBackend, script: &str) -> Handle {
        backend.launch(&key(1), &self.envelope(&key(1), script)).await.unwrap()
    }

    pub(crate) fn executions(&self) -> usize {
        fs::read_to_string(self.path("tally")).unwrap_or_default().lines().count()
    }

    /// Children of ours that Nomad has, by id, as it lists them.
    pub(crate) fn children(&self) -> Vec<Value> {
        let jobs = self.namespace.must("GET", "/v1/jobs", None);
        jobs.as_array().unwrap().iter().filter(|job| job["ParentID"] != json!("")).cloned().collect()
    }
}

/// The key of the n-th attempt.
pub(crate) fn key(attempt: u32) -> LaunchKey {
    LaunchKey::of_action(&"a".parse().unwrap(), &BlobId::try_from("0".repeat(40)).unwrap(), attempt)
}

/// All of `futures`, at once.
pub(crate) async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut done: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if done.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}

pub(crate) fn job_of(handle: &Handle) -> String {
    handle.0["job"].as_str().unwrap().to_owned()
}

/// Waits until `path` is there, woken by the folder's changes.
pub(crate) async fn appears(path: &Path) {
    let watcher = Watcher::new().unwrap();
    let mut growth = watcher.watch(path.parent().unwrap()).unwrap();
    let wait = async {
        while !path.exists() {
            growth.changed().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.unwrap();
}
