//! Checks files as they lie beside each other, before anybody files them: each by its own rules, and an action also against
//! what its formula declares. Pure: `dispatch check` reads the files, from a folder or from a commit.
//!
//! What depends on the config or on a commit (allowlists, tiers, approvals) is admission's; `dispatch explain` shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::de::DeTable;

use super::diagnostic::{Diagnostic, Diagnostics, Findings, Place};
use super::entry::{self, Entry};
use super::reason::Reason;
use super::source::Source;
use super::{Action, AgentFormula, FormulaFiles, FormulaKind, FormulaMeta, Policy, document, parse_action};
use crate::support::ids::FormulaName;
use crate::support::text::{closest, quoted};

/// A file: its mode as git has it, and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// `0o100644`; `0o120000` is a symbolic link.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Review {
    /// How many files were looked at.
    pub files: u64,
    /// The files with something wrong.
    pub wrong: Vec<Diagnostics>,
    /// What could not be checked, a sentence each.
    pub notes: Vec<String>,
}

/// What a file is, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What<'p> {
    /// Below a folder `actions`: that folder, and the path inside it.
    Action { folder: &'p str, inner: &'p str },
    /// `policy.toml` in a folder `vault`.
    Policy,
    /// `<name>.meta.toml` in a folder `formulas`.
    Meta,
    /// `<name>.toml` in a folder `formulas`.
    Prompt,
    /// `<name>.sh` in a folder `formulas`.
    Script,
    /// None of these.
    Other,
}

/// Whether a file at `path` is one that is checked when it is found in a folder.
pub fn belongs(path: &str) -> bool {
    match what(path) {
        What::Action { inner, .. } => entry::classify(inner, 0o100_644) != Entry::Ignored,
        What::Policy | What::Meta | What::Prompt | What::Script => true,
        What::Other => false,
    }
}

/// The folder of formulas beside an action; `None` where `path` is no action's.
pub fn formulas_beside(path: &str) -> Option<String> {
    let What::Action { folder, .. } = what(path) else { return None };
    let above = folder.strip_suffix("actions")?.trim_end_matches('/');
    let root = above.strip_suffix("vault").unwrap_or(above).trim_end_matches('/');
    match (root, above.starts_with('/')) {
        ("", false) => Some("formulas".to_owned()),
        (root, _) => Some(format!("{root}/formulas")),
    }
}

fn what(path: &str) -> What<'_> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let formula = || match name.rsplit_once('.') {
        Some((stem, "toml")) if stem.strip_suffix(".meta").is_some() => What::Meta,
        Some((_, "toml")) => What::Prompt,
        Some((_, "sh")) => What::Script,
        _ => What::Other,
    };
    match folder.rsplit('/').next().unwrap_or_default() {
        "formulas" => formula(),
        "vault" if name == "policy.toml" => What::Policy,
        _ => below_actions(path).unwrap_or(What::Other),
    }
}

fn below_actions(path: &str) -> Option<What<'_>> {
    let starts = path.starts_with("actions/").then_some("actions".len());
    let end = starts.or_else(|| path.find("/actions/").map(|at| at + "/actions".len()))?;
    let (folder, inner) = path.split_at_checked(end)?;
    Some(What::Action { folder, inner: inner.get(1..)? })
}

/// Checks those of `files` that are `wanted`; the others are only looked up. A file that was named, and whose place says nothing,
/// is taken for an action.
pub fn review(files: &BTreeMap<String, File>, wanted: &BTreeSet<String>) -> Review {
    let mut review = Review::default();
    for (path, file) in files.iter().filter(|(path, _)| wanted.contains(*path)) {
        review.files += 1;
        if let Err(wrong) = check(path, file, files, &mut review.notes) {
            review.wrong.push(wrong);
        }
    }
    review
}

fn check(path: &str, file: &File, files: &BTreeMap<String, File>, notes: &mut Vec<String>) -> Result<(), Diagnostics> {
    match what(path) {
        What::Policy => Policy::parse(path, &file.bytes).map(drop),
        What::Meta => named(path, ".meta.toml").and_then(|()| FormulaMeta::parse(path, &file.bytes).map(drop)),
        What::Prompt => named(path, ".toml").and_then(|()| AgentFormula::parse(path, &file.bytes).map(drop)),
        What::Script => named(path, ".sh"),
        What::Action { inner, .. } => check_action(path, inner, file, files, notes),
        What::Other => check_action(path, path.rsplit('/').next().unwrap_or(path), file, files, notes),
    }
}

