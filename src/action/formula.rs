//! Formulas: which file of a name counts, and what its metadata allows. Finding the files is the affair of `ops` and of the
//! directory sources; here are the rules alone.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::diagnostic::Diagnostics;
use super::fields::Fields;
use super::params::{self, ParamSpec, Unknown};
use super::reason::Reason;
use super::request::{MAX_TIMEOUT_MINUTES, MAX_WORD};
use super::{Tier, document};
use crate::support::ids::{FormulaName, MountName, SecretName};

/// The fields of a formula's metadata, in the order of the documentation.
pub const FIELDS: [&str; 8] =
    ["idempotent", "max_concurrent", "mounts", "secrets", "backends", "params", "timeout_minutes", "blast_radius"];
/// The most runs of one formula at a time that its metadata can name.
pub const MAX_CONCURRENT: u32 = 1000;

/// What a formula is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormulaKind {
    /// `<name>.sh`, run by bash.
    Mechanical,
    /// `<name>.toml`, a prompt for an agent CLI.
    Agent,
}

/// The files of a formula inside one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormulaFiles {
    /// What it is.
    pub kind: FormulaKind,
    /// The file name of what is run.
    pub script: String,
    /// The file name of its metadata beside it.
    pub meta: Option<String>,
}

impl FormulaFiles {
    /// The file names to look for in a source: the script, the agent formula, the metadata.
    ///
    /// `x.meta.toml` is the metadata of `x` and never the agent formula `x.meta`, which can therefore only be a script.
    pub fn names(formula: &FormulaName) -> [Option<String>; 3] {
        let agent = formula.as_str().strip_suffix(".meta").is_none().then(|| format!("{formula}.toml"));
        [Some(format!("{formula}.sh")), agent, Some(format!("{formula}.meta.toml"))]
    }

    /// Chooses in a source of which `has` tells whether it holds a file of a name; `.sh` wins over `.toml`. A `.toml` beside
    /// a `.sh` says nothing about the script.
    pub fn choose(formula: &FormulaName, has: impl Fn(&str) -> bool) -> Option<Self> {
        let [script, agent, meta] = Self::names(formula).map(|name| name.filter(|name| has(name)));
        let (kind, script) = match (script, agent) {
            (Some(script), _) => (FormulaKind::Mechanical, script),
            (None, Some(agent)) => (FormulaKind::Agent, agent),
            (None, None) => return None,
        };
        Some(Self { kind, script, meta })
    }
}

/// What a formula allows and needs. `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FormulaMeta {
    /// Whether a second run of the same action does no harm; shown to the person who decides on a retry.
    pub idempotent: bool,
    /// How many of its runs may be under way at once.
    pub max_concurrent: Option<u32>,
    /// The most mounts that an action may ask for.
    pub mounts: Option<BTreeSet<MountName>>,
    /// The most secrets that an action may ask for.
    pub secrets: Option<BTreeSet<SecretName>>,
    /// The backends on which it may run.
    pub backends: Option<BTreeSet<String>>,
    /// Its parameters by name; `None`: any are taken, unchecked.
    pub params: Option<BTreeMap<String, ParamSpec>>,
    /// The time limit of an action that names none.
    pub timeout_minutes: Option<u32>,
    /// May only raise the tier.
    pub blast_radius: Option<Tier>,
}

impl FormulaMeta {
    /// Reads `<name>.meta.toml`. `path` is what the diagnostics call the file.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        document::read(path, bytes, |findings, table| {
            let mut fields = Fields::top(findings, table, "a formula's metadata");
            fields.only(&FIELDS);
            Some(Self::read(&mut fields, Unknown::Refused))
        })
    }

    /// Reads the metadata out of a table that may hold other fields too.
    pub(super) fn read(fields: &mut Fields<'_, '_>, unknown: Unknown) -> Self {
        Self {
            idempotent: fields.flag("idempotent").unwrap_or(false),
            max_concurrent: fields.integer("max_concurrent", 1..=MAX_CONCURRENT),
            mounts: fields.id_set("mounts"),
            secrets: fields.id_set("secrets"),
            backends: fields.word_list("backends", MAX_WORD).map(BTreeSet::from_iter),
            params: params::read_declared(fields, unknown),
            timeout_minutes: fields.integer("timeout_minutes", 1..=MAX_TIMEOUT_MINUTES),
            blast_radius: fields.choice("blast_radius", &Tier::WORDS),
        }
    }

    /// The metadata of an agent formula that has some in its `.toml` and in a `.meta.toml` beside it: both hold, so that
    /// neither file can widen what the other allows. Where both declare parameters, `other`'s are taken.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            idempotent: self.idempotent || other.idempotent,
            max_concurrent: both(self.max_concurrent, other.max_concurrent, Ord::min),
            mounts: both(self.mounts, other.mounts, |a, b| &a & &b),
            secrets: both(self.secrets, other.secrets, |a, b| &a & &b),
            backends: both(self.backends, other.backends, |a, b| &a & &b),
            params: other.params.or(self.params),
            timeout_minutes: both(self.timeout_minutes, other.timeout_minutes, Ord::min),
            blast_radius: self.blast_radius.max(other.blast_radius),
        }
    }

    /// Checks an action's parameters and fills in the defaults; otherwise all that does not fit, each with a sentence.
    pub fn resolve_params(
        &self,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Vec<(Reason, String)>> {
        params::resolve(self.params.as_ref(), given)
    }
}

