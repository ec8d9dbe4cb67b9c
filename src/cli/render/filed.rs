//! `request` and `ops init`.

use super::super::output::Look;
use super::super::view::{FiledView, SetUpView};
use super::{field, lines};
use crate::support::text::one_line;

/// `request`: where the pull request is and what it needs.
pub fn filed(view: &FiledView, look: Look) -> String {
    let mut out = field(look, "action", &view.action);
    if let (Some(number), Some(url)) = (view.number, &view.url) {
        out += &field(look, "request", &format!("#{number} {url}"));
    }
    if let Some(tier) = &view.tier {
        out += &field(look, "tier", tier);
    }
    if let Some(needs) = &view.needs {
        out += &field(look, "needs", needs);
    }
    out
}

/// `ops init`: what was made, or would be.
pub fn set_up(view: &SetUpView) -> String {
    let (would, done) = if view.dry_run { ("would ", "") } else { ("", "d") };
    let created = view.created.iter().map(|path| format!("{would}create{done} {}", one_line(path)));
    let kept = view.kept.iter().map(|path| format!("kept {}", one_line(path)));
    let changed = view.changed.iter().map(|line| format!("{would}change{done} {}", one_line(line)));
    let all = lines(created.chain(changed).chain(kept));
    if view.created.is_empty() && view.changed.is_empty() { format!("{all}nothing to do\n") } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_stands_before_what_was_kept_and_a_second_time_there_is_nothing_to_do() {
        let kept = vec!["README.md".to_owned()];
        let first = SetUpView { created: vec!["a".to_owned()], kept: kept.clone(), ..SetUpView::default() };
        assert_eq!(set_up(&first), "created a\nkept README.md\n");
        assert_eq!(set_up(&SetUpView { dry_run: true, ..first }), "would create a\nkept README.md\n");
        assert_eq!(set_up(&SetUpView { kept, ..SetUpView::default() }), "kept README.md\nnothing to do\n");
    }

    #[test]
    fn a_request_is_shown_with_its_number_and_what_it_needs() {
        let view = FiledView {
            action: "release-1".to_owned(),
            number: Some(7),
            url: Some("https://forge.example/o/r/pulls/7".to_owned()),
            tier: Some("high".to_owned()),
            needs: Some("2 approvals of: ann, bob".to_owned()),
            ..FiledView::default()
        };
        insta::assert_snapshot!(filed(&view, Look::PLAIN), @r"
        action    release-1
        request   #7 https://forge.example/o/r/pulls/7
        tier      high
        needs     2 approvals of: ann, bob
        ");
    }
}
