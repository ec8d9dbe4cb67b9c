//! The shipped jobs, as the config wants them registered. Pure: `dispatch jobs` registers them, and the backend's check compares the
//! marker that a registered job carries with the one that it should.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::names::variant;
use crate::config::types::{Mount, NomadDriver, NomadJob, NomadSeal};
use crate::support::ids::{MountName, sha256_hex};

/// The job of actions.
const RUNNER: &str = include_str!("../../../jobs/vault-runner.hcl");
/// The job of sidecars.
const SIDECAR: &str = include_str!("../../../jobs/sidecar.hcl");

/// The id of the sidecars' job.
const SIDECAR_ID: &str = "sidecar";

/// Digits of the marker: enough to tell two jobspecs apart.
const MARKER: usize = 16;

/// One job that should be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// Its id.
    pub id: String,
    /// Its jobspec.
    pub hcl: &'static str,
    /// The jobspec's variables, `name = value` lines.
    pub variables: String,
    /// What its meta has under `dispatch_spec`: a digest of the jobspec and the variables.
    pub marker: String,
}

/// Why the config wants a job that there cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShippedError {
    /// A set names no mount of Nomad's.
    #[error("the set of mounts `{set}` names `{name}`, which has no `nomad` in [mounts.{name}]")]
    NoMount {
        /// The set as written.
        set: String,
        /// The name.
        name: String,
    },
    /// With this driver the place must be said.
    #[error(
        "with raw_exec nothing is mounted: [mounts.{name}] needs `nomad_path`, the directory of its volume on the clients"
    )]
    NoPath {
        /// The mount.
        name: MountName,
    },
    /// Two jobs would have one id.
    #[error("two sets of mounts make the job `{id}`; rename a mount")]
    SameId {
        /// The id.
        id: String,
    },
}

/// What the config says about the jobs.
#[derive(Debug, Clone, Copy)]
pub struct Wishes<'a> {
    /// The namespace of all jobs.
    pub namespace: &'a str,
    /// The id of the job without mounts; the others are named after it.
    pub job: &'a str,
    /// `[backends.nomad.runner]`
    pub runner: &'a NomadJob,
    /// `[backends.nomad.sidecar]`; without it there is none.
    pub sidecar: Option<&'a NomadJob>,
    /// `[backends.nomad.seal]`
    pub seal: Option<&'a NomadSeal>,
    /// For whom the identities of runs are made out, where they take their grants by them.
    pub audience: Option<&'a str>,
    /// `[mounts]`
    pub mounts: &'a BTreeMap<MountName, Mount>,
}

impl Wishes<'_> {
    /// All jobs: those of actions, and the sidecars'.
    ///
    /// # Errors
    /// [`ShippedError`]
    pub fn jobs(&self) -> Result<Vec<Shipped>, ShippedError> {
        let mut jobs = self.runners()?;
        jobs.extend(self.sidecars());
        Ok(jobs)
    }

    /// The sidecars' job, where there is to be one.
    pub fn sidecars(&self) -> Option<Shipped> {
        // Its volumes are the jobspec's own.
        let variables = |job| variables(self.namespace, SIDECAR_ID, job, &BTreeMap::new());
        self.sidecar.map(|job| shipped(SIDECAR, SIDECAR_ID.to_owned(), variables(job)))
    }

    /// The jobs of actions: that without mounts, and one for each set of mounts.
    ///
    /// # Errors
    /// [`ShippedError`]
    pub fn runners(&self) -> Result<Vec<Shipped>, ShippedError> {
        let mut jobs = vec![self.job_of_actions(self.job.to_owned(), BTreeMap::new())];
        for set in &self.runner.mounts {
            let names = self.names(set)?;
            let volumes = self.volumes(&names)?;
            jobs.push(self.job_of_actions(variant(self.job, names), volumes));
        }
        let mut seen = BTreeSet::from([SIDECAR_ID]);
        match jobs.iter().find(|job| !seen.insert(job.id.as_str())) {
            Some(job) => Err(ShippedError::SameId { id: job.id.clone() }),
            None => Ok(jobs),
        }
    }

    /// Where a run finds each mount of Nomad's.
    ///
    /// # Errors
    /// [`ShippedError::NoPath`]
    pub fn places(&self) -> Result<BTreeMap<MountName, String>, ShippedError> {
        let ours = self.mounts.iter().filter(|(_, mount)| mount.nomad.is_some());
        ours.map(|(name, _)| Ok((name.clone(), self.place(name)?))).collect()
    }

    fn place(&self, name: &MountName) -> Result<String, ShippedError> {
        match self.mounts.get(name).and_then(|mount| mount.nomad_path.clone()) {
            Some(path) => Ok(path),
            None if self.runner.driver == NomadDriver::RawExec => Err(ShippedError::NoPath { name: name.clone() }),
            None => Ok(format!("/mnt/{name}")),
        }
    }

    /// The mounts of a set, which must be Nomad's.
    fn names(&self, set: &str) -> Result<Vec<&MountName>, ShippedError> {
        let find = |name: &str| {
            let mounts = self.mounts.iter().filter(|(_, mount)| mount.nomad.is_some());
            mounts.map(|(known, _)| known).find(|known| known.as_str() == name)
        };
        let missing = |name: &str| ShippedError::NoMount { set: set.to_owned(), name: name.to_owned() };
        set.split('+').map(str::trim).map(|name| find(name).ok_or_else(|| missing(name))).collect()
    }

    /// Volume → where it is mounted.
    fn volumes(&self, names: &[&MountName]) -> Result<BTreeMap<&str, String>, ShippedError> {
        let volume = |name: &MountName| self.mounts.get(name).and_then(|mount| mount.nomad.as_ref());
        let mounted = names.iter().filter_map(|name| Some((*name, volume(name)?)));
        mounted.map(|(name, volume)| Ok((volume.as_str(), self.place(name)?))).collect()
    }

    fn job_of_actions<'a>(&'a self, id: String, mut volumes: BTreeMap<&'a str, String>) -> Shipped {
        volumes.extend(self.seal.and_then(key_volume));
        let mut variables = variables(self.namespace, &id, self.runner, &volumes);
        if let Some(seal) = self.seal {
            let _ = writeln!(variables, "identity = {}", text(&seal.identity));
        }
        if let Some(audience) = self.audience {
            let _ = writeln!(variables, "audience = {}", text(audience));
        }
        shipped(RUNNER, id, variables)
    }
}

