//! `check`: files, folders and ranges of commits.

use std::fs;
use std::os::unix::fs::symlink;

use crate::ops_world::{OpsWorld, action};
use crate::world::World;

fn write(world: &World, path: &str, text: &str) {
    let file = world.path(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

/// An ops repo without a mistake in it.
fn world() -> World {
    let world = World::new();
    write(&world, "vault/actions/deploy-1.toml", &action("deploy-1", "deploy", "params = { tag = \"v1\" }\n"));
    write(&world, "vault/actions/deploy-1.result.json", "{}");
    write(&world, "vault/policy.toml", "[tiers]\ndeploy = \"medium\"\n");
    write(&world, "formulas/deploy.sh", "echo\n");
    write(&world, "formulas/deploy.meta.toml", "secrets = []\n[params.tag]\npattern = \"v[0-9]+\"\n");
    write(&world, "README.md", "ops");
    world
}

#[test]
fn a_folder_without_mistakes_is_told_so_and_needs_no_config() {
    let answer = world().call("check .");
    assert_eq!((answer.code, answer.stdout.as_str()), (Some(0), "4 files checked, nothing is wrong\n"));
}

#[test]
fn mistakes_are_shown_with_their_place_and_exit_with_3() {
    let world = world();
    write(&world, "vault/actions/deploy-2.toml", &action("deploy-2", "deploi", "tmeout = 5\n"));
    write(&world, "vault/actions/deploy-3.toml", &action("deploy-3", "deploi", ""));
    write(&world, "vault/actions/deploy-4.toml", &action("deploy-4", "deploy", "params = { tag = \"latest\" }\n"));
    write(&world, "vault/actions/deploy-5.toml", &action("deploy-5", "elsewhere", ""));
    write(&world, "vault/actions/old/deploy-6.toml", &action("deploy-6", "deploy", ""));
    write(&world, "formulas/Bad Name.sh", "echo\n");
    symlink("deploy-1.toml", world.path("vault/actions/deploy-7.toml")).unwrap();
    insta::assert_snapshot!(world.call("check .").all());
}

#[test]
fn tools_get_each_mistake_with_its_line_and_code() {
    let world = world();
    write(&world, "vault/actions/a-1.toml", &action("b-1", "deploy", ""));
    let answer = world.call("--output json check vault/actions/a-1.toml");
    let mistake = &answer.json()["data"]["mistakes"][0];
    assert_eq!((answer.code, &mistake["line"], &mistake["reason"]), (Some(3), &1.into(), &"id_mismatch".into()));
    assert_eq!(answer.json()["data"]["files"], 1, "what was not named is not checked");
}

#[test]
fn a_path_that_is_not_there_is_no_clean_bill() {
    assert_eq!(world().call("check vault/actoins").code, Some(2));
}

#[test]
fn a_range_checks_only_what_changed_as_it_is_in_the_later_commit() {
    let world = OpsWorld::new("");
    world.ops.write("vault/actions/old-1.toml", "broken before");
    let before = world.ops.commit("an old mistake");
    world.ops.write("vault/actions/deploy-1.toml", &action("deploy-1", "deploy", "params = { tag = \"latest\" }\n"));
    world.ops.write("vault/actions/echo-1.toml", &action("echo-1", "echo", ""));
    let after = world.ops.commit("two requests");
    world.ops.write("vault/actions/deploy-1.toml", "not looked at: it is not in the commit");
    let call = |range: &str| {
        let line = format!("--output json check --range {range}");
        let output = world.command(&line).current_dir(world.ops.work().join("vault")).output().unwrap();
        world.world.answer(&output)
    };
    let answer = call(&format!("{before}..{after}"));
    let data = &answer.json()["data"];
    assert_eq!((answer.code, &data["files"]), (Some(3), &2.into()), "{}", answer.all());
    assert_eq!(data["mistakes"][0]["reason"], "param_invalid");
    assert_eq!(data["mistakes"].as_array().map(Vec::len), Some(1));
    assert_eq!(call("main~1..nowhere").code, Some(2));
    assert_eq!(call("main").code, Some(2));
}

#[test]
fn a_range_outside_of_a_repository_is_an_error() {
    let world = World::new();
    let path = std::env::var("PATH").unwrap();
    let answer = world.call_with("check --range a..b", &[("PATH", path.as_str())]);
    assert_eq!(answer.code, Some(2));
    assert!(answer.stderr.contains("a repository around"), "{}", answer.stderr);
}
