//! An ops repo with grants from Vault and runs in Nomad, and the formula that tells what it was given.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use dispatch::support::ids::sha256_hex;
use serde_json::{Value, json};

use crate::child::{Running, until};
use crate::gate::Gate;
use crate::testbed::{Api, Namespace, PrivateServer, Testbed};
use crate::world::World;

/// Names of the world's secrets, without their stem.
pub(crate) const SIX: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

/// Tells which secrets it has, and a digest of each; whether anything of Vault's or Nomad's is in its environment besides; and waits.
const REPORT: &str = "for name in \"${!STEM_@}\"; do\n  \
    printf '%s %s\\n' \"$name\" \"$(printf %s \"${!name}\" | sha256sum | cut -d' ' -f1)\"\ndone\n\
    for name in VAULT_TOKEN VAULT_ADDR VAULT_CACERT NOMAD_TOKEN; do [ -z \"${!name+set}\" ] || echo \"also $name\"; done\n";

/// What each test stands on.
pub(crate) struct Bed {
    pub(crate) gate: Gate,
    pub(crate) world: World,
    /// None: runs run on the dispatcher's own host.
    pub(crate) namespace: Option<Namespace>,
}

/// What runs this binary on the client.
pub(crate) fn raw_exec() -> String {
    format!("driver = 'raw_exec'\ncommand = '{}'\ncpu = 20\nmemory = 64\ndisk = 110", env!("CARGO_BIN_EXE_dispatch"))
}

/// The same in containers. They have the host's network, since a server on loopback is nowhere else.
pub(crate) fn docker() -> String {
    static IMAGE: OnceLock<&str> = OnceLock::new();
    let image = IMAGE.get_or_init(|| {
        let image = "dispatch-runner:granted";
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/build-image");
        let arguments = ["--offline", "--tag", image, "--binary", env!("CARGO_BIN_EXE_dispatch")];
        let host = Testbed::get().variable("DOCKER_HOST");
        let built = Command::new(script).args(arguments).env("DOCKER_HOST", host).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        image
    });
    format!("image = '{image}'\nnetwork_mode = 'host'\ncpu = 20\nmemory = 128\ndisk = 110")
}

impl Bed {
    /// On the local backend.
    pub(crate) fn local() -> Self {
        let bed = Self { gate: Gate::new(), world: World::new(), namespace: None };
        bed.furnish();
        bed
    }

    /// On the testbed's Nomad, in a namespace of its own.
    pub(crate) fn nomad(runner: &str) -> Self {
        Self::at(&Testbed::get().nomad(), runner)
    }

    /// On this Nomad. The dispatcher has a token of the shipped policy there; an administrator has registered the jobs.
    pub(crate) fn at(nomad: &Api, runner: &str) -> Self {
        Self::of(World::new(), nomad, runner)
    }

    /// The same, with this Vault.
    pub(crate) fn of(world: World, nomad: &Api, runner: &str) -> Self {
        let namespace = Namespace::new(nomad.clone());
        let mut bed = Self { gate: Gate::new(), world, namespace: Some(namespace) };
        let name = bed.nomad_namespace().name.clone();
        bed.world.backends = format!(
            "[backends]\ndefault = 'nomad'\n[backends.nomad]\naddress = '{}'\nnamespace = '{name}'\ntoken_file = 'nomad-token'\n\
             [backends.nomad.runner]\n{runner}\n",
            nomad.address
        );
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/nomad-dispatcher.hcl");
        let rules = fs::read_to_string(policy).unwrap().replace("\"dispatch\"", &format!("\"{name}\""));
        nomad.must("PUT", &format!("/v1/acl/policy/{name}"), Some(&json!({ "Name": name, "Rules": rules })));
        let token = json!({ "Name": name, "Type": "client", "Policies": [name] });
        let made = nomad.must("PUT", "/v1/acl/token", Some(&token));
        fs::write(bed.world.path("nomad-token"), made["SecretID"].as_str().unwrap()).unwrap();
        bed.world.configure(&bed.world.vault.address, "");
        let applied = bed.world.call("jobs apply", &[("NOMAD_TOKEN", nomad.token.as_str())]);
        assert!(applied.status.success(), "{}", applied.said);
        bed.furnish();
        bed
    }

