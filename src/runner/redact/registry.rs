//! Which values are redacted now. Values may be added while the formula runs (`dispatch redact add`); each stream asks for the
//! current patterns after every read, so what is printed after the addition was acknowledged is already redacted.

use std::sync::{Arc, Mutex, PoisonError};

use aho_corasick::BuildError;
use secrecy::{ExposeSecret as _, SecretString};

use super::fit::{Unfit, fit};
use super::patterns::Patterns;

/// Why a value cannot be redacted. The texts never hold the value.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It is none that can be.
    #[error("the value cannot be redacted")]
    Unfit(#[from] Unfit),
    /// The automaton has its limits.
    #[error("the value is too large to be searched for in output")]
    TooLarge(#[source] BuildError),
}

/// The values, and their patterns compiled.
#[derive(Debug)]
pub struct Registry(Mutex<Known>);

#[derive(Debug)]
struct Known {
    values: Vec<(String, SecretString)>,
    patterns: Arc<Patterns>,
}

impl Registry {
    /// Begins with `values`, given as (name, value).
    ///
    /// # Errors
    /// When one of them is unfit.
    pub fn new(values: Vec<(String, SecretString)>) -> Result<Self, RegistryError> {
        let patterns = compile(&values)?;
        Ok(Self(Mutex::new(Known { values, patterns })))
    }

    /// The patterns as of now.
    pub fn patterns(&self) -> Arc<Patterns> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner).patterns)
    }

    /// Adds a value; when this returns, [`Registry::patterns`] knows it.
    ///
    /// # Errors
    /// When it is unfit; nothing has changed then.
    pub fn add(&self, name: &str, value: SecretString) -> Result<(), RegistryError> {
        self.add_all(vec![(name.to_owned(), value)])
    }

    /// Adds values, given as (name, value): all of them, or none.
    ///
    /// # Errors
    /// When one is unfit; nothing has changed then.
    pub fn add_all(&self, values: Vec<(String, SecretString)>) -> Result<(), RegistryError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.values.len();
        known.values.extend(values);
        match compile(&known.values) {
            Ok(patterns) => known.patterns = patterns,
            Err(error) => {
                known.values.truncate(before);
                return Err(error);
            }
        }
        Ok(())
    }
}

fn compile(values: &[(String, SecretString)]) -> Result<Arc<Patterns>, RegistryError> {
    for (_, value) in values {
        fit(value.expose_secret())?;
    }
    let texts = values.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
    Patterns::new(texts).map(Arc::new).map_err(RegistryError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_cannot_be_kept_out_of_the_log_is_refused_without_being_shown() {
        let values = vec![("A".to_owned(), SecretString::from("se\0cret"))];
        let error = crate::support::chain::words(&Registry::new(values).unwrap_err());
        assert!(error.contains("NUL") && !error.contains("cret"), "{error}");
    }

    #[test]
    fn a_refused_addition_changes_nothing() {
        let registry = Registry::new(Vec::new()).unwrap();
        let before = registry.patterns();
        assert!(registry.add("A", SecretString::from("short")).is_err());
        assert!(Arc::ptr_eq(&before, &registry.patterns()));
        assert!(registry.add("A", SecretString::from("long enough")).is_ok());
        assert!(!Arc::ptr_eq(&before, &registry.patterns()));
    }
}