fn shipped(hcl: &'static str, id: String, mut variables: String) -> Shipped {
    let digest = sha256_hex(format!("{hcl}\0{variables}").as_bytes());
    let marker = digest.get(..MARKER).unwrap_or(&digest).to_owned();
    let _ = writeln!(variables, "spec = {}", text(&marker));
    Shipped { id, hcl, variables, marker }
}

/// The volume of the identity that opens sealed payloads, and where it is mounted: at the folder of the identity.
fn key_volume(seal: &NomadSeal) -> Option<(&str, String)> {
    let (folder, _) = seal.identity.rsplit_once('/')?;
    Some((seal.volume.as_deref()?, folder.to_owned()))
}

/// What the config sets, as a file of variables.
fn variables(namespace: &str, id: &str, job: &NomadJob, volumes: &BTreeMap<&str, String>) -> String {
    let mut lines = vec![
        format!("job_id = {}", text(id)),
        format!("namespace = {}", text(namespace)),
        format!("driver = {}", text(job.driver.word())),
    ];
    let texts = [
        ("image", &job.image),
        ("command", &job.command),
        ("user", &job.user),
        ("network_mode", &job.network_mode),
        ("node_pool", &job.node_pool),
    ];
    lines.extend(texts.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", text(value.as_ref()?)))));
    let numbers = [("cpu", job.cpu), ("memory", job.memory), ("disk", job.disk), ("pids", job.pids)];
    lines.extend(numbers.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?))));
    lines.extend(job.kill_timeout_seconds.map(|seconds| format!("kill_timeout = \"{seconds}s\"")));
    if !job.datacenters.is_empty() {
        let all: Vec<String> = job.datacenters.iter().map(|name| text(name)).collect();
        lines.push(format!("datacenters = [{}]", all.join(", ")));
    }
    if !volumes.is_empty() {
        let all: Vec<String> =
            volumes.iter().map(|(name, place)| format!("{} = {}", text(name), text(place))).collect();
        lines.push(format!("volumes = {{ {} }}", all.join(", ")));
    }
    lines.join("\n") + "\n"
}

