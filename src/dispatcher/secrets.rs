//! Which secret provider the config means, and whether it goes together with the backends.

use std::sync::Arc;

use super::start::StartError;
use crate::backend::{Backend, Channel};
use crate::config::Config;
use crate::grant::none::NoSecrets;
use crate::grant::{Delivery, FileProvider, GrantError, SecretProvider, VaultProvider};
use crate::support::checkup::{Finding, Standing};

/// Where secrets come from.
///
/// # Errors
/// The provider cannot be set up, or two are configured.
pub fn secrets(config: &Config) -> Result<Arc<dyn SecretProvider>, StartError> {
    let wrong = |evidence: String, fix: &str| {
        let findings = vec![Finding::bad(Standing::Wrong, "secrets", evidence, fix)];
        StartError::Dependencies { findings }
    };
    match (&config.secrets.vault, &config.secrets.file) {
        (Some(_), Some(_)) => {
            let words = "two secret providers are configured, [secrets.vault] and [secrets.file]";
            Err(wrong(words.to_owned(), "keep one of them"))
        }
        (Some(settings), None) => match VaultProvider::open(settings) {
            Ok(provider) => Ok(Arc::new(provider.granting(&config.secrets.allow))),
            Err(GrantError::Misconfigured { detail, fix }) => Err(wrong(detail, &fix)),
            Err(error) => Err(wrong(error.to_string(), "correct [secrets.vault]")),
        },
        (None, Some(settings)) => Ok(Arc::new(FileProvider::open(settings))),
        (None, None) => Ok(Arc::new(NoSecrets)),
    }
}

/// How the provider and a backend go together.
pub(super) fn together(secrets: &dyn SecretProvider, backend: &dyn Backend) -> Option<Finding> {
    if !matches!(backend.channel(), Channel::Shared { .. }) {
        return None;
    }
    match secrets.delivery() {
        Delivery::Wrapped => None,
        Delivery::Values => Some(exposed(secrets, backend)),
        Delivery::Nothing => Some(unfenced(secrets, backend)),
    }
}

/// Values may not travel where others can read what is handed over.
fn exposed(secrets: &dyn SecretProvider, backend: &dyn Backend) -> Finding {
    let subject = format!("secrets: handed over on {}", backend.name());
    let evidence = format!("the provider `{}` hands over values, which others can read there", secrets.name());
    Finding::bad(Standing::Wrong, subject, evidence, "use [secrets.vault] with this backend")
}

/// Where nothing opens only once, a second execution meets only what the first has left behind on its own machine.
fn unfenced(secrets: &dyn SecretProvider, backend: &dyn Backend) -> Finding {
    let subject = format!("{}: second execution", backend.name());
    let evidence = format!(
        "with the secret provider `{}` no run has a wrapping that opens once: a second execution on another client is stopped only by a \
         marker in the data of the first one, which has to reach that client before it does",
        secrets.name()
    );
    let fix =
        "use [secrets.vault], which fences runs without secrets as well; with one client alone there is nothing to do";
    Finding::bad(Standing::Warning, subject, evidence, fix)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn config(text: &str) -> Config {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dispatch.toml"), format!("ops.remote = \"/srv/ops.git\"\n{text}")).unwrap();
        let sources = Sources { working_directory: folder.path().to_owned(), ..Sources::default() };
        Config::load(&sources).unwrap().config
    }

    #[test]
    fn the_provider_is_the_one_that_is_configured() {
        let vault = "[secrets.vault]\naddress = \"http://127.0.0.1:8200\"\ntoken_file = \"token\"\n";
        let file = "[secrets.file]\ndirectory = \"s\"\nidentity = \"k\"\n";
        let name = |text: &str| secrets(&config(text)).unwrap().name();
        assert_eq!([name(""), name(vault), name(file)], ["none", "vault", "file"]);
        let mut both = config(vault);
        both.secrets.file = config(file).secrets.file;
        assert!(matches!(secrets(&both), Err(StartError::Dependencies { .. })));
    }
}
