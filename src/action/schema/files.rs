//! Action, metadata and policy as the generator of schemas reads them.
//!
//! The readers of these files work by hand, to know each value's place; the structs here say the same once more, and tests hold
//! them to the readers' lists of fields and to the docs. Their comments are the descriptions in the schemas.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;

use super::super::Tier;

/// What an id of an action and a name of a formula look like; the rule of `support::ids` as a regular expression.
pub const NAME_PATTERN: &str = r"^[a-z0-9](\.?[a-z0-9_-])*$";
/// What a secret is called.
pub const SECRET_PATTERN: &str = "^[A-Z][A-Z0-9_]{0,63}$";
/// What a mount is called.
pub const MOUNT_PATTERN: &str = "^[a-z][a-z0-9-]{0,31}$";
/// What a parameter is called.
pub const PARAM_PATTERN: &str = "^[a-z][a-z0-9_]{0,63}$";

/// One request: `vault/actions/<id>.toml`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Action")]
pub struct ActionFile {
    /// Equals the file's name without `.toml`.
    #[schemars(regex(pattern = NAME_PATTERN), length(max = 128))]
    pub id: String,
    /// What to run: the name of a formula.
    #[schemars(regex(pattern = NAME_PATTERN), length(max = 128))]
    pub formula: String,
    /// Why, for people. At most 4,096 bytes; several lines are allowed, control and bidi characters are not.
    #[schemars(length(min = 1, max = 4096))]
    pub context: String,
    /// The secrets that the run is given, and no others. May be empty.
    #[schemars(inner(regex(pattern = SECRET_PATTERN)), extend("uniqueItems" = true))]
    pub secrets: Vec<String>,
    /// The mounts that the run is given: `ssh`, `gpg`, `sops` and what the config declares.
    #[schemars(inner(regex(pattern = MOUNT_PATTERN)), extend("uniqueItems" = true))]
    pub mounts: Option<Vec<String>>,
    /// For agent formulas: the model.
    #[schemars(length(min = 1, max = 128))]
    pub model: Option<String>,
    /// For agent formulas: the tools.
    #[schemars(inner(length(min = 1, max = 128)))]
    pub tools: Option<Vec<String>>,
    /// Minutes that the run may take; the formula's default where it is not given, or 60.
    #[schemars(range(min = 1, max = 1440))]
    pub timeout_minutes: Option<u32>,
    /// How the requester says that it came: a claim, checked against the tier.
    pub dispatch_mode: Option<DispatchModeWord>,
    /// May only raise the tier that the policy gives to the formula.
    pub blast_radius: Option<Tier>,
    /// Handed to the formula as `DISPATCH_PARAM_<NAME>`.
    #[schemars(extend("propertyNames" = { "pattern": PARAM_PATTERN }))]
    pub params: Option<BTreeMap<String, String>>,
    /// Actions that must have succeeded first.
    #[schemars(inner(regex(pattern = NAME_PATTERN)), extend("uniqueItems" = true))]
    pub depends_on: Option<Vec<String>>,
    /// Not earlier than this: a TOML date-time with its offset.
    #[schemars(with = "Option<Moment>")]
    pub not_before: Option<Timestamp>,
    /// Not later than this: a TOML date-time with its offset.
    #[schemars(with = "Option<Moment>")]
    pub not_after: Option<Timestamp>,
    /// Higher goes first.
    #[schemars(range(min = 1, max = 100), extend("default" = 50))]
    pub priority: Option<u8>,
    /// At most one run with the same key at a time.
    #[schemars(length(min = 1, max = 128))]
    pub concurrency_key: Option<String>,
    /// Where to run; must be allowed by the config.
    #[schemars(length(min = 1, max = 128))]
    pub backend: Option<String>,
    /// A local directory; runs that name the same one take turns.
    #[schemars(regex(pattern = "^/"))]
    pub working_directory: Option<String>,
}

