//! Every invalid file of the corpus where a dispatcher finds it: each action that it concerns is refused in a result of its own, and
//! that is all that becomes of it. Of an invalid configuration nothing becomes at all.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ops_world::{OpsWorld, action};
use crate::world::World;

/// The name that a case of the corpus has in the ops repo.
fn stem(case: &Path) -> String {
    let own = || case.file_stem().unwrap().to_str().unwrap().to_owned();
    fs::read_to_string(case.with_extension("stem")).map_or_else(|_| own(), |stem| stem.trim_end().to_owned())
}

/// Whether a result can stand under that name.
fn may_have_a_result(stem: &str) -> bool {
    let plain = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    plain
        && stem.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !stem.contains("..")
        && !stem.ends_with('.')
}

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid/action");
    let cases = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let cases = cases.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
    cases.map(|path| (stem(&path), fs::read(&path).unwrap())).collect()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn an_invalid_action_gets_one_rejected_result_and_leaves_nothing_else_behind() {
    let world = OpsWorld::new("");
    let corpus = corpus();
    assert!(corpus.len() >= 40, "{}", corpus.len());
    for (stem, bytes) in &corpus {
        let path = world.ops.work().join(format!("vault/actions/{stem}.toml"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    world.ops.commit("all of them");
    world.ops.push();
    let before = names_in(&world.ops.work().join("vault/actions"));

    assert_eq!(world.call("once").code, Some(3));
    assert_eq!(world.call("once").code, Some(0), "a second round has nothing to do");

    world.ops.git(&["pull", "--quiet", "origin", "main"]);
    let actions = world.ops.work().join("vault/actions");
    let added: BTreeSet<String> = names_in(&actions).difference(&before).cloned().collect();
    let due: BTreeSet<String> = corpus
        .iter()
        .filter(|(stem, _)| may_have_a_result(stem))
        .map(|(stem, _)| format!("{stem}.result.json"))
        .collect();
    assert_eq!(added, due);
    for name in added {
        let result: serde_json::Value = serde_json::from_slice(&fs::read(actions.join(&name)).unwrap()).unwrap();
        assert_eq!((&result["state"], &result["exit_code"]), (&"rejected".into(), &125.into()), "{name}");
        assert!(result["message"].as_str().is_some_and(|words| !words.is_empty()), "{name}");
    }
    let state = world.world.path("state");
    assert_eq!((names_in(&state.join("runs")), names_in(&state.join("logs"))), (BTreeSet::new(), BTreeSet::new()));
}

/// The files of a kind in the corpus, by their names.
fn corpus_of(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/invalid").join(kind);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    cases.sort();
    assert!(cases.len() >= 7, "{kind}: {}", cases.len());
    cases
}

fn write(world: &OpsWorld, path: &str, bytes: &[u8]) {
    let path = world.ops.work().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Each of these actions has one result, rejected for that reason, and nothing else is left of any of them.
fn assert_rejected(world: &OpsWorld, ids: &[String], reason: &str) {
    let listed = world.ops.remote_git(&["ls-tree", "--name-only", "main", "vault/actions/"]);
    let results: BTreeSet<&str> =
        listed.lines().filter_map(|path| path.strip_prefix("vault/actions/")?.strip_suffix(".result.json")).collect();
    assert_eq!(results, ids.iter().map(String::as_str).collect());
    for id in ids {
        let text = world.ops.remote_git(&["show", &format!("main:vault/actions/{id}.result.json")]);
        let result: serde_json::Value = serde_json::from_str(&text).unwrap();
        let found = (&result["state"], &result["reason"], &result["exit_code"]);
        assert_eq!(found, (&"rejected".into(), &reason.into(), &125.into()), "{id}: {result}");
    }
    let state = world.world.path("state");
    assert_eq!((names_in(&state.join("runs")), names_in(&state.join("logs"))), (BTreeSet::new(), BTreeSet::new()));
}

/// All cases of a kind as formulas on the branch, with an action for each; `files` names what a case consists of.
fn assert_formulas_rejected(kind: &str, files: impl Fn(&str, Vec<u8>) -> Vec<(String, Vec<u8>)>) {
    let world = OpsWorld::new("");
    let mut tiers = vec!["[tiers]\n".to_owned()];
    let mut ids = Vec::new();
    for (case, bytes) in corpus_of(kind) {
        for (path, bytes) in files(&case, bytes) {
            write(&world, &path, &bytes);
        }
        write(&world, &format!("vault/actions/{case}.toml"), action(&case, &case, "").as_bytes());
        tiers.push(format!("{case} = \"low\"\n"));
        ids.push(case);
    }
    let actions = world.ops.work().join("vault/actions");
    let aside = world.ops.path().join("actions");
    fs::rename(&actions, &aside).unwrap();
    write(&world, "vault/policy.toml", tiers.concat().as_bytes());
    world.ops.signed_commit("the formulas", &world.alice);
    fs::rename(&aside, &actions).unwrap();
    world.ops.signed_commit("the actions", &world.alice);
    world.ops.push();
    assert_eq!(world.call("once").code, Some(3));
    assert_rejected(&world, &ids, "formula_invalid");
    assert_eq!(world.call("once").code, Some(0), "a second round has nothing to do");
}

#[test]
fn a_formula_with_invalid_metadata_runs_for_nobody_and_each_action_that_names_it_says_so() {
    assert_formulas_rejected("meta", |case, bytes| {
        let script = format!("formulas/{case}.sh");
        vec![(script, b"true\n".to_vec()), (format!("formulas/{case}.meta.toml"), bytes)]
    });
}

#[test]
fn an_invalid_agent_formula_runs_for_nobody_and_each_action_that_names_it_says_so() {
    assert_formulas_rejected("formula", |case, bytes| vec![(format!("formulas/{case}.toml"), bytes)]);
}

#[test]
fn under_an_invalid_policy_nothing_runs_and_each_action_says_so() {
    let world = OpsWorld::new("");
    let mut ids = Vec::new();
    for (case, bytes) in corpus_of("policy") {
        if !ids.is_empty() {
            world.ops.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        }
        write(&world, "vault/policy.toml", &bytes);
        world.ops.signed_commit("a policy", &world.alice);
        // Low by the policy before: what that was does not count.
        world.file_signed(&case, &action(&case, "echo", ""));
        ids.push(case);
        assert_eq!(world.call("once").code, Some(3));
    }
    assert_rejected(&world, &ids, "policy_invalid");
}

#[test]
fn an_invalid_configuration_starts_nothing_and_makes_nothing() {
    for (case, bytes) in corpus_of("config") {
        let world = World::new();
        let file = world.path("dispatch.toml");
        fs::write(&file, &bytes).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let environment = text.lines().map_while(|line| line.strip_prefix("#env ")?.split_once('='));
        for verb in ["once", "run", "doctor"] {
            let answer = world.call_with(verb, &environment.clone().collect::<Vec<_>>());
            assert_eq!(answer.code, Some(2), "{case}, {verb}: {}", answer.all());
            assert_eq!(names_in(&world.path("")), BTreeSet::from(["dispatch.toml".to_owned()]), "{case}, {verb}");
        }
    }
}