/// A text in HCL: what would end it, or begin an expression in it, is escaped.
fn text(plain: &str) -> String {
    let escaped = plain.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts() -> BTreeMap<MountName, Mount> {
        let mount = |volume: &str, path: Option<&str>| Mount {
            local: None,
            nomad: Some(volume.to_owned()),
            nomad_path: path.map(str::to_owned),
        };
        let named = |name: &str, mount| (name.parse().unwrap(), mount);
        let local = Mount { local: Some("/x".into()), nomad: None, nomad_path: None };
        [named("ssh", mount("runner-ssh", None)), named("gpg", mount("runner-gpg", Some("/keys"))), named("x", local)]
            .into()
    }

    fn job(sets: &[&str]) -> NomadJob {
        NomadJob { mounts: sets.iter().map(|set| (*set).to_owned()).collect(), ..NomadJob::default() }
    }

    fn wishes<'a>(runner: &'a NomadJob, mounts: &'a BTreeMap<MountName, Mount>) -> Wishes<'a> {
        Wishes { namespace: "dispatch", job: "vault-runner", runner, sidecar: None, seal: None, audience: None, mounts }
    }

    fn ids(runner: &NomadJob) -> Result<Vec<String>, ShippedError> {
        let mounts = mounts();
        Ok(wishes(runner, &mounts).jobs()?.into_iter().map(|job| job.id).collect())
    }

    #[test]
    fn only_the_sets_of_mounts_that_the_config_lists_become_jobs() {
        assert_eq!(ids(&job(&[])).unwrap(), ["vault-runner"]);
        assert_eq!(
            ids(&job(&["ssh", "ssh+gpg"])).unwrap(),
            ["vault-runner", "vault-runner-ssh", "vault-runner-gpg-ssh"]
        );
        assert!(matches!(ids(&job(&["gpg+ssh", "ssh+gpg"])), Err(ShippedError::SameId { .. })));
        assert!(
            matches!(ids(&job(&["x"])), Err(ShippedError::NoMount { .. })),
            "it is mounted by the local backend alone"
        );
    }

    #[test]
    fn the_variables_say_what_is_mounted_and_the_marker_changes_with_them() {
        let mounts = mounts();
        let of = |runner: &NomadJob| wishes(runner, &mounts).jobs().unwrap();
        let (runner, other) = (job(&["gpg+ssh"]), NomadJob { memory: Some(64), ..job(&["gpg+ssh"]) });
        let (jobs, changed) = (of(&runner), of(&other));
        insta::assert_snapshot!(jobs[1].variables.replace(&jobs[1].marker, "[marker]"), @r#"
        job_id = "vault-runner-gpg-ssh"
        namespace = "dispatch"
        driver = "docker"
        volumes = { "runner-gpg" = "/keys", "runner-ssh" = "/mnt/ssh" }
        spec = "[marker]"
        "#);
        assert!(jobs[0].marker != jobs[1].marker && jobs[0].marker != changed[0].marker);
        assert_eq!(of(&runner), jobs);
    }

    #[test]
    fn the_runner_is_told_of_the_identities_that_open_its_payload_and_its_grant() {
        let (recipient, identity) = ("age1x".to_owned(), "/mnt/runner-key/identity".to_owned());
        let seal = NomadSeal { recipient, identity, volume: Some("runner-key".to_owned()) };
        let (mounts, runner) = (mounts(), job(&["gpg"]));
        let wishes = Wishes {
            namespace: "n",
            job: "j",
            sidecar: Some(&runner),
            seal: Some(&seal),
            audience: Some("dispatch-grant"),
            ..wishes(&runner, &mounts)
        };
        let jobs = wishes.jobs().unwrap();
        insta::assert_snapshot!(jobs[1].variables.replace(&jobs[1].marker, "[marker]"), @r#"
        job_id = "j-gpg"
        namespace = "n"
        driver = "docker"
        volumes = { "runner-gpg" = "/keys", "runner-key" = "/mnt/runner-key" }
        identity = "/mnt/runner-key/identity"
        audience = "dispatch-grant"
        spec = "[marker]"
        "#);
        assert!(jobs[0].variables.contains("volumes = { \"runner-key\" = \"/mnt/runner-key\" }"));
        let has_none = |word: &str| !jobs[2].variables.contains(word);
        assert!(has_none("identity") && has_none("audience"), "sidecars have none");
    }

    #[test]
    fn with_raw_exec_a_mount_is_where_the_client_has_it() {
        let (mounts, runner) = (mounts(), NomadJob { driver: NomadDriver::RawExec, ..job(&["gpg"]) });
        let wishes = wishes(&runner, &mounts);
        assert!(wishes.jobs().is_ok());
        assert!(matches!(wishes.places(), Err(ShippedError::NoPath { name }) if name.as_str() == "ssh"));
    }

    #[test]
    fn a_value_cannot_leave_its_quotes_or_be_evaluated() {
        assert_eq!(text(r#"a"\${x}%{y}"#), r#""a\"\\$${x}%%{y}""#);
    }
}
