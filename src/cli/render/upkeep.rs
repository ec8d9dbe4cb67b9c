//! `check`, `logs`, `gc` and `audit verify`.

use super::super::output::Look;
use super::super::view::{AuditView, CheckedView, GcView};
use super::{field, heading, indent, lines};
use crate::support::text::{block, one_line};

/// `check`: the mistakes as `action::render` has shown them, and how many there are.
pub fn checked(view: &CheckedView, shown: &str) -> String {
    let files = counted(view.files, "file");
    let notes = lines(view.notes.iter().map(|note| format!("note: {}", one_line(note))));
    if view.mistakes.is_empty() {
        return format!("{notes}{files} checked, nothing is wrong\n");
    }
    let mistakes = counted(u64::try_from(view.mistakes.len()).unwrap_or(u64::MAX), "mistake");
    format!("{shown}\n{notes}{files} checked, {mistakes}\n")
}

/// `logs`: bytes of a log as text that cannot drive a terminal; what is not UTF-8 is shown as U+FFFD.
pub fn log(bytes: &[u8]) -> String {
    block(&String::from_utf8_lossy(bytes)).into_owned()
}

fn counted(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `gc`: what was removed, or would be.
pub fn gc(view: &GcView) -> String {
    let word = if view.dry_run { "would be removed" } else { "removed" };
    let removed = lines(view.removed.iter().map(|path| one_line(path)));
    format!("{removed}{} entries {word}, {}\n", view.removed.len(), size(view.bytes))
}

/// `audit verify`: whether the chain holds.
pub fn audit(view: &AuditView, look: Look) -> String {
    let out = field(look, "events", &view.events.to_string()) + &field(look, "head", &view.head);
    if view.broken.is_empty() {
        return out + &field(look, "chain", "holds: no event was edited, none is missing");
    }
    out + &heading(look, "The chain is broken") + &indent(&lines(view.broken.iter().map(|line| one_line(line))))
}

/// Bytes in the largest unit that leaves a whole number before the point.
fn size(bytes: u64) -> String {
    let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_ends_with_how_much_was_checked_and_how_much_is_wrong() {
        let fine = CheckedView { files: 1, ..CheckedView::default() };
        assert_eq!(checked(&fine, ""), "1 file checked, nothing is wrong\n");
        let mistake = super::super::super::view::MistakeView {
            path: "a.toml".to_owned(),
            line: Some(1),
            column: Some(1),
            reason: "syntax".to_owned(),
            message: "wrong".to_owned(),
            help: None,
        };
        let wrong = CheckedView { files: 2, mistakes: vec![mistake], notes: vec![] };
        assert_eq!(checked(&wrong, "error: wrong\n"), "error: wrong\n\n2 files checked, 1 mistake\n");
    }

    #[test]
    fn a_log_keeps_its_lines_and_loses_its_escapes() {
        assert_eq!(log(b"one\n\ttwo \x1b[2J\xff\n"), "one\n\ttwo \\u{1b}[2J\u{fffd}\n");
    }

    #[test]
    fn gc_says_what_went_and_how_much_it_was() {
        let view =
            GcView { removed: vec!["runs/ab".to_owned(), "logs/a@1.log".to_owned()], bytes: 1_600_000, dry_run: false };
        assert_eq!(gc(&view), "runs/ab\nlogs/a@1.log\n2 entries removed, 1.5 MiB\n");
        let nothing = GcView { dry_run: true, ..GcView::default() };
        assert_eq!(gc(&nothing), "0 entries would be removed, 0 bytes\n");
    }

    #[test]
    fn a_broken_chain_names_the_event() {
        let view =
            AuditView { events: 9, broken: vec!["event 4: its digest does not fit".to_owned()], head: "ab".to_owned() };
        insta::assert_snapshot!(audit(&view, Look::PLAIN), @r"
        events    9
        head      ab

        The chain is broken
          event 4: its digest does not fit
        ");
        let holds = AuditView { broken: vec![], ..view };
        assert!(audit(&holds, Look::PLAIN).contains("holds"));
    }
}
