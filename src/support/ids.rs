//! Names and identifiers as types of their own, so that none can be taken for another. Each is checked when it is made.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A text that is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct InvalidId {
    /// The offending text.
    pub text: String,
    /// What was wanted, with its article: "an action id".
    pub what: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The rule that such a text keeps, for people.
            pub const RULE: &'static str = $rule;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId { text: text.chars().take(160).collect(), what: $what, rule: $rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": concat!($what, ": ", $rule) })
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id! {
    /// The id of an action: the stem of its file.
    ActionId, "an action id",
    "a-z 0-9 first, then up to 127 of a-z 0-9 . _ -, no \"..\", no trailing dot", is_name
}
text_id! {
    /// The name of a formula: the same alphabet as an action id.
    FormulaName, "a formula name",
    "a-z 0-9 first, then up to 127 of a-z 0-9 . _ -, no \"..\", no trailing dot", is_name
}
text_id! {
    /// The name of a secret, also its environment variable.
    SecretName, "a secret's name", "A-Z first, then up to 63 of A-Z 0-9 _", is_secret_name
}
text_id! {
    /// The name of a mount that the config declares: `ssh`, `gpg`, `sops` and others.
    MountName, "a mount's name", "a-z first, then up to 31 of a-z 0-9 -", is_mount_name
}
text_id! {
    /// A git object id of a blob, in full (SHA-1 or SHA-256).
    BlobId, "a blob id", "40 or 64 lower-case hex digits", is_object_id
}
text_id! {
    /// A git object id of a commit, in full.
    CommitId, "a commit id", "40 or 64 lower-case hex digits", is_object_id
}
text_id! {
    /// The key under which a backend launches a run at most once: a digest of what was asked for, the same whoever asks, so
    /// that it survives the loss of the journal and a change of leader. That of a file that is no action of the ops repo is longer.
    LaunchKey, "a launch key", "40 or 48 lower-case hex digits", |text| matches!(text.len(), 40 | 48) && is_hex(text)
}

fn is_name(text: &str) -> bool {
    let head = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let all = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b));
    head && all && text.len() <= 128 && !text.contains("..") && !text.ends_with('.')
}

fn is_secret_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_uppercase())
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn is_mount_name(text: &str) -> bool {
    text.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

impl ActionId {
    /// The stem of a file that is refused, kept as an id although it breaks the rule of ids, so that the refusal can be
    /// journalled and published under the file's name. `None` for a stem that is not safe as part of a file name.
    ///
    /// Nothing that runs has such an id: admission parses the stem.
    pub fn of_refused(stem: &str) -> Option<Self> {
        let head = stem.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        let all = stem.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        let safe = head && all && stem.len() <= 128 && !stem.contains("..") && !stem.ends_with('.');
        safe.then(|| Self(stem.to_owned()))
    }
}

impl CommitId {
    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl BlobId {
    /// The id that git gives to these bytes in a repository that uses SHA-256.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(sha256_hex(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat()))
    }

    /// The first ten digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..10).unwrap_or(&self.0)
    }
}

impl LaunchKey {
    /// The key of one attempt at one version of an action.
    pub fn of_action(action: &ActionId, blob: &BlobId, attempt: u32) -> Self {
        let digest = sha256_hex(format!("action\0{action}\0{blob}\0{attempt}").as_bytes());
        Self(digest.chars().take(40).collect())
    }

    /// The key of a run of a file that is not from the ops repo; `occasion` is another for each such run. No action has it, also one of
    /// the same name and bytes.
    pub fn of_file(action: &ActionId, blob: &BlobId, occasion: &str) -> Self {
        let digest = sha256_hex(format!("file\0{action}\0{blob}\0{occasion}").as_bytes());
        Self(digest.chars().take(48).collect())
    }

    /// Whether it is one of [`Self::of_file`].
    pub fn is_of_file(&self) -> bool {
        self.0.len() == 48
    }
}

/// One launch of one action: `<action id>@<attempt>`. The `@` is in no action id, so the two parts are always told apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId {
    action: ActionId,
    attempt: u32,
}

impl RunId {
    /// Attempts count from 1.
    pub fn new(action: ActionId, attempt: u32) -> Self {
        Self { action, attempt }
    }

    /// The action that this is a run of.
    pub fn action(&self) -> &ActionId {
        &self.action
    }

    /// Which attempt, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}@{}", self.action, self.attempt))
    }
}

impl FromStr for RunId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId { text: text.to_owned(), what: "a run id", rule: "<action id>@<attempt>" };
        let (action, attempt) = text.split_once('@').ok_or_else(invalid)?;
        let attempt = attempt.parse().ok().filter(|n| *n > 0).ok_or_else(invalid)?;
        Ok(Self { action: ActionId::of_refused(action).ok_or_else(invalid)?, attempt })
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

/// `bytes` as lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The SHA-256 of `bytes` as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_id_may_hold_dots_but_not_two_in_a_row_nor_one_at_the_end() {
        for good in ["a", "publish-skill-20260331", "v1.2.0", "0_x"] {
            assert!(good.parse::<ActionId>().is_ok(), "{good}");
        }
        for bad in ["", "A", ".a", "-a", "a..b", "a.", "a/b", "ä", &"a".repeat(129)] {
            assert!(bad.parse::<ActionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_run_id_reads_back_as_it_is_shown() {
        let id: RunId = "v1.2.0@3".parse().unwrap();
        assert_eq!((id.action().as_str(), id.attempt(), id.to_string().as_str()), ("v1.2.0", 3, "v1.2.0@3"));
        for bad in ["a", "a@0", "a@-1", "@1", "a@b"] {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_launch_key_depends_on_all_three_parts_and_on_nothing_else() {
        let (id, blob) = ("a".parse().unwrap(), BlobId("0".repeat(40)));
        let key = LaunchKey::of_action(&id, &blob, 1);
        assert_eq!(key, LaunchKey::of_action(&id, &blob, 1));
        assert_ne!(key, LaunchKey::of_action(&id, &blob, 2));
    }

    #[test]
    fn a_file_has_a_key_of_its_own_each_time_and_none_of_an_action() {
        let (id, blob) = ("a".parse().unwrap(), BlobId("0".repeat(40)));
        let (action, file) = (LaunchKey::of_action(&id, &blob, 1), LaunchKey::of_file(&id, &blob, "one"));
        assert_ne!(file, LaunchKey::of_file(&id, &blob, "two"));
        assert!(file.is_of_file() && !action.is_of_file());
        assert_ne!(file.as_str().get(..16), action.as_str().get(..16));
        assert_eq!(file.as_str().parse::<LaunchKey>().unwrap(), file);
    }
}
