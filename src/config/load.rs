//! Finds the file, has the environment and the flags laid over it, and answers a configuration that holds, or all that
//! is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::check;
use super::draft::{Bases, Draft};
use super::error::{ConfigError, Page, Report};
use super::file;
use super::keys::{Field, Shape, root};
use super::leaf::Wrong;
use super::overlay;
use super::types::Config;
use crate::support::diagnostic::{Diagnostic, Severity};

/// Larger files are no configuration.
const MAX_BYTES: u64 = 1 << 20;

/// Where configuration is looked for. Everything is passed in, so that loading depends on nothing else but the files named.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Flags that set a key: the flag's name without dashes, the key, the value.
    pub flags: Vec<(&'static str, &'static str, String)>,
    /// What `./dispatch.toml` and relative paths in the environment and in flags are relative to.
    pub working_directory: PathBuf,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File {
        /// Which.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Which.
        name: String,
    },
    /// A flag.
    Flag {
        /// Which, with its dashes.
        name: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment {name}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

/// One effective value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// The key: `ops.remote`.
    pub key: String,
    /// Its value; `null` where nothing is set.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// A configuration that holds, and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file that was read, if there was one.
    pub file: Option<PathBuf>,
    /// Every effective value, in the order of the documentation.
    pub settings: Vec<Setting>,
    /// What is worth a look and stops nothing.
    pub warnings: Report,
}

impl Config {
    /// Puts the configuration together: defaults, then the file, then the environment, then flags.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] for a file that was named and cannot be read, [`ConfigError::Invalid`] with everything that
    /// is wrong otherwise.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
        let mut draft = Draft::default();
        let file = find(sources)?;
        if let Some((path, bytes)) = &file {
            read_file(&mut draft, path, bytes, sources);
        }
        let unsound = draft.report().has_errors();
        overlay::lay(&mut draft, sources);
        if !unsound {
            // A file that does not parse has no keys: that they are missing is no news.
            require(&mut draft, "", root());
        }
        if draft.report().has_errors() {
            return Err(ConfigError::Invalid(draft.into_report().only(Severity::Error)));
        }
        finish(draft, file.map(|(path, _)| path), sources)
    }
}

/// Turns a draft whose single values hold into a configuration, and checks what they are together.
fn finish(mut draft: Draft, file: Option<PathBuf>, sources: &Sources) -> Result<Loaded, ConfigError> {
    let config: Config = match serde_json::from_value(Value::Object(draft.tree.clone())) {
        Ok(config) => config,
        Err(error) => {
            draft.complain("", Severity::Error, Wrong::new(error.to_string()));
            return Err(ConfigError::Invalid(draft.into_report()));
        }
    };
    check::check(&config, &sources.environment, &mut draft);
    let report = draft.report();
    if report.has_errors() {
        return Err(ConfigError::Invalid(report.only(Severity::Error)));
    }
    let settings = settings(&config, &draft);
    Ok(Loaded { config, file, settings, warnings: report.only(Severity::Warning) })
}

/// The file and its bytes: the one that is named, else the first of the usual ones that is there.
fn find(sources: &Sources) -> Result<Option<(PathBuf, Vec<u8>)>, ConfigError> {
    let from_environment =
        sources.environment.get("DISPATCH_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    let named = match (&sources.config, from_environment) {
        (Some(path), _) => Some((path.clone(), "--config")),
        (None, Some(path)) => Some((path, "DISPATCH_CONFIG")),
        (None, None) => None,
    };
    if let Some((path, named_by)) = named {
        let path = sources.working_directory.join(path);
        return match read_bounded(&path) {
            Ok(bytes) => Ok(Some((path, bytes))),
            Err(source) => Err(ConfigError::Unreadable { path, named_by, source }),
        };
    }
    for path in [sources.working_directory.join("dispatch.toml"), PathBuf::from("/etc/dispatch/dispatch.toml")] {
        match read_bounded(&path) {
            Ok(bytes) => return Ok(Some((path, bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::Unreadable { path, named_by: "the usual places", source }),
        }
    }
    Ok(None)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_BYTES) {
        Ok(bytes)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB"))
    }
}

pub(super) fn credentials(sources: &Sources) -> Option<PathBuf> {
    sources.environment.get("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn read_file(draft: &mut Draft, path: &Path, bytes: &[u8], sources: &Sources) {
    let name = shown(path, &sources.working_directory);
    let credentials = credentials(sources);
    let folder = path.parent().unwrap_or(&sources.working_directory);
    let bases = Bases { folder, credentials: credentials.as_deref() };
    match std::str::from_utf8(bytes) {
        Ok(text) => file::read(draft, &name, text, bases),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = valid.split(|byte| *byte == b'\n').count();
            // Its place without its text: what stands there was not looked through for passwords.
            let blank = "\n".repeat(line.saturating_sub(1));
            let at = blank.len()..blank.len();
            let page = draft.add_page(Page::new(name, &blank));
            draft.note(page, Diagnostic::at(at, format!("line {line} is not UTF-8")).help("save the file as UTF-8"));
        }
    }
}

/// The path as people would write it from where they are.
fn shown(path: &Path, from: &Path) -> String {
    path.strip_prefix(from).unwrap_or(path).display().to_string()
}

/// Notes every required key that nobody gave.
fn require(draft: &mut Draft, prefix: &str, fields: &[Field]) {
    for field in fields {
        let key = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
        let given = draft.get(&key).is_some();
        match &field.shape {
            Shape::Table(inner) if given || field.required => require(draft, &key, inner),
            _ if field.required && !given && !draft.places.contains_key(&key) => missing(draft, &key),
            _ => {}
        }
    }
}

fn missing(draft: &mut Draft, key: &str) {
    let variable = format!("DISPATCH_{}", key.to_uppercase().replace('.', "_"));
    let table = key.rsplit_once('.').map_or("at the top".to_owned(), |(table, _)| format!("in [{table}]"));
    let name = key.rsplit('.').next().unwrap_or(key);
    let wrong = Wrong::new(format!("`{key}` is not set"));
    draft.complain(
        key,
        Severity::Error,
        wrong.help(format!("give `{name} = …` {table} of dispatch.toml, or set {variable}")),
    );
}

/// Every effective value with its origin, in the order of the keys.
fn settings(config: &Config, draft: &Draft) -> Vec<Setting> {
    let tree = serde_json::to_value(config).unwrap_or_default();
    let mut out = Vec::new();
    let empty = Map::new();
    collect("", root(), tree.as_object().unwrap_or(&empty), draft, &mut out);
    out
}

fn collect(prefix: &str, fields: &[Field], tree: &Map<String, Value>, draft: &Draft, out: &mut Vec<Setting>) {
    for field in fields {
        let key = if prefix.is_empty() { field.name.clone() } else { format!("{prefix}.{}", field.name) };
        let value = tree.get(&field.name).cloned().unwrap_or_default();
        match (&field.shape, &value) {
            (Shape::Table(inner), Value::Object(tree)) => collect(&key, inner, tree, draft, out),
            (Shape::Map(_), Value::Object(entries)) if !entries.is_empty() => {
                for (name, value) in entries {
                    let key = format!("{key}.{name}");
                    out.push(Setting { origin: origin(draft, &key), value: value.clone(), key });
                }
            }
            _ => out.push(Setting { origin: origin(draft, &key), value, key }),
        }
    }
}

fn origin(draft: &Draft, key: &str) -> Origin {
    draft.places.get(key).map_or(Origin::Default, |place| place.origin.clone())
}