    /// The same, with a Vault of its own, in which runs take their grants by their own identities; with this in `[secrets.vault]`.
    pub(crate) fn with_identities(nomad: &Api, runner: &str) -> (PrivateServer, Self) {
        let server = Testbed::get().private_vault(&[]);
        let mut world = World::at(server.api(), server.variable("TESTBED_VAULT_AUDIT").into());
        world.vault.must("POST", "/v1/sys/auth/jwt-nomad", Some(&json!({ "type": "jwt" })));
        let keys = json!({ "jwks_url": format!("{}/.well-known/jwks.json", nomad.address) });
        world.vault.must("POST", "/v1/auth/jwt-nomad/config", Some(&keys));
        world.identity.push_str("[secrets.vault.workload_identity]\n");
        let bed = Self::of(world, nomad, runner);
        let applied = bed.world.administer("policies apply");
        assert!(applied.status.success(), "{}", applied.said);
        (server, bed)
    }

    /// The formula `report`, which waits at the gate behind its report, and a value for each secret.
    fn furnish(&self) {
        let script = REPORT.replace("STEM", &self.world.secret("")[..self.world.secret("").len() - 1]);
        self.formula("report", &(script + &self.gate.knock()));
        for name in SIX {
            self.world.put(name, &json!({ "value": value(&self.world, name) }));
        }
    }

    /// From its next start the dispatcher answers over HTTP too.
    pub(crate) fn listen(&mut self) {
        self.world.backends += "[webhook]\nlisten = '127.0.0.1:0'\nsecret_env = 'HOOK'\n";
        self.world.configure(&self.world.vault.address, "");
    }

    /// Starts the dispatcher, which says where it listens.
    pub(crate) fn serve_aloud(&self) -> Running {
        self.world.serve_with(&[("HOOK", "the forge's and ours"), ("DISPATCH_LOG", "info")])
    }

    /// A formula that the world's policy names; it is in the ops repo with the next commit.
    pub(crate) fn formula(&self, name: &str, script: &str) {
        self.world.repo.write(&format!("formulas/{name}.sh"), script);
    }

    /// Waits until the formula of `id` is at the gate; what ended before it came there is shown.
    pub(crate) fn wait_until_begun(&self, id: &str) {
        until(&format!("the formula of {id} to begin"), || {
            let begun = self.gate.executions(id) > 0;
            assert!(begun || self.world.result(id).is_none(), "it did not begin: {:#}", self.world.result(id).unwrap());
            begun.then_some(())
        });
    }

    /// Lets the formula of `id` go on once it is there.
    pub(crate) fn let_go(&self, id: &str) {
        self.wait_until_begun(id);
        self.gate.open(id);
    }

    pub(crate) fn nomad_namespace(&self) -> &Namespace {
        self.namespace.as_ref().unwrap()
    }

    /// The child job of the one attempt of `id`, as whoever may read jobs sees it, once there is one.
    pub(crate) fn job(&self, id: &str) -> Value {
        let run = format!("{id}@1");
        let found = until(&format!("the job of {run}"), || {
            let jobs = self.nomad_namespace().must("GET", "/v1/jobs?meta=true", None);
            let of_run = |job: &&Value| job["Meta"]["run_id"] == run && job["ParentID"] != "";
            jobs.as_array()?.iter().find(of_run).map(|job| job["ID"].as_str().unwrap().to_owned())
        });
        self.nomad_namespace().must("GET", &format!("/v1/job/{}", escaped(&found)), None)
    }

    /// The allocations of a job, in the order in which they were made.
    pub(crate) fn allocations(&self, job: &Value) -> Vec<Value> {
        let path = format!("/v1/job/{}/allocations?all=true", escaped(job["ID"].as_str().unwrap()));
        let mut all = self.nomad_namespace().must("GET", &path, None).as_array().unwrap().clone();
        all.sort_by_key(|allocation| allocation["CreateIndex"].as_u64());
        all
    }

    /// The lines that the formula `report` printed about its secrets, and what they should be.
    pub(crate) fn expected_report(&self, names: &[&str]) -> String {
        let line = |name: &&str| {
            let digest = sha256_hex(value(&self.world, name).as_bytes());
            format!("{} {digest}\n", self.world.secret(name))
        };
        names.iter().map(line).collect()
    }

    pub(crate) fn log(&self, id: &str) -> String {
        self.world.call(&format!("logs {id}"), &[]).said
    }
}

/// The envelope as it lies in the job for everybody who may read it.
pub(crate) fn payload(job: &Value) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(job["Payload"].as_str().unwrap()).unwrap()
}

/// Ids of children hold a slash.
pub(crate) fn escaped(id: &str) -> String {
    id.replace('/', "%2F")
}

/// The value of a secret: no other world has it, and JSON and URLs write it otherwise.
pub(crate) fn value(world: &World, name: &str) -> String {
    format!("{}/{}\"+\\=%{}", world.secret("canary").to_lowercase(), name, world.secret(name))
}