/// A reason's words as a message: without capital and full stop.
fn sentence(reason: Reason) -> String {
    let words = reason.words().trim_end_matches('.');
    let mut rest = words.chars();
    rest.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(rest).collect()
}

/// Refuses a formula under a name that no action could ask for.
fn named(path: &str, ending: &str) -> Result<(), Diagnostics> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.strip_suffix(ending).unwrap_or(name);
    match stem.parse::<FormulaName>() {
        Ok(_) => Ok(()),
        Err(error) => Err(of_file(path, Reason::InvalidValue, error.to_string(), Some("rename the file"))),
    }
}

fn of_file(path: &str, reason: Reason, message: String, help: Option<&str>) -> Diagnostics {
    let help = help.map(str::to_owned);
    let finding = Diagnostic { reason, message, help, place: Place::File, text: String::new() };
    Diagnostics::of_one(Source::new(path, String::new()), finding)
}

fn check_action(
    path: &str,
    inner: &str,
    file: &File,
    files: &BTreeMap<String, File>,
    notes: &mut Vec<String>,
) -> Result<(), Diagnostics> {
    let stem = match entry::classify(inner, file.mode) {
        Entry::Ignored => return Ok(()),
        Entry::Refused { reason, .. } => return Err(of_file(path, reason, sentence(reason), None)),
        Entry::Action { stem } => stem,
    };
    let action = parse_action(&stem, path, &file.bytes)?;
    let Some(beside) = formulas_beside(path).map(|folder| Beside { folder, files }) else { return Ok(()) };
    document::read(path, &file.bytes, |findings, table| {
        if let Err(note) = (Fit { action: &action, findings, table }).against(&beside) {
            notes.push(format!("{path}: {note}"));
        }
        Some(())
    })
}

/// The formulas beside an action.
struct Beside<'f> {
    folder: String,
    files: &'f BTreeMap<String, File>,
}

impl Beside<'_> {
    fn choose(&self, name: &FormulaName) -> Option<FormulaFiles> {
        FormulaFiles::choose(name, |file| self.files.contains_key(&format!("{}/{file}", self.folder)))
    }

    /// The names of the scripts.
    fn names(&self) -> Vec<&str> {
        let inside = |path: &'_ str| path.strip_prefix(&self.folder).is_some_and(|rest| rest.starts_with('/'));
        let name = |path: &'_ str| path.rsplit('/').next().unwrap_or_default().len();
        let scripts = self.files.keys().filter(|path| inside(path));
        scripts.filter_map(|path| path.get(path.len() - name(path)..)?.strip_suffix(".sh")).collect()
    }

    /// The formula's metadata; one that does not parse is reported where it stands.
    fn meta(&self, files: &FormulaFiles) -> Option<FormulaMeta> {
        let path = format!("{}/{}", self.folder, files.meta.as_ref()?);
        FormulaMeta::parse(&path, &self.files.get(&path)?.bytes).ok()
    }
}

/// An action that parses, against its formula.
struct Fit<'a, 'd> {
    action: &'a Action,
    findings: &'a mut Findings,
    table: &'a DeTable<'d>,
}

impl Fit<'_, '_> {
    /// The error is what could not be checked.
    fn against(mut self, beside: &Beside<'_>) -> Result<(), String> {
        let formula = &self.action.formula;
        let Some(files) = beside.choose(formula) else {
            let Some(near) = closest(formula.as_str(), beside.names()) else {
                return Err(format!("the formula `{formula}` is not in {}, so it was not checked", beside.folder));
            };
            let words = format!("there is no formula {} in {}", quoted(formula.as_str()), beside.folder);
            self.add("formula", Reason::FormulaNotFound, words, Some(format!("did you mean `{near}`?")));
            return Ok(());
        };
        if files.kind == FormulaKind::Agent {
            self.add("formula", Reason::FormulaUnsupported, sentence(Reason::FormulaUnsupported), None);
        }
        if let Some(meta) = beside.meta(&files) {
            self.limits(&meta);
        }
        Ok(())
    }

    fn limits(&mut self, meta: &FormulaMeta) {
        for (reason, words) in meta.resolve_params(&self.action.params).err().unwrap_or_default() {
            self.add("params", reason, words, None);
        }
        self.beyond("secrets", Reason::SecretBeyondFormula, &self.action.secrets, meta.secrets.as_ref());
        self.beyond("mounts", Reason::MountBeyondFormula, &self.action.mounts, meta.mounts.as_ref());
        if let (Some(named), Some(most)) = (&self.action.backend, &meta.backends)
            && !most.contains(named)
        {
            let words = format!("the formula may not run on {}", quoted(named));
            self.add("backend", Reason::BackendNotAllowed, words, None);
        }
    }

