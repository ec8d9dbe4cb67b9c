//! The file of a new action, and its id where nobody gave one. Pure.

use jiff::Timestamp;
use toml::{Table, Value};

use crate::cli::args::RequestArgs;
use crate::support::ids::{ActionId, InvalidId};

/// Characters of an id that a formula's name may take: the rest is the day and the mark.
const STEM: usize = 100;

/// The id of a request for `formula` made `at`; `mark` keeps two of one day apart.
pub(super) fn id(formula: &str, at: Timestamp, mark: [u8; 3]) -> Result<ActionId, InvalidId> {
    let stem: String = formula.chars().take(STEM).collect();
    let mark = u32::from_be_bytes([0, mark[0], mark[1], mark[2]]);
    format!("{}-{}-{mark:06x}", stem.trim_end_matches('.'), at.strftime("%Y%m%d")).parse()
}

/// The text of the action's file.
pub(super) fn file(id: &ActionId, args: &RequestArgs) -> String {
    let text = |text: &str| Value::String(text.to_owned());
    let list = |names: Vec<String>| Value::Array(names.into_iter().map(Value::String).collect());
    let mut table = Table::new();
    table.insert("id".to_owned(), text(id.as_str()));
    table.insert("formula".to_owned(), text(args.formula.as_str()));
    table.insert("context".to_owned(), text(&args.context));
    table.insert("secrets".to_owned(), list(args.secrets.iter().map(ToString::to_string).collect()));
    if !args.mounts.is_empty() {
        table.insert("mounts".to_owned(), list(args.mounts.iter().map(ToString::to_string).collect()));
    }
    if !args.params.is_empty() {
        let params = args.params.iter().map(|param| (param.name.clone(), Value::String(param.value.clone())));
        table.insert("params".to_owned(), Value::Table(params.collect()));
    }
    table.to_string()
}

/// The title of the pull request.
pub(super) fn title(args: &RequestArgs) -> String {
    let why = args.context.lines().next().unwrap_or_default();
    args.title.clone().unwrap_or_else(|| crate::support::text::clipped(&format!("{}: {why}", args.formula), 100))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::action::parse_action;
    use crate::cli::args::{Cli, Verb};

    fn args(more: &[&str]) -> RequestArgs {
        let line = [&["dispatch", "request", "release", "--context", "ship \"it\"\nnow"], more].concat();
        match Cli::try_parse_from(line).unwrap().verb {
            Verb::Request(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_asked_for_reads_back_as_an_action_that_says_the_same() {
        let args = args(&["--secret", "NPM_TOKEN", "--secret", "GH", "--mount", "ssh", "--param", "tag=v1=x \\ 'y'"]);
        let id: ActionId = "r-1".parse().unwrap();
        let action = parse_action("r-1", "vault/actions/r-1.toml", file(&id, &args).as_bytes()).unwrap();
        assert_eq!(action.context, "ship \"it\"\nnow");
        assert_eq!(action.secrets.iter().map(ToString::to_string).collect::<Vec<_>>(), ["GH", "NPM_TOKEN"]);
        assert_eq!((action.params["tag"].as_str(), action.mounts.len()), ("v1=x \\ 'y'", 1));
        assert_eq!(title(&args), "release: ship \"it\"");
    }

    #[test]
    fn an_id_of_our_making_is_one_whatever_the_formula_is_called() {
        let at = "2026-12-24T18:00:00Z".parse().unwrap();
        assert_eq!(id("release", at, [1, 2, 255]).unwrap().as_str(), "release-20261224-0102ff");
        for formula in ["a".repeat(128), format!("{}.b", "a".repeat(99))] {
            assert!(id(&formula, at, [0; 3]).is_ok(), "{formula}");
        }
    }
}
