//! The action: one request, `vault/actions/<id>.toml`. Its type and its reader.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::diagnostic::{Diagnostics, Place};
use super::fields::{Fields, Lines};
use super::reason::Reason;
use super::{Tier, document, params};
use crate::support::ids::{ActionId, FormulaName, MountName, SecretName};
use crate::support::text::quoted;

/// How the requester says that the action came; a claim, checked against the tier, never believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DispatchMode {
    /// By pull request.
    Pr,
    /// By a direct commit.
    Direct,
}

/// A parsed action; each field is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Equals the file's stem.
    pub id: ActionId,
    /// What to run.
    pub formula: FormulaName,
    /// Why, for people; 1 to 4,096 bytes without control or bidi characters.
    pub context: String,
    /// The secrets asked for.
    pub secrets: BTreeSet<SecretName>,
    /// The mounts asked for.
    pub mounts: BTreeSet<MountName>,
    /// For agent formulas.
    pub model: Option<String>,
    /// For agent formulas.
    pub tools: Vec<String>,
    /// 1 to 1,440; `None`: the formula's default, or 60.
    pub timeout_minutes: Option<u32>,
    /// The requester's claim.
    pub dispatch_mode: Option<DispatchMode>,
    /// May only raise the tier.
    pub blast_radius: Option<Tier>,
    /// Handed to the formula as `DISPATCH_PARAM_<NAME>`.
    pub params: BTreeMap<String, String>,
    /// Actions that must have succeeded first.
    pub depends_on: BTreeSet<ActionId>,
    /// Not earlier than this.
    pub not_before: Option<Timestamp>,
    /// Not later than this.
    pub not_after: Option<Timestamp>,
    /// 1 to 100; higher goes first; default 50.
    pub priority: u8,
    /// At most one run with the same key at a time.
    pub concurrency_key: Option<String>,
    /// Must be allowed by the config.
    pub backend: Option<String>,
    /// A local directory; runs that name the same one take turns.
    pub working_directory: Option<String>,
}

/// The fields of an action, in the order of the documentation.
pub const FIELDS: [&str; 18] = [
    "id",
    "formula",
    "context",
    "secrets",
    "mounts",
    "model",
    "tools",
    "timeout_minutes",
    "dispatch_mode",
    "blast_radius",
    "params",
    "depends_on",
    "not_before",
    "not_after",
    "priority",
    "concurrency_key",
    "backend",
    "working_directory",
];

/// The most bytes of `context`.
pub const MAX_CONTEXT: usize = 4096;
/// The most bytes of `concurrency_key`, `model`, `backend` and one of `tools`.
pub const MAX_WORD: usize = 128;
/// The most minutes that a run may take: a day.
pub const MAX_TIMEOUT_MINUTES: u32 = 1440;
/// The priority of an action that names none.
pub const DEFAULT_PRIORITY: u8 = 50;

/// Reads `vault/actions/<stem>.toml`. `path` is what the diagnostics call the file.
pub fn parse_action(stem: &str, path: &str, bytes: &[u8]) -> Result<Action, Diagnostics> {
    document::read(path, bytes, |findings, table| {
        let mut fields = Fields::top(findings, table, "an action");
        fields.only(&FIELDS);
        read(&mut fields, stem)
    })
}

/// Each field is read before any is found missing, so that none of a file's errors hides another.
fn read(fields: &mut Fields<'_, '_>, stem: &str) -> Option<Action> {
    let id = read_id(fields, stem);
    let formula = fields.id("formula");
    let context = fields.prose("context", Lines::Many, MAX_CONTEXT);
    let secrets = fields.id_set("secrets");
    require(fields, stem);
    let (not_before, not_after) = read_window(fields);
    let action = Action {
        mounts: fields.id_set("mounts").unwrap_or_default(),
        model: fields.prose("model", Lines::One, MAX_WORD),
        tools: fields.word_list("tools", MAX_WORD).unwrap_or_default(),
        timeout_minutes: fields.integer("timeout_minutes", 1..=MAX_TIMEOUT_MINUTES),
        dispatch_mode: fields.choice("dispatch_mode", &[("pr", DispatchMode::Pr), ("direct", DispatchMode::Direct)]),
        blast_radius: fields.choice("blast_radius", &Tier::WORDS),
        params: params::read_given(fields),
        depends_on: read_depends_on(fields, stem),
        not_before,
        not_after,
        priority: fields.integer("priority", 1..=100).and_then(|n| u8::try_from(n).ok()).unwrap_or(DEFAULT_PRIORITY),
        concurrency_key: fields.prose("concurrency_key", Lines::One, MAX_WORD),
        backend: fields.prose("backend", Lines::One, MAX_WORD),
        working_directory: read_working_directory(fields),
        id: id?,
        formula: formula?.into_inner(),
        context: context?,
        secrets: secrets?,
    };
    Some(action)
}

