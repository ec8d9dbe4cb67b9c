//! Every invalid action of the corpus on the primary branch at once: each is refused in a result of its own, and that is all that
//! becomes of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::ops_world::OpsWorld;

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
