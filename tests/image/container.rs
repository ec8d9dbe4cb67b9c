//! What the image is, and a run in it under Nomad's docker driver.

use serde_json::{Value, json};

use crate::built::{debian, docker, last_stage, must};
use crate::serving::{Serving, end};
use crate::testbed::Testbed;
use crate::world::World;

/// Uses each program that formulas may count on, and tries what it must not be able to do.
const FORMULA: &str = r#"set -euo pipefail
echo "user $(id -un) $(id -u):$(id -g)"
grep -E '^(CapEff|CapBnd|NoNewPrivs):' /proc/self/status | tr -d '\t'
for path in /new /usr/local/bin/dispatch /etc/passwd /var/new; do
  if ( : >> "$path" ) 2> /dev/null; then echo "wrote $path"; fi
done
for socket in /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock; do
  if [ -e "$socket" ]; then echo "there is $socket"; fi
done
age-keygen -o key 2> /dev/null
echo sealed | age -r "$(age-keygen -y key)" | age -d -i key
jq -rn '{jq: "read"} | .jq'
git init -q repository && git -C repository -c user.name=x -c user.email=x@y commit -q --allow-empty -m committed
git -C repository log --format=%s
[ -x "$(git --exec-path)/git-remote-https" ] && echo "git asks over https"
curl --version | grep -owm1 https
ssh -V 2>&1 | grep -o OpenSSH
[ -s /etc/ssl/certs/ca-certificates.crt ] && echo certificates
exit 3
"#;

const SAYS: &str = "user runner 10001:10001\nCapBnd:0000000000000000\nCapEff:0000000000000000\nNoNewPrivs:1\nsealed\nread\ncommitted\n\
    git asks over https\nhttps\nOpenSSH\ncertificates\n";

/// A run in this image, as the shipped job has it, with what is read-only and dropped there.
pub(crate) fn a_run_has_its_programs_and_no_rights(image: &str) {
    let testbed = Testbed::get();
    let namespace = testbed.namespace();
    let world = World::new(&testbed.nomad(), &namespace.name);
    let runner = format!("image = '{image}'\nnetwork_mode = 'none'\ncpu = 20\nmemory = 128\ndisk = 110");
    world.configure(&runner, "[limits]\ngrace_seconds = 2\n");
    let serving = Serving::start(&world);
    serving.land(FORMULA, &[("in-the-image", "timeout_minutes = 120")]);
    let result = serving.result("in-the-image");
    assert_eq!(end(&result), ("failed", "exit_nonzero", Some(3)), "{result:#}");
    let mut lines: Vec<&str> = result["logs"].as_str().unwrap().lines().collect();
    // The kernel's order of these two is its own.
    lines[1..3].sort_unstable();
    assert_eq!(lines.join("\n") + "\n", SAYS);
    assert_eq!(result["job"]["image"], image, "{result:#}");
}

/// What the image says of itself, and does when nothing is said to it.
pub(crate) fn it_is_of_an_ordinary_user_and_says_what_it_is(image: &str) {
    let inspected = must(&mut docker(&["image", "inspect", "--format", "{{json .Config}}", image]));
    let config: Value = serde_json::from_str(&inspected).unwrap();
    assert_eq!(config["User"], "10001:10001");
    assert_eq!(config["Entrypoint"], json!(["/usr/local/bin/dispatch"]));
    assert_eq!(config["Labels"]["org.opencontainers.image.title"], "dispatch-runner");
    assert_eq!(config["Labels"]["org.opencontainers.image.base.name"], debian("base"));
    let confined = ["--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"];
    let help = must(docker(&["run", "--rm"]).args(confined).arg(image));
    assert!(help.contains("Usage: dispatch runner"), "{help}");
}

#[test]
fn a_run_in_the_shipped_last_stage_has_its_programs_and_no_rights() {
    a_run_has_its_programs_and_no_rights(last_stage());
}

#[test]
fn the_shipped_last_stage_is_of_an_ordinary_user_and_says_what_it_is() {
    it_is_of_an_ordinary_user_and_says_what_it_is(last_stage());
}
