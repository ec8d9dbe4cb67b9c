//! The formula's environment: exactly what the envelope gives it and what docs/formulas.md lists, nothing of the runner's own (pure).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use secrecy::ExposeSecret as _;

use super::envelope::{Envelope, Secrets};
use super::redact::Unfit;
use super::redact::fit::fit;
use crate::support::ids::SecretName;
use crate::support::variables::{is_name, is_reserved};

/// Where programs are looked for, `bash` included.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why there is no environment for the formula. The texts hold no value.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A granted value is absent, short or holds a NUL.
    #[error("secret {name} cannot be used; give it a proper value where it is kept")]
    Secret {
        /// Which.
        name: SecretName,
        /// What is wrong.
        #[source]
        source: Unfit,
    },
    /// A secret's name is a variable that no secret may set.
    #[error(
        "secret {name} cannot be granted: a variable of that name steers the shell or the runner; rename the secret"
    )]
    SecretReserved {
        /// Which.
        name: SecretName,
    },
    /// The config passes what it must not.
    #[error("the variable `{name}` from the config cannot be passed to a formula: {rule}")]
    Variable {
        /// Which.
        name: String,
        /// The rule that it breaks.
        rule: &'static str,
    },
}

/// Where the runner has put what the environment points to.
#[derive(Debug)]
pub struct Places<'a> {
    /// `HOME`.
    pub home: &'a Path,
    /// `VAULT_ACTION_TOML`.
    pub action: &'a Path,
    /// `DISPATCH_CONTEXT_DIR`, when there are context files.
    pub context: &'a Path,
    /// `DISPATCH_REDACT_SOCKET`.
    pub redact_socket: &'a Path,
}

/// The variables by name.
pub type Variables = BTreeMap<String, OsString>;

/// Checks every variable that comes from outside, and the names of the secrets.
///
/// # Errors
/// The first that cannot be used.
pub fn check(envelope: &Envelope) -> Result<(), EnvironmentError> {
    for (name, value) in &envelope.environment {
        check_variable(name, value)
            .and_then(|()| if is_reserved(name) { Err("it steers the shell or the runner") } else { Ok(()) })
            .map_err(|rule| EnvironmentError::Variable { name: name.clone(), rule })?;
    }
    for (name, value) in &envelope.params {
        let name = param_name(name);
        check_variable(&name, value).map_err(|rule| EnvironmentError::Variable { name, rule })?;
    }
    match envelope.handover.names().find(|name| is_reserved(name.as_str())) {
        Some(name) => Err(EnvironmentError::SecretReserved { name: name.clone() }),
        None => Ok(()),
    }
}

/// Checks every granted value.
///
/// # Errors
/// The first that cannot be used.
pub fn check_secrets(secrets: &Secrets) -> Result<(), EnvironmentError> {
    for (name, value) in secrets {
        fit(value.expose_secret()).map_err(|source| EnvironmentError::Secret { name: name.clone(), source })?;
    }
    Ok(())
}

fn check_variable(name: &str, value: &str) -> Result<(), &'static str> {
    match () {
        () if !is_name(name) => Err("a name is letters, digits and `_`, no digit first"),
        () if value.contains('\0') => Err("its value holds a NUL byte"),
        () => Ok(()),
    }
}

fn param_name(name: &str) -> String {
    format!("DISPATCH_PARAM_{}", name.to_ascii_uppercase().replace(['-', '.'], "_"))
}

/// The formula's environment but for its secrets. [`check`] comes first: no secret has one of these names, unless the config sets
/// it as well, and then the secret is what counts.
pub fn variables(envelope: &Envelope, places: &Places<'_>) -> Variables {
    let mut all = Variables::new();
    let mut set = |name: &str, value: OsString| all.insert(name.to_owned(), value);
    set("LANG", "C.UTF-8".into());
    for (name, value) in &envelope.environment {
        set(name, value.into());
    }
    for (name, value) in &envelope.params {
        set(&param_name(name), value.into());
    }
    for (name, place) in &envelope.mounts {
        set(&format!("DISPATCH_MOUNT_{}", name.as_str().to_ascii_uppercase().replace('-', "_")), place.into());
    }
    set("PATH", PATH.into());
    set("HOME", places.home.into());
    set("VAULT_ACTION_TOML", places.action.into());
    set("DISPATCH_ACTION_ID", envelope.action_id().as_str().into());
    set("DISPATCH_RUN_ID", envelope.run.to_string().into());
    set("DISPATCH_ATTEMPT", envelope.run.attempt().to_string().into());
    set("DISPATCH_SLOT", envelope.slot.to_string().into());
    set("DISPATCH_REDACT_SOCKET", places.redact_socket.into());
    if !envelope.context_files.is_empty() {
        set("DISPATCH_CONTEXT_DIR", places.context.into());
    }
    if let Some(directory) = &envelope.working_directory {
        set("DISPATCH_WORKING_DIRECTORY", directory.into());
    }
    if let Some(trace) = &envelope.traceparent {
        set("TRACEPARENT", trace.into());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_needs_a_name_that_a_shell_accepts() {
        for bad in ["", "1A", "A-B", "A B", "A=B", "Ä"] {
            assert!(check_variable(bad, "x").is_err(), "{bad}");
        }
        assert!(check_variable("_a1", "x").is_ok());
        assert!(check_variable("A", "x\0y").is_err());
    }

    #[test]
    fn a_parameters_name_becomes_a_variable() {
        assert_eq!(param_name("target-host"), "DISPATCH_PARAM_TARGET_HOST");
    }
}
