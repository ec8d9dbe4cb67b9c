//! What does not fit together with `[lease]`.

use crate::config::draft::Draft;
use crate::config::leaf::Wrong;
use crate::config::types::Config;
use crate::support::diagnostic::Severity::Error;

/// The backend whose runs only its own machine knows of.
const LOCAL: &str = "local";

/// The longest path of a variable that Nomad takes.
const LONGEST: usize = 128;

pub(super) fn check(config: &Config, draft: &mut Draft) {
    let Some(lease) = &config.lease else { return };
    if config.backends.nomad.is_none() {
        let wrong = Wrong::new("the lease is kept in Nomad, and where that is is not configured");
        draft.complain("lease", Error, wrong.help("add [backends.nomad] with `address`, or set NOMAD_ADDR"));
    }
    let path = lease.path.as_str();
    let fits = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_~/".contains(&byte));
    if !fits || path.is_empty() || path.len() > LONGEST || path == "nomad" || path.starts_with("nomad/") {
        let wrong = Wrong::new(format!("`{path}` is no path of a variable that is free for use"));
        let help = "letters, digits, `-`, `_`, `~` and `/`, at most 128 of them, and not below `nomad/`";
        draft.complain("lease.path", Error, wrong.help(help));
    }
    let formulas = config.backends.formula.iter().map(|(formula, name)| (format!("backends.formula.{formula}"), name));
    let allowed = config.backends.allow.iter().map(|name| ("backends.allow".to_owned(), name));
    let all = std::iter::once(("backends.default".to_owned(), &config.backends.default)).chain(allowed).chain(formulas);
    for (key, _) in all.filter(|(_, name)| name.as_str() == LOCAL) {
        let wrong = Wrong::new("another dispatcher does not see what runs on this machine, and would run it again");
        draft.complain(
            &key,
            Error,
            wrong.help(format!("with [lease], let everything run in Nomad: name `nomad` in `{key}`")),
        );
    }
}
