//! `--help` of every verb, completions, the manual, and arguments that do not parse.

use clap::CommandFactory as _;
use dispatch::cli::args::Cli;

use crate::world::World;

/// `run`, `audit verify`, …: every verb that can be called and is not hidden.
fn verbs() -> Vec<String> {
    let mut out = Vec::new();
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let inner: Vec<String> =
            verb.get_subcommands().map(|inner| format!("{} {}", verb.get_name(), inner.get_name())).collect();
        out.extend(if inner.is_empty() { vec![verb.get_name().to_owned()] } else { inner });
    }
    out
}

/// What stands above the global options, which are the same everywhere.
fn own_part(help: &str) -> &str {
    help.split("Global options:").next().unwrap()
}

#[test]
fn the_binary_says_what_it_can_do_and_what_its_exit_codes_mean() {
    insta::assert_snapshot!(World::new().call("--help").all());
}

#[test]
fn every_verb_says_what_it_does() {
    let world = World::new();
    let pages: Vec<String> = verbs()
        .iter()
        .map(|verb| {
            let answer = world.call(&format!("{verb} --help"));
            assert_eq!(answer.code, Some(0), "{verb}");
            format!("$ dispatch {verb} --help\n{}", own_part(&answer.stdout).trim_end())
        })
        .collect();
    insta::assert_snapshot!(pages.join("\n\n"));
}

#[test]
fn a_wrong_argument_names_itself_and_exits_with_2() {
    let world = World::new();
    let calls = ["statsu", "cancel", "cancel Not-An-Id", "check", "check a --range b..c", "--output yaml status"];
    let answers: Vec<String> =
        calls.iter().map(|line| format!("$ dispatch {line}\n{}", world.call(line).all())).collect();
    insta::assert_snapshot!(answers.join("\n"));
}

#[test]
fn a_wrong_argument_is_json_where_json_was_asked_for() {
    let answer = World::new().call("statsu --output json");
    assert_eq!(answer.code, Some(2));
    assert_eq!(answer.json()["error"]["code"], "usage");
}

#[test]
fn every_shell_gets_completions_that_know_the_verbs() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = World::new().call(&format!("completions {shell}"));
        assert_eq!(answer.code, Some(0), "{shell}");
        assert!(answer.stdout.contains("explain") && answer.stdout.contains("ops-remote"), "{shell}");
    }
}

#[test]
fn the_manual_is_one_page_or_one_for_each_verb() {
    let world = World::new();
    let page = world.call("man").stdout;
    assert!(page.contains(".SH SYNOPSIS") && page.contains("Exit codes"), "{page}");
    assert_eq!(world.call("man --dir pages").code, Some(0));
    for page in ["dispatch.1", "dispatch-once.1", "dispatch-config-show.1"] {
        assert!(world.path("pages").join(page).exists(), "{page}");
    }
}