fn both<T>(a: Option<T>, b: Option<T>, join: impl FnOnce(T, T) -> T) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(join(a, b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FormulaMeta, Diagnostics> {
        FormulaMeta::parse("formulas/f.meta.toml", text.as_bytes())
    }

    fn choose(name: &str, files: &[&str]) -> Option<(FormulaKind, String, bool)> {
        let files = FormulaFiles::choose(&name.parse().unwrap(), |file| files.contains(&file))?;
        Some((files.kind, files.script, files.meta.is_some()))
    }

    #[test]
    fn a_script_wins_over_an_agent_formula_of_the_same_name() {
        let script = |meta| Some((FormulaKind::Mechanical, "f.sh".to_owned(), meta));
        assert_eq!(choose("f", &["f.toml", "f.sh"]), script(false));
        assert_eq!(choose("f", &["f.sh", "f.meta.toml"]), script(true));
        assert_eq!(choose("f", &["f.toml"]), Some((FormulaKind::Agent, "f.toml".to_owned(), false)));
        assert_eq!(choose("f", &["f.meta.toml", "g.sh"]), None);
    }

    #[test]
    fn metadata_is_never_taken_for_an_agent_formula() {
        assert_eq!(choose("f.meta", &["f.sh", "f.meta.toml"]), None);
    }

    #[test]
    fn parameters_are_declared_as_a_list_or_as_a_table() {
        let list = parse("[[params]]\nname = \"tag\"\nrequired = true\npattern = \"v.*\"\n").unwrap();
        let table = parse("[params.tag]\nrequired = true\npattern = \"v.*\"\n").unwrap();
        assert_eq!(list, table);
        assert!(list.params.is_some_and(|params| params.get("tag").is_some_and(|tag| tag.required)));
    }

    #[test]
    fn no_params_field_takes_any_and_an_empty_one_takes_none() {
        assert_eq!(parse("").unwrap().params, None);
        assert_eq!(parse("params = []\n").unwrap().params, Some(BTreeMap::new()));
    }

    #[test]
    fn metadata_that_breaks_a_rule_is_refused() {
        for (text, reason) in [
            ("idempotant = true\n", Reason::UnknownField),
            ("idempotent = \"yes\"\n", Reason::WrongType),
            ("max_concurrent = 0\n", Reason::InvalidValue),
            ("[[params]]\nrequired = true\n", Reason::MissingField),
            ("[[params]]\nname = \"Tag\"\n", Reason::InvalidValue),
            ("[[params]]\nname = \"a\"\n[[params]]\nname = \"a\"\n", Reason::InvalidValue),
            ("[params.a]\nname = \"b\"\n", Reason::UnknownField),
            ("[params.a]\npattern = \"(\"\n", Reason::InvalidValue),
            ("[params.a]\npattern = \"a+\"\ndefault = \"b\"\n", Reason::InvalidValue),
            ("[params.a]\nrequired = true\ndefault = \"b\"\n", Reason::InvalidValue),
            ("params = [1]\n", Reason::WrongType),
            ("params = 1\n", Reason::WrongType),
            ("params = { a = 1 }\n", Reason::WrongType),
            ("secrets = [\"lower\"]\n", Reason::InvalidValue),
        ] {
            assert_eq!(parse(text).unwrap_err().first().reason, reason, "{text}");
        }
    }

    #[test]
    fn of_two_files_of_metadata_neither_widens_the_other() {
        let own = parse("secrets = [\"A\", \"B\"]\nmax_concurrent = 1\nblast_radius = \"high\"\n").unwrap();
        let beside =
            parse("secrets = [\"B\", \"C\"]\nmax_concurrent = 5\nblast_radius = \"low\"\ntimeout_minutes = 5\n")
                .unwrap();
        let both = own.and(beside);
        assert_eq!(both.secrets.unwrap().iter().map(SecretName::as_str).collect::<Vec<_>>(), ["B"]);
        assert_eq!(
            (both.max_concurrent, both.blast_radius, both.timeout_minutes),
            (Some(1), Some(Tier::High), Some(5))
        );
    }
}
