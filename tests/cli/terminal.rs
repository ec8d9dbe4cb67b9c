//! The binary at a real terminal: what it shows there, and shows to no pipe.

use std::process::{Command, Stdio};

use crate::serving::Serving;
use crate::world::World;

/// What `command` shows on a terminal, and its exit code. The terminal is that of `script` (package bsdutils).
fn shown(command: &Command) -> (String, Option<i32>) {
    let words: Vec<&str> =
        [command.get_program()].into_iter().chain(command.get_args()).map(|word| word.to_str().unwrap()).collect();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"]).stdin(Stdio::null());
    terminal.current_dir(command.get_current_dir().unwrap()).env_clear().env("TERM", "xterm").env("SHELL", "/bin/sh");
    terminal.env("PATH", std::env::var_os("PATH").unwrap());
    terminal.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = terminal.output().expect("script (package bsdutils)");
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

/// The same in a pipe.
fn piped(mut command: Command) -> String {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn an_error_is_coloured_on_a_terminal_and_not_in_a_pipe_and_not_where_nobody_wants_it() {
    let world = World::configured("state_dir = 'state'\n[ops]\nremote = '/srv/ops.git'\n");
    let (text, code) = shown(&world.command("status"));
    assert_eq!(code, Some(4));
    assert!(text.contains("\u{1b}[") && text.contains("no dispatcher is running"), "{text:?}");
    let mut unwanted = world.command("status");
    unwanted.env("NO_COLOR", "1");
    assert!(!shown(&unwanted).0.contains('\u{1b}'));
    assert!(!shown(&world.command("--color never status")).0.contains('\u{1b}'));
    let text = piped(world.command("status"));
    assert!(!text.contains('\u{1b}') && text.contains("no dispatcher is running"), "{text:?}");
}

#[test]
fn a_long_wait_shows_its_progress_on_a_terminal_and_neither_in_a_pipe_nor_to_tools() {
    const WAIT: &str = "taking up what is there";
    let serving = || {
        let serving = Serving::new();
        serving.action("hold-1", "hold", "");
        serving.open_gate("hold-1");
        serving.publish();
        serving
    };
    let (on, off) = (serving(), serving());
    let (text, code) = shown(&on.command("once"));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(WAIT) && text.contains("hold-1"), "{text:?}");
    let text = piped(off.command("once"));
    assert!(!text.contains(WAIT) && !text.contains('\u{1b}') && text.contains("hold-1"), "{text:?}");
    let (text, code) = shown(&on.command("once --output json"));
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(WAIT), "{text:?}");
}
