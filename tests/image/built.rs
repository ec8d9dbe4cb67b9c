//! The images under test, each made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::testbed::{Testbed, script};

/// A file of the repository.
pub(crate) fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a command prints; it must succeed.
pub(crate) fn must(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}\n{said}{}", String::from_utf8_lossy(&stderr));
    said
}

/// A question to the testbed's engine.
pub(crate) fn docker(arguments: &[&str]) -> Command {
    let mut docker = Command::new("docker");
    docker.args(arguments).env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST"));
    docker
}

/// An image that stands in for a base: `base` or `rust`.
pub(crate) fn debian(which: &str) -> String {
    must(Command::new(script("debian")).arg(which)).trim().to_owned()
}

/// The Dockerfile without the compiler's stage: in its place this binary, in `dispatch` of the context.
fn without_compiler(dockerfile: &str) -> String {
    let (first, rest) = dockerfile.split_once("\nFROM scratch AS binary\n").unwrap();
    let (arguments, _) = first.split_once("\nFROM ${RUST} AS build\n").unwrap();
    format!("{arguments}\nFROM scratch AS build\nCOPY dispatch /out/dispatch\nFROM scratch AS binary\n{rest}")
}

/// The shipped last stage with this test's binary. Its steps have no network.
pub(crate) fn last_stage() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = "dispatch-runner:last-stage";
        let context = tempfile::tempdir().unwrap();
        let path = |name: &str| context.path().join(name);
        fs::copy(env!("CARGO_BIN_EXE_dispatch"), path("dispatch")).unwrap();
        fs::write(path("Dockerfile"), without_compiler(&fs::read_to_string(shipped("jobs/Dockerfile")).unwrap()))
            .unwrap();
        let base = format!("BASE={}", debian("base"));
        must(docker(&["build", "--network", "none", "--build-arg", &base, "--tag", name]).arg(context.path()));
        name
    })
}

/// What `jobs/build-image` makes of the whole Dockerfile.
pub(crate) struct Whole {
    pub(crate) image: &'static str,
    /// The stage `binary`: an image in which there is nothing else.
    pub(crate) bare: &'static str,
    pub(crate) binary: PathBuf,
}

impl Whole {
    pub(crate) fn get() -> &'static Self {
        static WHOLE: OnceLock<Whole> = OnceLock::new();
        WHOLE.get_or_init(|| {
            let (image, bare) = ("dispatch-runner:whole", "dispatch-runner-bare:whole");
            let file = Testbed::get().folder().join("dispatch-static");
            let stand_ins = [format!("RUST={}", debian("rust")), format!("BASE={}", debian("base"))];
            let options = ["--network", "host", "--build-arg", &stand_ins[0], "--build-arg", &stand_ins[1]];
            let mut build = Command::new(shipped("jobs/build-image"));
            build.args(["--tag", image, "--extract"]).arg(&file).arg("--").args(options);
            must(build.env("DOCKER_HOST", Testbed::get().variable("DOCKER_HOST")));
            let mut stage = docker(&["build", "--target", "binary", "--tag", bare]);
            must(stage.args(options).arg("--file").arg(shipped("jobs/Dockerfile")).arg(shipped("")));
            Self { image, bare, binary: file }
        })
    }
}