fn require(fields: &mut Fields<'_, '_>, stem: &str) {
    fields.require("id", &format!("\"{stem}\""));
    fields.require("formula", "\"the-formula\"");
    fields.require("context", "\"why this should run\"");
    fields.require("secrets", "[]");
}

fn read_id(fields: &mut Fields<'_, '_>, stem: &str) -> Option<ActionId> {
    let id = fields.id::<ActionId>("id")?;
    if id.get_ref().as_str() != stem {
        let message =
            format!("the id `{}` differs from the file's name {}", id.get_ref(), quoted(&format!("{stem}.toml")));
        let rename = format!("rename the file to `{}.toml`", id.get_ref());
        let help = match stem.parse::<ActionId>() {
            Ok(stem) => format!("write `id = \"{stem}\"`, or {rename}"),
            Err(_) => rename,
        };
        fields.findings.add(Reason::IdMismatch, Place::Span(id.span()), message, Some(help));
    }
    Some(id.into_inner())
}

fn read_window(fields: &mut Fields<'_, '_>) -> (Option<Timestamp>, Option<Timestamp>) {
    let (from, to) = (fields.moment("not_before"), fields.moment("not_after"));
    if let (Some(from), Some(to)) = (&from, &to)
        && from.get_ref() > to.get_ref()
    {
        let message = "`not_after` is earlier than `not_before`, so that it could never run".to_owned();
        fields.refuse(to.span(), message, "exchange the two, or leave one out".to_owned());
    }
    (from.map(toml::Spanned::into_inner), to.map(toml::Spanned::into_inner))
}

fn read_depends_on(fields: &mut Fields<'_, '_>, stem: &str) -> BTreeSet<ActionId> {
    let ids = fields.id_set::<ActionId>("depends_on").unwrap_or_default();
    if ids.iter().any(|id| id.as_str() == stem)
        && let Some(value) = fields.value("depends_on")
    {
        let message = "the action depends on itself".to_owned();
        let help = Some("remove its own id from `depends_on`".to_owned());
        fields.findings.add(Reason::DependencyCycle, Place::Span(value.span()), message, help);
    }
    ids
}