/// The words of `dispatch_mode`.
#[derive(Debug, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum DispatchModeWord {
    /// By pull request.
    Pr,
    /// By a direct commit; only for the low tier.
    Direct,
}

/// A moment as schemas have it.
#[derive(Debug, JsonSchema)]
#[schemars(inline, extend("format" = "date-time"))]
pub struct Moment(pub String);

/// What a formula allows and needs: `<name>.meta.toml`, or the same fields in an agent formula's `.toml`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Formula metadata")]
pub struct FormulaMetaFile {
    /// Whether a second run of the same action does no harm; shown to the person who decides on a retry.
    pub idempotent: Option<bool>,
    /// How many of its runs may be under way at once.
    #[schemars(range(min = 1, max = 1000))]
    pub max_concurrent: Option<u32>,
    /// The most mounts that an action may ask for.
    #[schemars(inner(regex(pattern = MOUNT_PATTERN)), extend("uniqueItems" = true))]
    pub mounts: Option<Vec<String>>,
    /// The most secrets that an action may ask for.
    #[schemars(inner(regex(pattern = SECRET_PATTERN)), extend("uniqueItems" = true))]
    pub secrets: Option<Vec<String>>,
    /// The backends on which it may run.
    #[schemars(inner(length(min = 1, max = 128)))]
    pub backends: Option<Vec<String>>,
    /// Its parameters; without this field any are taken, with an empty list none.
    pub params: Option<ParamsFile>,
    /// The time limit of an action that names none.
    #[schemars(range(min = 1, max = 1440))]
    pub timeout_minutes: Option<u32>,
    /// May only raise the tier that the policy gives to the formula.
    pub blast_radius: Option<Tier>,
}

/// The two ways to declare parameters.
#[derive(Debug, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum ParamsFile {
    /// `[[params]]`
    List(Vec<ListedParamFile>),
    /// `[params.<name>]`
    Table(BTreeMap<String, NamedParamFile>),
}

/// One `[[params]]`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListedParamFile {
    /// Its name.
    #[schemars(regex(pattern = PARAM_PATTERN))]
    pub name: String,
    /// Whether an action must give it.
    pub required: Option<bool>,
    /// A regular expression that the whole value must match (the syntax of Rust's `regex-lite`), at most 512 bytes.
    #[schemars(length(max = 512))]
    pub pattern: Option<String>,
    /// Its value where an action does not give it.
    #[schemars(length(max = 4096))]
    pub default: Option<String>,
    /// What it is, for people.
    #[schemars(length(min = 1, max = 4096))]
    pub description: Option<String>,
}

/// One `[params.<name>]`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedParamFile {
    /// Whether an action must give it.
    pub required: Option<bool>,
    /// A regular expression that the whole value must match (the syntax of Rust's `regex-lite`), at most 512 bytes.
    #[schemars(length(max = 512))]
    pub pattern: Option<String>,
    /// Its value where an action does not give it.
    #[schemars(length(max = 4096))]
    pub default: Option<String>,
    /// What it is, for people.
    #[schemars(length(min = 1, max = 4096))]
    pub description: Option<String>,
}

/// Which formula has which tier: `vault/policy.toml`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Policy")]
pub struct PolicyFile {
    /// The tier of each formula; one that is not named is `high`.
    #[schemars(extend("propertyNames" = { "pattern": NAME_PATTERN }))]
    pub tiers: Option<BTreeMap<String, Tier>>,
    /// How many approvals each tier needs.
    pub approvals: Option<ApprovalsFile>,
}

/// `[approvals]`
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalsFile {
    /// For the low tier; none where it is not given.
    #[schemars(range(min = 0, max = 16))]
    pub low: Option<u32>,
    /// For the medium tier; one where it is not given.
    #[schemars(range(min = 1, max = 16))]
    pub medium: Option<u32>,
    /// For the high tier; one where it is not given.
    #[schemars(range(min = 1, max = 16))]
    pub high: Option<u32>,
}
