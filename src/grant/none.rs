//! The provider where the config names none: it grants nothing, and says so when it is asked.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Ask, Delivery, Grant, GrantError, GrantRecord, Presence, SecretProvider};
use crate::runner::envelope::Handover;
use crate::support::checkup::Finding;
use crate::support::ids::SecretName;

/// Grants runs that name no secret, and no others.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSecrets;

#[async_trait]
impl SecretProvider for NoSecrets {
    fn name(&self) -> &'static str {
        "none"
    }

    async fn check(&self) -> Vec<Finding> {
        vec![Finding::good("secrets", "the config names no provider: only actions without secrets can be admitted")]
    }

    async fn presence(&self, _secret: &SecretName) -> Presence {
        Presence::Absent {
            evidence: "the config names no secret provider ([secrets.vault] or [secrets.file])".to_owned(),
        }
    }

    async fn mint(&self, ask: Ask<'_>) -> Result<Grant, GrantError> {
        match ask.secrets.first() {
            None => Ok(Grant { record: GrantRecord::default(), handover: Handover::Values(BTreeMap::new()) }),
            Some(secret) => Err(GrantError::Unusable {
                secret: secret.clone(),
                detail: "the config names no secret provider".to_owned(),
            }),
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery::Nothing
    }

    async fn revoke(&self, _record: &GrantRecord) -> Result<(), GrantError> {
        Ok(())
    }
}
