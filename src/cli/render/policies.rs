//! `policies`.

use anstyle::{AnsiColor, Style};

use super::super::output::Look;
use super::super::view::{AddedView, PoliciesView, PolicyView};
use super::{heading, indent, lines};
use crate::support::text::one_line;

/// `policies plan|apply|check`: one row for each object, and what asks for more than what ships.
pub fn policies(view: &PoliciesView, look: Look) -> String {
    let row = |object: &PolicyView| {
        let standing = match (&object.standing, object.change.as_str()) {
            (Some(standing), "updated") => format!("was {standing}"),
            _ => String::new(),
        };
        let notes = [standing, object.differs.join(", ")].into_iter().filter(|note| !note.is_empty());
        vec![
            object.kind.clone(),
            object.name.clone(),
            object.change.clone(),
            object.digest.clone(),
            notes.collect::<Vec<_>>().join(": "),
        ]
    };
    let rows = view.objects.iter().map(row).collect();
    let mut out = look.table(&["kind", "name", "change", "digest", ""], rows, "nothing is to stand there");
    out += &named(view, look, "Asks for more than what ships", |object| &object.beyond);
    out +=
        &named(view, look, "What stands on the server asks for more than what ships", |object| &object.standing_beyond);
    if !view.strays.is_empty() {
        out += &heading(look, "Named like a secret's policy, and of no secret that is known here");
        out += &indent(&lines(view.strays.iter().map(|name| one_line(name))));
    }
    out + &sum(view)
}

fn named(view: &PoliciesView, look: Look, title: &str, which: impl Fn(&PolicyView) -> &Vec<String>) -> String {
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let all: Vec<String> = view
        .objects
        .iter()
        .flat_map(|object| which(object).iter().map(|words| format!("{}: {words}", object.name)))
        .map(|line| look.paint.apply(red, &one_line(&line)))
        .collect();
    if all.is_empty() { String::new() } else { heading(look, title) + &indent(&lines(all)) }
}

fn sum(view: &PoliciesView) -> String {
    let changed = view.objects.iter().filter(|object| object.change != "unchanged").count();
    match (changed, view.written) {
        (0, _) => "everything stands as it should\n".to_owned(),
        (changed, true) => format!("{changed} written\n"),
        (changed, false) => format!("{changed} to write: `dispatch policies apply`\n"),
    }
}

/// `policies add`: where it stands.
pub fn policy_added(view: &AddedView) -> String {
    let word = if view.written { "written" } else { "stands there already" };
    format!("{}: {word}\n", one_line(&view.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_change_and_what_asks_for_more_is_told() {
        let object = |name: &str, change: &str| PolicyView {
            kind: "policy".to_owned(),
            name: name.to_owned(),
            change: change.to_owned(),
            digest: "0123456789ab".to_owned(),
            ..PolicyView::default()
        };
        let wide = PolicyView {
            standing: Some("ba9876543210".to_owned()),
            standing_beyond: vec!["`kv/data/*`: read".to_owned()],
            ..object("runner-b", "updated")
        };
        let view = PoliciesView {
            written: false,
            objects: vec![object("service-dispatcher", "unchanged"), wide],
            strays: vec!["runner-old".to_owned()],
        };
        insta::assert_snapshot!(policies(&view, Look::PLAIN), @r"
        KIND    NAME                CHANGE     DIGEST
        policy  service-dispatcher  unchanged  0123456789ab
        policy  runner-b            updated    0123456789ab  was ba9876543210

        What stands on the server asks for more than what ships
          runner-b: `kv/data/*`: read

        Named like a secret's policy, and of no secret that is known here
          runner-old
        1 to write: `dispatch policies apply`
        ");
    }
}
