//! The agent formula: `<name>.toml`, a prompt in steps for an agent CLI. It belongs to other tools too: what is not known
//! here is allowed and kept.

use serde::Serialize;
use toml::Spanned;
use toml::de::DeValue;

use super::diagnostic::{Diagnostics, Findings};
use super::document;
use super::fields::{Fields, Lines};
use super::formula::{self, FormulaMeta};
use super::params::Unknown;
use super::request::MAX_WORD;
use crate::support::text::quoted;

/// The most bytes of an agent formula: prompts are longer than requests.
pub const MAX_BYTES: usize = 256 * 1024;
/// The fields that an agent formula has beside those of the metadata.
pub const FIELDS: [&str; 7] = ["name", "description", "version", "model", "tools", "context", "steps"];

/// A parsed agent formula.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentFormula {
    /// Its name, for people; which formula it is says its file's name.
    pub name: Option<String>,
    /// What it does.
    pub description: Option<String>,
    /// Its version, as written.
    pub version: Option<String>,
    /// The model, where the action names none.
    pub model: Option<String>,
    /// The tools, where the action names none.
    pub tools: Vec<String>,
    /// Files of the ops repo that are handed to the agent, by their path from its root.
    pub context_files: Vec<String>,
    /// What is to be done.
    pub steps: Vec<Step>,
    /// Limits and defaults.
    pub meta: FormulaMeta,
    /// Everything else in the file.
    pub other: toml::Table,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name for `needs`.
    pub id: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// What to do.
    pub description: Option<String>,
    /// The steps before it.
    pub needs: Vec<String>,
}

impl AgentFormula {
    /// Reads `<name>.toml`. `path` is what the diagnostics call the file.
    pub fn parse(path: &str, bytes: &[u8]) -> Result<Self, Diagnostics> {
        document::read_up_to(MAX_BYTES, path, bytes, |findings, table| {
            let other = other_tables(findings.source().text());
            let mut fields = Fields::top(findings, table, "an agent formula");
            Some(Self {
                name: read_prose(&mut fields, "name"),
                description: read_prose(&mut fields, "description"),
                version: read_version(&mut fields),
                model: read_prose(&mut fields, "model"),
                tools: read_words(&mut fields, "tools"),
                context_files: read_context(&mut fields),
                steps: read_steps(&mut fields),
                meta: FormulaMeta::read(&mut fields, Unknown::Kept),
                other,
            })
        })
    }
}

/// The tables that are not known here. A file that is no TOML is refused for that before this is looked at.
fn other_tables(text: &str) -> toml::Table {
    let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
    table.retain(|key, _| !FIELDS.contains(&key) && !formula::FIELDS.contains(&key));
    table
}

/// A text that may be empty, or as long as the file.
fn read_prose(fields: &mut Fields<'_, '_>, name: &str) -> Option<String> {
    let text = fields.text(name)?;
    fields.bounded(&text, name, Lines::Many, MAX_BYTES);
    Some((*text.get_ref()).to_owned())
}

fn read_words(fields: &mut Fields<'_, '_>, name: &str) -> Vec<String> {
    fields.word_list(name, MAX_WORD).unwrap_or_default()
}

/// A version may be written as a text or, by habit, as a number.
fn read_version(fields: &mut Fields<'_, '_>) -> Option<String> {
    match fields.value("version")?.get_ref() {
        DeValue::Integer(number) => Some(number.to_string()),
        DeValue::Float(number) => Some(number.to_string()),
        _ => read_prose(fields, "version"),
    }
}

fn read_context(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let Some((table, span)) = fields.table("context", "a table with `files`") else { return Vec::new() };
    let mut inner = Fields::inner(&mut *fields.findings, table, span, "the table `context`");
    let files = inner.texts("files").unwrap_or_default();
    for file in &files {
        refuse_path_outside(&mut inner, file);
    }
    files.into_iter().map(|file| (*file.get_ref()).to_owned()).collect()
}

fn refuse_path_outside(fields: &mut Fields<'_, '_>, file: &Spanned<&str>) {
    let path = *file.get_ref();
    let inside = !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if !inside || path.chars().any(crate::support::text::steers) {
        let help = "write the path from the root of the ops repo, such as `docs/style.md`".to_owned();
        fields.refuse(file.span(), format!("{} is not a path inside the ops repo", quoted(path)), help);
    }
}

fn read_steps(fields: &mut Fields<'_, '_>) -> Vec<Step> {
    let Some(value) = fields.value("steps") else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        fields.refuse_type("steps", "a list of tables: `[[steps]]`", value, None);
        return Vec::new();
    };
    items.iter().map(|item| read_step(fields, item)).collect()
}

fn read_step(fields: &mut Fields<'_, '_>, item: &Spanned<DeValue<'_>>) -> Step {
    let Some(table) = item.get_ref().as_table() else {
        fields.refuse_type("steps[]", "a table", item, None);
        return Step::default();
    };
    let findings: &mut Findings = &mut *fields.findings;
    let mut inner = Fields::inner(findings, table, item.span(), "a step");
    Step {
        id: read_prose(&mut inner, "id"),
        title: read_prose(&mut inner, "title"),
        description: read_prose(&mut inner, "description"),
        needs: read_words(&mut inner, "needs"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reason::Reason;
    use super::*;

    fn parse(text: &str) -> Result<AgentFormula, Diagnostics> {
        AgentFormula::parse("formulas/triage.toml", text.as_bytes())
    }

    #[test]
    fn an_agent_formula_of_other_tools_is_read_and_its_own_tables_are_kept() {
        let formula = parse(
            r#"
            name = "triage"
            description = "Reads an issue and says what it is."
            version = 2
            model = "sonnet"
            tools = ["playwright"]
            timeout_minutes = 45
            [context]
            files = ["docs/style.md"]
            max_tokens = 5
            [[steps]]
            id = "read"
            title = "Read"
            description = """
            Read the issue.
            """
            needs = []
            colour = "red"
            [[steps]]
            id = "say"
            needs = ["read"]
            [project]
            repo = "https://example.com/x.git"
            "#,
        )
        .unwrap();
        assert_eq!((formula.version.as_deref(), formula.meta.timeout_minutes), (Some("2"), Some(45)));
        assert_eq!(formula.steps.iter().map(|step| step.needs.len()).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(formula.context_files, ["docs/style.md"]);
        assert_eq!(formula.other.keys().collect::<Vec<_>>(), ["project"]);
    }

    #[test]
    fn a_prompt_may_be_longer_than_a_request_and_not_endless() {
        let prompt = |bytes: usize| format!("description = \"{}\"\n", "x".repeat(bytes));
        assert!(parse(&prompt(200 * 1024)).is_ok());
        assert_eq!(parse(&prompt(MAX_BYTES)).unwrap_err().first().reason, Reason::FileTooLarge);
    }

    #[test]
    fn known_fields_must_have_their_type() {
        for (text, reason) in [
            ("steps = 1\n", Reason::WrongType),
            ("steps = [1]\n", Reason::WrongType),
            ("version = []\n", Reason::WrongType),
            ("context = \"docs\"\n", Reason::WrongType),
            ("timeout_minutes = 0\n", Reason::InvalidValue),
            ("[context]\nfiles = [\"../vault/allowed_signers\"]\n", Reason::InvalidValue),
            ("[context]\nfiles = [\"/etc/passwd\"]\n", Reason::InvalidValue),
        ] {
            assert_eq!(parse(text).unwrap_err().first().reason, reason, "{text}");
        }
    }
}
