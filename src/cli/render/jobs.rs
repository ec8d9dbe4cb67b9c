//! `jobs plan`, `jobs apply`, `jobs validate`.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::super::output::{Look, Paint};
use super::super::view::JobsView;
use crate::support::text::one_line;

/// A line for each job, and below it what differs, field by field.
pub fn jobs(view: &JobsView, look: Look) -> String {
    let width = view.jobs.iter().map(|job| job.id.len()).max().unwrap_or_default();
    let mut out = String::new();
    for job in &view.jobs {
        let _ = writeln!(out, "{:<width$}  {}", one_line(&job.id), state(look.paint, &job.state));
        for change in &job.changes {
            let (old, new) = (value(&change.old), value(&change.new));
            let _ = writeln!(out, "  {}: {old} -> {new}", one_line(&change.field));
        }
        for mistake in &job.mistakes {
            let _ = writeln!(out, "  {}", one_line(mistake));
        }
        if let Some(warnings) = &job.warnings {
            let _ = writeln!(out, "  warning: {}", one_line(warnings));
        }
    }
    out
}

fn value(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("\"{}\"", one_line(text)) }
}

fn state(paint: Paint, word: &str) -> String {
    let color = match word {
        "unchanged" | "valid" => AnsiColor::Green,
        "invalid" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    paint.apply(Style::new().fg_color(Some(color.into())), word)
}

#[cfg(test)]
mod tests {
    use super::super::super::view::{FieldChange, JobView};
    use super::*;

    #[test]
    fn what_differs_is_shown_field_by_field() {
        let job = |id: &str, state: &str| JobView { id: id.to_owned(), state: state.to_owned(), ..JobView::default() };
        let field = "group run / task runner / Resources / MemoryMB".to_owned();
        let changes = vec![
            FieldChange { field, old: "64".to_owned(), new: "128".to_owned() },
            FieldChange { field: "Meta[dispatch_spec]".to_owned(), old: String::new(), new: "ab".to_owned() },
        ];
        let differs = JobView { changes, ..job("vault-runner-ssh", "differs") };
        let view = JobsView { jobs: vec![job("vault-runner", "unchanged"), differs] };
        insta::assert_snapshot!(jobs(&view, Look::PLAIN), @r#"
        vault-runner      unchanged
        vault-runner-ssh  differs
          group run / task runner / Resources / MemoryMB: "64" -> "128"
          Meta[dispatch_spec]: nothing -> "ab"
        "#);
    }
}
