//! `request` and `ops init`.

use super::super::output::Look;
use super::super::view::FiledView;
use super::field;

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

#[cfg(test)]
mod tests {
    use super::*;

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
