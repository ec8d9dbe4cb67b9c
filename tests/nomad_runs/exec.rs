//! The driver `exec`: a chroot of the client's choosing, without capabilities.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::serving::{Serving, end};
use crate::testbed::Testbed;
use crate::world::World;

/// Says who it is, and tries to write to what the client put there. (The chroot's own folder is the run's, and open to it.)
const FORMULA: &str = "echo \"user $(id -u)\"\n( : >> /usr/local/bin/dispatch ) 2>/dev/null && echo written\n\
    grep CapEff /proc/self/status | tr -d '\\t'\n[ -e FILE ] && echo \"the client's files are there\"\nexit 3\n";

/// A folder with this binary and the shared libraries that it needs, as a chroot has them.
fn with_binary(folder: &Path) {
    let install = |from: &Path, to: &str| {
        let target = folder.join(to.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(from, target).unwrap();
    };
    let binary = Path::new(env!("CARGO_BIN_EXE_dispatch"));
    install(binary, "/usr/local/bin/dispatch");
    let needs = Command::new("ldd").arg(binary).output().unwrap();
    let words = String::from_utf8(needs.stdout).unwrap();
    for library in words.split_whitespace().filter(|word| word.starts_with('/')) {
        install(&fs::canonicalize(library).unwrap(), library);
    }
}

#[test]
fn in_a_chroot_a_run_is_nobody_and_has_no_rights() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    with_binary(&files);
    let config = folder.path().join("chroot.hcl");
    fs::write(&config, format!("client {{\n  chroot_env {{\n    \"{}\" = \"/\"\n  }}\n}}\n", files.display())).unwrap();
    let nomad = Testbed::get().private_nomad(&["--config", config.to_str().unwrap()]);
    let world = World::new(&nomad.api(), "default");
    let runner = "driver = 'exec'\ncommand = '/usr/local/bin/dispatch'\ncpu = 20\nmemory = 128\ndisk = 110";
    world.configure(runner, "[limits]\ngrace_seconds = 2\n");
    let validated = world.operate("jobs validate");
    assert_eq!(validated.code, Some(0), "{}", validated.all());
    let serving = Serving::start(&world);
    serving.land(&FORMULA.replace("FILE", config.to_str().unwrap()), &[("in-a-chroot", "timeout_minutes = 120")]);
    let result = serving.result("in-a-chroot");
    assert_eq!(end(&result), ("failed", "exit_nonzero", Some(3)), "{result:#}");
    assert_eq!(result["logs"], "user 65534\nCapEff:0000000000000000\n", "{result:#}");
}
