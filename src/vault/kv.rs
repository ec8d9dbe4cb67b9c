//! Secrets in KV v2. A secret that was deleted or destroyed still answers, and so does one that never had a version: what is
//! there is told from the answer, not from the status (a 404 has a body for the former).

use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};
use vaultrs::api::kv2::requests::ReadSecretMetadataRequest;

use super::answer::{Answer, take_secret};
use super::call::Call;
use super::client::{Session, With, named};
use super::error::{VaultError, Why};

/// What stands in a field of a secret.
pub enum Field {
    /// A text, perhaps an empty one.
    Text(SecretString),
    /// Nothing that can be granted.
    Unusable(Absence),
}

/// Why there is no text in a field of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Absence {
    /// Nothing was ever written there.
    #[error("there is no such secret")]
    Missing,
    /// Its current version was deleted.
    #[error("its current version is deleted (`vault kv undelete` brings it back)")]
    Deleted,
    /// Its current version is gone for good.
    #[error("its current version is destroyed")]
    Destroyed,
    /// The version has other fields.
    #[error("it has no field of that name")]
    NoField,
    /// A number that is too long comes back as another one, so only texts are taken.
    #[error("the field holds {0}, and only a text is taken")]
    NotText(&'static str),
}

/// A secret's current version, as the metadata have it: they tell neither an empty value nor a wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// It is there, in this version.
    Version(u64),
    /// It is not.
    Absent(Absence),
}

#[derive(Deserialize)]
struct Version {
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

#[derive(Deserialize)]
struct Metadata {
    current_version: u64,
    #[serde(default)]
    versions: std::collections::BTreeMap<String, Version>,
}

impl Session {
    /// The text in `field` of the secret at `path`, the mount and `data/` included.
    ///
    /// # Errors
    /// Refused; a secret that is not there is no error.
    pub async fn read_field(&self, path: &str, field: &str) -> Result<Field, VaultError> {
        let request = Call::get(path);
        let reply = self.vault().send(&request, self.with()).await?;
        let fail = |why| self.vault().error(named(&request), why);
        let found = match reply.status.as_u16() {
            200 => reply.body.parse::<Answer>("a secret of KV v2").and_then(|answer| text_in(answer, field)),
            404 => Ok(Field::Unusable(reply.body.parse::<Answer>("a version").map_or(Absence::Missing, absence))),
            _ => Err(reply.into_why(path, self.with())),
        };
        found.map_err(fail)
    }

    /// Writes `text` into `field` of the secret at `path`, the mount and `data/` included, as a new version with nothing else in it.
    ///
    /// # Errors
    /// Refused. With [`super::error::Effect::Unknown`] it may stand there; the same may be written again.
    pub async fn write_field(&self, path: &str, field: &str, text: &SecretString) -> Result<(), VaultError> {
        use secrecy::ExposeSecret as _;
        let body = serde_json::json!({ "data": { field: text.expose_secret() } });
        self.vault().ask(Call::post(path, body), With { hidden: &[text], ..self.with() }).await.map(drop)
    }

