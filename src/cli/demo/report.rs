//! The end of the demo as text: the results, one of them in full, the proofs, and where to look next.

use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::super::output::Look;
use super::DemoView;
use super::verify::{Committed, Proof};
use crate::support::text::{block, one_line};

/// All of it.
pub(super) fn render(view: &DemoView, look: Look) -> String {
    let bold = |text: &str| format!("\n{}\n", look.paint.apply(Style::new().bold(), text));
    let mut out = bold("The results, as committed in the ops repo");
    out += &indent(&results(&view.results, look.inset()));
    if let Some(Committed { path, result: Some(result) }) = view.results.first() {
        out += &bold(&format!("{}, in full", one_line(path)));
        out += &indent(&block(&result.to_text()));
    }
    out += &bold("What was promised, and what was seen");
    out.extend(view.proofs.iter().map(|proof| shown(proof, look)));
    let broken = view.proofs.iter().filter(|proof| !proof.held).count();
    out += &bold(&verdict(view.proofs.len(), broken));
    out + &next(view.folder.as_deref())
}

fn results(results: &[Committed], look: Look) -> String {
    let row = |committed: &Committed| {
        let missing = || vec![committed.path.clone(), "missing".to_owned()];
        committed.result.as_ref().map_or_else(missing, |result| {
            vec![
                result.id.clone(),
                result.state.word().to_owned(),
                result.exit_code.to_string(),
                result.policies.join(", "),
                format!("{} ({})", result.message, result.reason),
            ]
        })
    };
    look.table(&["action", "state", "exit code", "policies", "why"], results.iter().map(row).collect(), "no results")
}

fn shown(proof: &Proof, look: Look) -> String {
    let (word, color) = if proof.held { ("seen", AnsiColor::Green) } else { ("NOT SEEN", AnsiColor::Red) };
    let word = look.paint.apply(Style::new().fg_color(Some(color.into())), &format!("{word:<8}"));
    format!("  {word} {}\n           {}\n", one_line(&proof.promise), one_line(&proof.seen))
}

fn verdict(all: usize, broken: usize) -> String {
    match broken {
        0 => format!("All {all} promises were kept."),
        some => {
            format!("{some} of {all} promises were not kept. This is a defect of dispatch or of this machine's tools.")
        }
    }
}

fn next(kept: Option<&Path>) -> String {
    let Some(folder) = kept else {
        return "  The folder is gone again. `dispatch demo --dir DIR` keeps it to look around in.\n".to_owned();
    };
    let folder = one_line(&folder.display().to_string()).into_owned();
    [
        format!("git -C {folder}/ops.git log --stat main"),
        format!("git -C {folder}/ops.git show main:vault/actions/rotate-token-2.result.json"),
        format!("cat {folder}/state/logs/rotate-token-1@1.log"),
        format!("dispatch --config {folder}/dispatch.toml list"),
        format!("dispatch --config {folder}/dispatch.toml explain rotate-token-2"),
        format!("dispatch --config {folder}/dispatch.toml audit verify"),
    ]
    .iter()
    .fold("  Look around:\n".to_owned(), |out, line| out + &format!("    {line}\n"))
}

fn indent(text: &str) -> String {
    text.lines().fold(String::new(), |out, line| out + &format!("  {line}\n"))
}
