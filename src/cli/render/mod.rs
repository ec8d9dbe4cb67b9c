//! Views as text for people: pure functions from [`super::view`] to strings, each with its snapshot.
//!
//! - `runs`: `list`, `show`; `status`: `status`; `admission`: `explain`, `plan`; `result`: `once --action`; `upkeep`: `check`, `gc`,
//!   `audit verify`; `doctor`: `doctor`; `jobs`: `jobs`; `filed`: `request`, `ops init`;
//!   `policies`: `policies`.

mod admission;
mod doctor;
mod filed;
mod jobs;
mod policies;
mod result;
mod runs;
mod status;
mod upkeep;

pub use admission::{explain, plan, round};
pub use doctor::{doctor, findings};
pub use filed::{filed, set_up};
pub use jobs::jobs;
pub use policies::{policies, policy_added};
pub use result::result;
pub use runs::{ending, history, list, show};
pub use status::status;
pub use upkeep::{audit, checked, gc};

use anstyle::{AnsiColor, Style};
use jiff::{SignedDuration, Timestamp};

use super::output::{Look, Paint};
use crate::support::text::one_line;

/// A field of a block: its name, padded, and its value, escaped.
fn field(look: Look, name: &str, value: &str) -> String {
    shown(look, name, &one_line(value))
}

/// A field whose value is already fit to be shown, and may be coloured.
fn shown(look: Look, name: &str, value: &str) -> String {
    format!("{} {value}\n", look.paint.apply(Style::new().bold(), &format!("{name:<9}")))
}

/// Each text on a line of its own.
fn lines(all: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    all.into_iter().fold(String::new(), |out, line| out + line.as_ref() + "\n")
}

/// A heading above a block.
fn heading(look: Look, text: &str) -> String {
    format!("\n{}\n", look.paint.apply(Style::new().bold(), text))
}

/// `text` indented by two.
fn indent(text: &str) -> String {
    lines(text.lines().map(|line| format!("  {line}")))
}

/// A state or verdict in its colour.
fn state(paint: Paint, word: &str) -> String {
    let color = match word {
        "succeeded" | "published" | "admitted" | "passed" => AnsiColor::Green,
        "failed" | "rejected" | "set_aside" | "timed_out" | "lost" => AnsiColor::Red,
        "waiting" | "cancelled" | "cancelling" | "not_started" => AnsiColor::Yellow,
        _ => AnsiColor::Cyan,
    };
    paint.apply(Style::new().fg_color(Some(color.into())), &one_line(word))
}

/// A reason's words with its code: "All slots are taken. (`queue_full`)".
fn why(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    match (reason, message) {
        (Some(code), Some(words)) => Some(format!("{words} ({code})")),
        (Some(only), None) | (None, Some(only)) => Some(only.to_owned()),
        (None, None) => None,
    }
}

/// How long it took, or has taken until now: "12s", "3m 05s", "2h 07m", "4d 01h".
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).max(SignedDuration::ZERO).as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_never_negative() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let words = [9, 185, 7_620, 350_000].map(|end| span(at(0), at(end)));
        assert_eq!(words, ["9s", "3m 05s", "2h 07m", "4d 01h"]);
        assert_eq!(span(at(5), at(0)), "0s");
    }
}
