//! `dispatch ops init`, and the check that its CI file runs.

use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::world::{World, git, hello, stop};

#[test]
fn the_files_are_made_once_and_a_second_time_there_is_nothing_to_do() {
    let world = World::new();
    let again = world.said(&world.dispatcher, "ops init --remote");
    assert!(again.contains("kept vault/policy.toml") && again.ends_with("nothing to do\n"), "{again}");
    let clone = world.clone();
    fs::remove_file(clone.join("README.md")).unwrap();
    fs::write(clone.join("vault/policy.toml"), "# ours\n").unwrap();
    let line = format!("ops init {}", clone.display());
    let dry = world.said(&world.dispatcher, &format!("{line} --dry-run"));
    assert!(dry.contains("would create README.md") && !clone.join("README.md").exists(), "{dry}");
    assert!(world.said(&world.dispatcher, &line).contains("created README.md"));
    assert_eq!(fs::read_to_string(clone.join("vault/policy.toml")).unwrap(), "# ours\n");
}

#[test]
fn the_branch_is_protected_so_that_only_results_are_pushed_and_a_second_time_nothing_changes() {
    let world = World::new();
    let admin = world.administrator();
    let line = format!("ops init --protect --approver {}", world.approver.name);
    let dry = world.said(&admin, &format!("{line} --dry-run"));
    assert!(dry.contains("would change protection of main: required_approvals: 1"), "{dry}");
    assert_eq!(world.repository.must("GET", "/branch_protections", None), json!([]));
    assert!(world.said(&admin, &line).contains("changed protection of main: enable_push_whitelist: true"));
    assert_eq!(world.said(&admin, &line), "nothing to do\n");
    // The dispatcher's user, who may write, cannot put an action there; a result it can.
    let put = |path: &str| {
        let body = json!({ "content": STANDARD.encode("x"), "message": "x", "branch": "main" });
        world.dispatcher.api.ask("POST", &world.repository.path(&format!("/contents/{path}")), Some(&body)).status
    };
    assert_eq!(put("vault/actions/slipped-in.toml"), 403);
    let serving = world.serve();
    let (number, _) = world.file("release-v1.2", &hello("release-v1.2"));
    let merge = world.repository.path(&format!("/pulls/{number}/merge"));
    let refused = world.author.api.ask("POST", &merge, Some(&json!({ "Do": "merge" })));
    assert_eq!(refused.status, 405, "{}", refused.text);
    world.approve(number);
    world.merge(number);
    let result = "/contents/vault/actions/release-v1.2.result.json";
    crate::child::until("the result", || (world.repository.ask("GET", result, None).status == 200).then_some(()));
    stop(serving);
}

#[test]
fn the_hook_is_added_once_and_signed_with_the_secret_of_the_configuration() {
    let world = World::new();
    let admin = world.administrator();
    let line = "ops init --webhook http://dispatch.example.com/webhook";
    let refused = world.start_as(&admin, &line.split_whitespace().collect::<Vec<_>>()).end();
    assert!(refused.status.code() == Some(2) && refused.said.contains("webhook.secret_file"), "{}", refused.said);
    world.configure("[webhook]\nlisten = '127.0.0.1:0'\nsecret_env = 'HOOK'\n");
    assert!(
        world.said(&admin, &format!("{line} --dry-run")).starts_with("would create hook http://dispatch.example.com")
    );
    assert_eq!(world.repository.must("GET", "/hooks", None), json!([]));
    assert_eq!(world.said(&admin, line), "created hook http://dispatch.example.com/webhook\n");
    assert_eq!(world.said(&admin, line), "kept hook http://dispatch.example.com/webhook\nnothing to do\n");
    let hooks = world.repository.must("GET", "/hooks", None);
    assert!(hooks[0]["active"] == true && hooks[0]["events"].as_array().unwrap().contains(&json!("push")), "{hooks}");
}

/// The `run:` steps of a workflow, verbatim.
fn steps(workflow: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut inside = None;
    for line in workflow.lines() {
        let indent = line.len() - line.trim_start().len();
        if let (Some(above), Some(step)) = (inside, steps.last_mut())
            && (indent > above || line.trim().is_empty())
        {
            step.push_str(line.get(above + 2..).unwrap_or_default());
            step.push('\n');
            continue;
        }
        inside = line.trim_start().starts_with("run: |").then_some(indent);
        if inside.is_some() {
            steps.push(String::new());
        }
    }
    steps
}

/// Each step is a file that `bash -e` is given, in a clone with the request's head checked out, as a runner without a container
/// does it.
#[test]
fn the_check_of_the_ci_file_marks_a_bad_request_red_with_the_line() {
    let world = World::new();
    let clone = world.clone();
    let steps = steps(&fs::read_to_string(clone.join(".gitea/workflows/dispatch-check.yml")).unwrap());
    assert_eq!(steps.len(), 1, "{steps:?}");
    let base = git(&clone, &["rev-parse", "HEAD"]);
    let run = |base: &str| {
        let script = world.path("step.sh");
        fs::write(&script, &steps[0]).unwrap();
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_dispatch")).parent().unwrap();
        let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.arg("-e").arg(&script).current_dir(&clone).env_clear();
        let output =
            command.env("PATH", path).env("HOME", &clone).env("BASE", base).env("CI", "true").output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    let check = |id: &str, text: &str| {
        git(&clone, &["checkout", "--quiet", "-B", id, "main"]);
        fs::write(clone.join(format!("vault/actions/{id}.toml")), text).unwrap();
        git(&clone, &["add", "--all"]);
        git(&clone, &["commit", "--quiet", "--message", id]);
        git(&clone, &["checkout", "--quiet", "--detach"]);
        run(&base)
    };
    assert_eq!(check("good", &hello("good")).0, Some(0));
    let (code, shown) = check("bad", &format!("{}colour = 'blue'\n", hello("bad")));
    assert_eq!(code, Some(3), "{shown}");
    assert!(shown.contains("vault/actions/bad.toml:5:1") && shown.contains("colour"), "{shown}");
    // A base that the clone does not have is red too, and not nothing to check.
    let (code, shown) = run(&"1".repeat(40));
    assert_ne!(code, Some(0), "{shown}");
}