fn read_working_directory(fields: &mut Fields<'_, '_>) -> Option<String> {
    let path = fields.prose("working_directory", Lines::One, MAX_CONTEXT)?;
    let span = fields.value("working_directory")?.span();
    if !path.starts_with('/') {
        let help = "write the whole path, from `/`".to_owned();
        fields.refuse(span.clone(), format!("`working_directory` is not absolute: {}", quoted(&path)), help);
    }
    if path.split('/').any(|part| part == "..") {
        let help = "write the path without `..`".to_owned();
        fields.refuse(span, format!("`working_directory` climbs upwards: {}", quoted(&path)), help);
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        id = "publish-skill-20260331"
        formula = "clawhub-publish"
        context = "SKILL.md bumped to 0.3.0 — and “translated”: 日本語"
        secrets = [
            "CLAWHUB_TOKEN", # for the upload
            "NPM_TOKEN",
        ]
        mounts = ["ssh"]
        model = "sonnet"
        tools = ["playwright"]
        timeout_minutes = 30
        dispatch_mode = "pr"
        blast_radius = "high"
        params = { version = "0.3.0" }
        depends_on = ["other-id"]
        not_before = 2026-12-01T03:00:00Z
        not_after = 2026-12-01T04:00:00+01:00
        priority = 90
        concurrency_key = "deploy-prod"
        backend = "local"
        working_directory = "/srv/site"
    "#;

    fn parse(stem: &str, text: &str) -> Result<Action, Diagnostics> {
        parse_action(stem, &format!("vault/actions/{stem}.toml"), text.as_bytes())
    }

    fn minimal(more: &str) -> Result<Action, Diagnostics> {
        parse("a", &format!("id = \"a\"\nformula = \"f\"\ncontext = \"c\"\nsecrets = []\n{more}"))
    }

    fn reason(more: &str) -> Reason {
        minimal(more).unwrap_err().first().reason
    }

    #[test]
    fn an_action_with_every_field_is_read() {
        // 04:00+01:00 is 03:00Z: the moments are compared, not the digits.
        let action = parse("publish-skill-20260331", WHOLE).unwrap();
        assert_eq!(action.secrets.iter().map(SecretName::as_str).collect::<Vec<_>>(), ["CLAWHUB_TOKEN", "NPM_TOKEN"]);
        assert_eq!((action.timeout_minutes, action.priority), (Some(30), 90));
        assert_eq!((action.dispatch_mode, action.blast_radius), (Some(DispatchMode::Pr), Some(Tier::High)));
        assert_eq!(action.not_before, action.not_after);
        assert_eq!(action.params.get("version").map(String::as_str), Some("0.3.0"));
        assert!(action.context.ends_with("日本語"));
    }

    #[test]
    fn an_action_of_today_needs_no_new_field() {
        let action = minimal("").unwrap();
        assert_eq!((action.priority, action.timeout_minutes, action.secrets.len()), (50, None, 0));
    }

    #[test]
    fn an_id_may_hold_dots() {
        let text = "id = \"release-v1.2.0\"\nformula = \"release\"\ncontext = \"go\"\nsecrets = []\n";
        assert_eq!(parse("release-v1.2.0", text).unwrap().id.as_str(), "release-v1.2.0");
    }

    #[test]
    fn a_context_may_have_several_lines_but_no_escape_sequences() {
        let text = |context: &str| format!("id = \"a\"\nformula = \"f\"\nsecrets = []\ncontext = {context}\n");
        assert!(parse("a", &text("\"\"\"one\n\ttwo\n\"\"\"")).is_ok());
        for bad in [
            "\"\"",
            "\" \\n \"",
            "\"a\\u001b[2J\"",
            "\"a\u{202e}b\"",
            "\"a\\rb\"",
            &format!("\"{}\"", "x".repeat(4097)),
        ] {
            assert_eq!(parse("a", &text(bad)).unwrap_err().first().reason, Reason::InvalidValue, "{bad:?}");
        }
    }

    #[test]
    fn bounds_hold_on_both_sides() {
        for good in [
            "timeout_minutes = 1",
            "timeout_minutes = 1440",
            "priority = 1",
            "priority = 100",
            "timeout_minutes = 0x1e",
        ] {
            assert!(minimal(good).is_ok(), "{good}");
        }
        for bad in [
            "timeout_minutes = 0",
            "timeout_minutes = 1441",
            "priority = 0",
            "priority = 101",
            "priority = -1",
            "timeout_minutes = 99999999999999999999",
            "concurrency_key = \"\"",
            "working_directory = \"srv\"",
            "working_directory = \"/srv/../etc\"",
            "not_before = 2026-12-01",
            "not_before = 2026-12-01T03:00:00",
            "tools = [\"\"]",
            "[params]\nVersion = \"1\"",
            "[params]\nx = \"a\\u0000\"",
        ] {
            assert_eq!(reason(bad), Reason::InvalidValue, "{bad}");
        }
    }

    #[test]
    fn a_window_that_never_opens_is_refused() {
        assert_eq!(
            reason("not_before = 2026-12-01T03:00:00Z\nnot_after = 2026-12-01T03:59:59+01:00\n"),
            Reason::InvalidValue
        );
    }

    #[test]
    fn an_action_that_waits_for_itself_is_refused() {
        assert_eq!(reason("depends_on = [\"b\", \"a\"]"), Reason::DependencyCycle);
    }

    #[test]
    fn one_misspelt_field_is_one_finding() {
        let text = "id = \"a\"\nformula = \"f\"\ncontext = \"c\"\nsecret = []\n";
        let wrong = parse("a", text).unwrap_err();
        assert_eq!(wrong.iter().map(|finding| finding.reason).collect::<Vec<_>>(), [Reason::UnknownField]);
        assert_eq!(wrong.first().help.as_deref(), Some("did you mean `secrets`?"));
    }
}