    fn beyond<T: Ord + ToString>(
        &mut self,
        field: &str,
        reason: Reason,
        asked: &BTreeSet<T>,
        most: Option<&BTreeSet<T>>,
    ) {
        let Some(most) = most else { return };
        for one in asked.difference(most) {
            let words = format!("the formula may not ask for {}", quoted(&one.to_string()));
            self.add(field, reason, words, None);
        }
    }

    /// A finding at the value of `field`, or about the file where it has none.
    fn add(&mut self, field: &str, reason: Reason, message: String, help: Option<String>) {
        let span: Option<Range<usize>> = self.table.get(field).map(toml::Spanned::span);
        self.findings.add(reason, span.map_or(Place::File, Place::Span), message, help);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> BTreeMap<String, File> {
        let file = |text: &str| File { mode: 0o100_644, bytes: text.as_bytes().to_vec() };
        all.iter().map(|(path, text)| ((*path).to_owned(), file(text))).collect()
    }

    fn reasons(all: &[(&str, &str)]) -> Vec<Reason> {
        let files = files(all);
        let wanted = files.keys().cloned().collect();
        let wrong = review(&files, &wanted).wrong;
        wrong.iter().flat_map(|wrong| wrong.iter().map(|finding| finding.reason).collect::<Vec<_>>()).collect()
    }

    const ACTION: &str = "id = \"a\"\nformula = \"deploy\"\ncontext = \"x\"\nsecrets = [\"TOKEN\"]\n";

    #[test]
    fn an_action_is_checked_against_the_formula_beside_it() {
        let with = |meta| {
            reasons(&[
                ("vault/actions/a.toml", ACTION),
                ("formulas/deploy.sh", ""),
                ("formulas/deploy.meta.toml", meta),
            ])
        };
        assert_eq!(with("secrets = [\"TOKEN\"]\n"), []);
        assert_eq!(with("secrets = []\n"), [Reason::SecretBeyondFormula]);
        assert_eq!(with("[params.tag]\nrequired = true\n"), [Reason::ParamMissing]);
    }

    #[test]
    fn a_misspelt_formula_is_a_mistake_and_one_from_elsewhere_a_note() {
        assert_eq!(reasons(&[("vault/actions/a.toml", ACTION), ("formulas/deploi.sh", "")]), [Reason::FormulaNotFound]);
        let elsewhere = files(&[("vault/actions/a.toml", ACTION), ("formulas/release.sh", "")]);
        let review = review(&elsewhere, &elsewhere.keys().cloned().collect());
        assert_eq!((review.wrong.len(), review.notes.len()), (0, 1));
    }

    #[test]
    fn links_and_deeper_entries_are_refused_and_results_are_passed_over() {
        assert_eq!(reasons(&[("vault/actions/2026/a.toml", ACTION)]), [Reason::NestedEntry]);
        assert_eq!(reasons(&[("vault/actions/a.result.json", "{")]), []);
        let link = BTreeMap::from([("vault/actions/a.toml".to_owned(), File { mode: 0o120_000, bytes: Vec::new() })]);
        let wrong = review(&link, &link.keys().cloned().collect()).wrong;
        assert_eq!(wrong[0].first().reason, Reason::NotAPlainFile);
    }

    #[test]
    fn only_what_is_wanted_is_checked() {
        let all = files(&[("vault/actions/a.toml", ACTION), ("formulas/x.meta.toml", "wrong = 1\n")]);
        let review = review(&all, &BTreeSet::from(["vault/actions/a.toml".to_owned()]));
        assert_eq!((review.files, review.wrong.len()), (1, 0));
    }

    #[test]
    fn the_folder_of_formulas_is_found_from_any_root() {
        for (path, folder) in [
            ("vault/actions/a.toml", "formulas"),
            ("ops/vault/actions/a.toml", "ops/formulas"),
            ("/srv/ops/vault/actions/a.toml", "/srv/ops/formulas"),
            ("/vault/actions/a.toml", "/formulas"),
            ("actions/a.toml", "formulas"),
        ] {
            assert_eq!(formulas_beside(path).as_deref(), Some(folder), "{path}");
        }
    }
}
