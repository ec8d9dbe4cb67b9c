//! Changing a repository's settings and the protection of its branches. Needs an administrator's token.

use serde_json::json;

use super::Forge;
use super::error::ForgeError;
use super::repository::{Protection, Repository};
use super::wire::Call;

impl Repository {
    /// What of its settings makes approvals void, as far as the asking user may see it; each with what it should be.
    pub fn unsafe_settings(&self) -> Vec<&'static str> {
        let pulls = (self.has_pull_requests == Some(false)).then_some("pull requests: off -> on");
        let manual = (self.allow_manual_merge == Some(true)).then_some("marking as merged by hand: on -> off");
        let detected = (self.autodetect_manual_merge == Some(true))
            .then_some("taking a push for a merge by hand (`autodetect_manual_merge`): on -> off");
        pulls.into_iter().chain(manual).chain(detected).collect()
    }
}

impl Forge {
    /// Turns pull requests on, and off that one counts as merged by hand, without approvals: by a writer's word, or because its commits
    /// were pushed. The first must be said for the forge to heed the others.
    pub async fn make_settings_safe(&self) -> Result<(), ForgeError> {
        let body = json!({
            "has_pull_requests": true, "allow_manual_merge": false, "autodetect_manual_merge": false
        });
        self.wire().ask(&Call::patch("a change of the repository's settings", &self.path(&[]), body)).await?;
        Ok(())
    }

    /// Changes the rule of this name.
    pub async fn change_protection(&self, protection: &Protection) -> Result<Protection, ForgeError> {
        let body = serde_json::to_value(protection).unwrap_or_default();
        let path = ["branch_protections", protection.rule_name.as_str()];
        self.wire().read(&Call::patch("a change of the branch protection", &self.path(&path), body)).await
    }
}
