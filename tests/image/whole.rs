//! The whole Dockerfile, and its binary where there is nothing else.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::built::{Whole, debian, docker};
use crate::container;
use crate::serving::{Serving, end};
use crate::testbed::Testbed;
use crate::world::World;

#[test]
#[ignore = "compiles a release: tests/image/whole"]
fn a_run_in_the_whole_image_has_its_programs_and_no_rights() {
    container::a_run_has_its_programs_and_no_rights(Whole::get().image);
}

#[test]
#[ignore = "compiles a release: tests/image/whole"]
fn the_whole_image_is_of_an_ordinary_user_and_says_what_it_is() {
    container::it_is_of_an_ordinary_user_and_says_what_it_is(Whole::get().image);
}

#[test]
#[ignore = "compiles a release: tests/image/whole"]
fn in_an_empty_image_the_binary_finds_a_server_by_its_name() {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let nomad = testbed.nomad();
    let port = nomad.address.rsplit(':').next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), &nomad.token).unwrap();
    let config = format!(
        "state_dir = '/tmp'\n[ops]\nremote = '/none'\n[backends]\ndefault = 'nomad'\n[backends.nomad]\n\
         address = 'http://nomad.test:{port}'\nnamespace = '{}'\ntoken_file = 'token'\n[backends.nomad.runner]\nimage = 'x'\n",
        namespace.name
    );
    fs::write(folder.path().join("dispatch.toml"), config).unwrap();
    let volume = format!("{}:/config:ro", folder.path().display());
    let place = ["--rm", "--read-only", "--tmpfs", "/tmp", "--network", "host", "--add-host", "nomad.test:127.0.0.1"];
    let mut doctor = docker(&["run"]);
    doctor.args(place).args(["--volume", &volume, Whole::get().bare]);
    doctor.args(["/dispatch", "--config", "/config/dispatch.toml", "doctor", "--output", "json"]);
    // It finds fault with much else: there is no git.
    let said = String::from_utf8(doctor.output().unwrap().stdout).unwrap();
    let document: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    let findings = document["data"]["findings"].as_array().unwrap_or_else(|| panic!("{document:#}"));
    let leader = findings.iter().find(|finding| finding["subject"] == "nomad: leader");
    assert_eq!(leader.unwrap_or_else(|| panic!("{document:#}"))["standing"], "good", "{document:#}");
}

/// Says who it is, and which libraries there are.
const LIBRARIES: &str =
    "echo \"user $(id -u)\"\nfor file in /lib*/* /usr/lib*/*; do [ -e \"$file\" ] && echo \"$file\"; done\nexit 3\n";

/// A chroot of programs that need no library, and the binary.
fn without_libraries(folder: &Path) {
    for name in ["bin", "usr/local/bin", "tmp", "etc"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    fs::copy(&Whole::get().binary, folder.join("usr/local/bin/dispatch")).unwrap();
    fs::copy(Testbed::get().folder().join("rootfs/bin/busybox"), folder.join("bin/busybox")).unwrap();
    for applet in ["id", "cat"] {
        symlink("busybox", folder.join("bin").join(applet)).unwrap();
    }
    let script = "dpkg-deb --fsys-tarfile /srv/packages/bash-static_*.deb | tar -xO ./bin/bash-static";
    let bash =
        docker(&["run", "--rm", "--network", "none", &debian("base"), "sh", "-c", script]).output().unwrap().stdout;
    fs::write(folder.join("bin/bash"), bash).unwrap();
    fs::set_permissions(folder.join("bin/bash"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
#[ignore = "compiles a release: tests/image/whole"]
fn in_a_chroot_without_any_library_a_run_comes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("files");
    without_libraries(&files);
    let nomad = Testbed::get().private_nomad(&["--chroot", files.to_str().unwrap()]);
    let world = World::new(&nomad.api(), "default");
    let runner = "driver = 'exec'\ncommand = '/usr/local/bin/dispatch'\ncpu = 20\nmemory = 128\ndisk = 110";
    world.configure(runner, "[limits]\ngrace_seconds = 2\n");
    let serving = Serving::start(&world);
    serving.land(LIBRARIES, &[("without-libraries", "timeout_minutes = 120")]);
    let result = serving.result("without-libraries");
    assert_eq!(end(&result), ("failed", "exit_nonzero", Some(3)), "{result:#}");
    assert_eq!(result["logs"], "user 65534\n", "no library is there: {result:#}");
}

#[test]
#[ignore = "compiles a release: tests/image/whole"]
fn on_the_client_itself_a_run_comes_to_its_end() {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad(), &namespace.name);
    let binary = &Whole::get().binary;
    let linked = Command::new("ldd").arg(binary).output().unwrap();
    let linked = [linked.stdout, linked.stderr].concat();
    assert!(!String::from_utf8_lossy(&linked).contains(".so"), "it needs libraries");
    let runner = format!("driver = 'raw_exec'\ncommand = '{}'\ncpu = 20\nmemory = 64\ndisk = 110", binary.display());
    world.configure(&runner, "[limits]\ngrace_seconds = 2\n");
    let serving = Serving::start(&world);
    serving.land("readlink /proc/$PPID/exe\nexit 3\n", &[("on-the-client", "timeout_minutes = 120")]);
    let result = serving.result("on-the-client");
    assert_eq!(end(&result), ("failed", "exit_nonzero", Some(3)), "{result:#}");
    assert_eq!(result["logs"], format!("{}\n", binary.display()), "{result:#}");
}