    /// The current version of the secret `path` in `mount`, as of `now` by the server's clock: a version whose time comes later
    /// is still there.
    ///
    /// # Errors
    /// Refused; a secret that is not there is no error.
    pub async fn current_version(&self, mount: &str, path: &str, now: Timestamp) -> Result<Current, VaultError> {
        let request = ReadSecretMetadataRequest { mount: mount.to_owned(), path: path.to_owned() };
        let call = named(&request);
        match self.ask(request).await {
            Ok(answer) => {
                let metadata: Metadata =
                    answer.data("metadata of KV v2").map_err(|why| self.vault().error(call, why))?;
                Ok(current(&metadata, now))
            }
            Err(VaultError { why: Why::NotFound { .. }, .. }) => Ok(Current::Absent(Absence::Missing)),
            Err(error) => Err(error),
        }
    }
}

fn text_in(answer: Answer, field: &str) -> Result<Field, Why> {
    let wrong = || Why::Unexpected { expected: "a secret of KV v2" };
    let Some(Value::Object(mut data)) = answer.data else { return Err(wrong()) };
    let Some(Value::Object(mut fields)) = data.get_mut("data").map(Value::take) else { return Err(wrong()) };
    Ok(take(&mut fields, field))
}

fn take(fields: &mut Map<String, Value>, field: &str) -> Field {
    let found = match fields.get_mut(field).map(Value::take) {
        None => Field::Unusable(Absence::NoField),
        Some(Value::String(text)) => Field::Text(take_secret(text)),
        Some(Value::Null) => Field::Unusable(Absence::NotText("null")),
        Some(Value::Bool(_)) => Field::Unusable(Absence::NotText("a boolean")),
        Some(Value::Number(_)) => Field::Unusable(Absence::NotText("a number")),
        Some(Value::Array(_) | Value::Object(_)) => Field::Unusable(Absence::NotText("a list or an object")),
    };
    for (_, other) in fields.iter_mut() {
        if let Value::String(text) = other.take() {
            // Wiped: it was not asked for.
            drop(take_secret(text));
        }
    }
    found
}

/// Of a 404 with a body.
fn absence(answer: Answer) -> Absence {
    let version = answer.data.and_then(|data| Version::deserialize(data.get("metadata")?.clone()).ok());
    match version {
        Some(Version { destroyed: true, .. }) => Absence::Destroyed,
        Some(_) => Absence::Deleted,
        None => Absence::Missing,
    }
}

fn current(metadata: &Metadata, now: Timestamp) -> Current {
    match metadata.versions.get(&metadata.current_version.to_string()) {
        None => Current::Absent(Absence::Missing),
        Some(version) if version.destroyed => Current::Absent(Absence::Destroyed),
        // A time that cannot be read is taken for one that has come.
        Some(version)
            if !version.deletion_time.is_empty()
                && version.deletion_time.parse::<Timestamp>().map_or(true, |deleted| deleted <= now) =>
        {
            Current::Absent(Absence::Deleted)
        }
        Some(_) => Current::Version(metadata.current_version),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;
    use serde_json::json;

    use super::*;

    fn at(metadata: Value) -> Current {
        current(&serde_json::from_value(metadata).unwrap(), "2026-11-21T10:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_metadata_of_a_deleted_destroyed_or_never_written_secret_are_not_taken_for_a_secret() {
        let version = |deleted: &str, destroyed: bool| {
            at(json!({"current_version": 2, "versions": {"2": {"deletion_time": deleted, "destroyed": destroyed}}}))
        };
        assert_eq!(version("", false), Current::Version(2));
        assert_eq!(version("2026-11-21T09:00:00.123456789Z", false), Current::Absent(Absence::Deleted));
        assert_eq!(version("2026-11-21T11:00:00Z", false), Current::Version(2));
        assert_eq!(version("soon", false), Current::Absent(Absence::Deleted));
        assert_eq!(version("", true), Current::Absent(Absence::Destroyed));
        assert_eq!(at(json!({"current_version": 0, "versions": {}})), Current::Absent(Absence::Missing));
    }

    #[test]
    fn only_a_text_is_taken_from_a_field() {
        let of = |fields: Value| {
            let Value::Object(mut fields) = fields else { unreachable!() };
            match take(&mut fields, "value") {
                Field::Text(text) => Ok(text.expose_secret().to_owned()),
                Field::Unusable(absence) => Err(absence),
            }
        };
        assert_eq!(of(json!({"value": "v", "other": "w"})), Ok("v".to_owned()));
        assert_eq!(of(json!({"value": ""})), Ok(String::new()));
        assert_eq!(of(json!({"Value": "v"})), Err(Absence::NoField));
        assert_eq!(of(json!({"value": 12_345_678_901_234_567_890_u64})), Err(Absence::NotText("a number")));
        assert_eq!(of(json!({"value": null})), Err(Absence::NotText("null")));
    }
}
