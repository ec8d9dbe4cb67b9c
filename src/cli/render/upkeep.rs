//! `check`, `gc` and `audit verify`.

use super::super::output::Look;
use super::super::view::{AuditView, CheckedView, GcView};
use super::{field, heading, indent, lines};
use crate::support::text::one_line;

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

fn counted(number: u64, noun: &str) -> String {
    counted_as(number, noun, &format!("{noun}s"))
}

fn counted_as(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `gc`: what was removed, or would be.
pub fn gc(view: &GcView) -> String {
    let word = if view.dry_run { "would be removed" } else { "removed" };
    let removed = lines(view.removed.iter().map(|path| one_line(path)));
    let failed = lines(view.failed.iter().map(|line| format!("not removed: {}", one_line(line))));
    let kept = lines(view.kept.iter().map(|path| format!("kept, for a person to look at: {}", one_line(path))));
    let mirror = match view.mirror.as_deref() {
        Some("packed") => "the mirror is packed\n",
        Some("in_use") => "the mirror is not packed: a dispatcher is running\n",
        _ => "",
    };
    let entries = counted_as(u64::try_from(view.removed.len()).unwrap_or(u64::MAX), "entry", "entries");
    format!("{removed}{failed}{kept}{mirror}{entries} {word}, {}\n", size(view.bytes))
}

/// `audit verify`: whether the chain holds.
pub fn audit(view: &AuditView, look: Look) -> String {
    let out = field(look, "events", &view.events.to_string())
        + &field(look, "commits", &view.commits.to_string())
        + &field(look, "head", &view.head);
    let others = format!("{} commits are by other dispatchers: look into their journals too", view.others);
    let out = if view.others > 0 { out + &field(look, "others", &others) } else { out };
    if view.broken.is_empty() {
        let words = "holds: no event was edited, none is missing, the runs are what their events say";
        return out + &field(look, "journal", words);
    }
    out + &heading(look, "The journal does not hold") + &indent(&lines(view.broken.iter().map(|line| one_line(line))))
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
    fn gc_says_what_went_and_how_much_it_was() {
        let view = GcView {
            removed: vec!["runs/ab".to_owned(), "logs/a@1.log".to_owned()],
            bytes: 1_600_000,
            ..GcView::default()
        };
        assert_eq!(gc(&view), "runs/ab\nlogs/a@1.log\n2 entries removed, 1.5 MiB\n");
        let nothing = GcView { dry_run: true, ..GcView::default() };
        assert_eq!(gc(&nothing), "0 entries would be removed, 0 bytes\n");
    }

    #[test]
    fn a_broken_chain_names_the_event() {
        let view = AuditView {
            events: 9,
            commits: 2,
            others: 0,
            broken: vec!["event 4: its digest does not fit".to_owned()],
            head: "ab".to_owned(),
        };
        insta::assert_snapshot!(audit(&view, Look::PLAIN), @r"
        events    9
        commits   2
        head      ab

        The journal does not hold
          event 4: its digest does not fit
        ");
        let holds = AuditView { broken: vec![], ..view };
        assert!(audit(&holds, Look::PLAIN).contains("holds"));
        let shared = AuditView { others: 3, ..holds };
        assert!(audit(&shared, Look::PLAIN).contains("3 commits are by other dispatchers"));
    }
}
