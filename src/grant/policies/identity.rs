//! What must stand in Vault where runs take their grants by their own identity: the policy that lets each read the one place that is
//! its own, and the role by which they log in. The auth method itself, and whose keys it trusts, is an administrator's (docs/vault.md).

use serde_json::{Map, Value, json};

use super::roles::{Fields, Roles};
use super::{Policy, Site};

/// The policy of runs that have logged in by their identity. Not one of `runner-*`: no grant may hold it.
pub const HANDOVER: &str = "dispatch-handover";

const HANDOVER_SHAPE: &str = include_str!("../../../policies/dispatch-handover.hcl");
const ADDITION: &str = include_str!("../../../policies/service-dispatcher-handover.hcl");

/// What stands in the shipped policy for the accessor of the auth method.
const ACCESSOR: &str = "MOUNT_ACCESSOR";

impl Site {
    /// What the dispatcher may do besides, where runs have identities.
    pub(super) fn addition(&self) -> String {
        self.identity.as_ref().map(|_| self.render_handover(ADDITION)).unwrap_or_default()
    }

    /// The policy of runs, for the auth method with this accessor.
    pub fn handover_policy(&self, accessor: &str) -> Policy {
        // The words above it speak of the placeholder; what stands on the server has none.
        let rules = HANDOVER_SHAPE.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let text = self.render_handover(&rules).replace(ACCESSOR, accessor) + "\n";
        Policy { name: HANDOVER.to_owned(), shape: text.clone(), text }
    }

    /// The role of runs as `roles` have it, else as it ships: with the audience and the namespace of the configuration, without which
    /// no run would be let in.
    pub fn identity_role(&self, roles: &Roles, shipped: &Roles) -> Fields {
        let mut fields = roles.identity.as_ref().or(shipped.identity.as_ref()).cloned().unwrap_or_default();
        let Some(identity) = &self.identity else { return fields };
        fields.insert("bound_audiences".to_owned(), json!([identity.audience]));
        if let Some(namespace) = &self.namespace {
            let claims = fields.entry("bound_claims").or_insert_with(|| Value::Object(Map::new()));
            if let Some(claims) = claims.as_object_mut() {
                claims.insert("nomad_namespace".to_owned(), json!(namespace));
            }
        }
        fields
    }

    fn render_handover(&self, shape: &str) -> String {
        let Some(identity) = &self.identity else { return shape.to_owned() };
        let (mount, prefix) = (&self.mount, &identity.prefix);
        shape
            .replace("kv/data/disinto/handover/", &format!("{mount}/data/{prefix}"))
            .replace("kv/metadata/disinto/handover/", &format!("{mount}/metadata/{prefix}"))
            .replace("auth/jwt-nomad/role/dispatch-run", &format!("auth/{}/role/{}", identity.mount, identity.role))
    }
}

#[cfg(test)]
mod tests {
    use super::super::hcl;
    use super::super::roles::Purpose;
    use super::*;
    use crate::config::types::WorkloadIdentity;

    fn site() -> Site {
        let identity = WorkloadIdentity {
            mount: "nomads".to_owned(),
            role: "runs".to_owned(),
            audience: "vault".to_owned(),
            prefix: "ci/handed/".to_owned(),
        };
        Site {
            mount: "team/kv".to_owned(),
            prefix: "ci/secrets/".to_owned(),
            role: "jobs".to_owned(),
            identity: Some(identity),
            namespace: Some("jobs-ns".to_owned()),
        }
    }

    #[test]
    fn a_run_may_read_the_place_of_its_own_allocation_and_nothing_else() {
        let policy = site().handover_policy("auth_jwt_1");
        let stanzas = hcl::parse(&policy.text).unwrap();
        let path = "team/kv/data/ci/handed/{{identity.entity.aliases.auth_jwt_1.name}}";
        assert_eq!(stanzas.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), [path]);
        assert_eq!(stanzas[0].capabilities, ["read".to_owned()].into());
    }

    #[test]
    fn the_dispatcher_may_put_down_and_remove_and_never_read_and_only_where_runs_have_identities() {
        let with = hcl::parse(&site().dispatcher_policy()).unwrap();
        let of = |path: &str| {
            let found = with.iter().find(|one| one.path == path).unwrap_or_else(|| panic!("{path}"));
            found.capabilities.iter().cloned().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of("team/kv/data/ci/handed/*"), "create update");
        assert_eq!(of("team/kv/metadata/ci/handed/*"), "delete");
        assert_eq!(
            (of("auth/nomads/role/runs").as_str(), of("sys/policies/acl/dispatch-handover").as_str()),
            ("read", "read")
        );
        let without = Site { identity: None, ..site() }.dispatcher_policy();
        assert_eq!(hcl::parse(&without).unwrap().len(), with.len() - 4);
    }

    #[test]
    fn the_role_takes_the_identities_of_the_configured_namespace_and_audience_and_says_every_field() {
        let shipped = Roles::shipped(60).unwrap();
        let role = site().identity_role(&Roles::default(), &shipped);
        assert_eq!(role["bound_audiences"], json!(["vault"]));
        assert_eq!(role["bound_claims"], json!({ "nomad_namespace": "jobs-ns", "nomad_task": "runner" }));
        assert_eq!((&role["user_claim"], &role["token_policies"]), (&json!("nomad_allocation_id"), &json!([HANDOVER])));
        assert_eq!(role.len(), 25);
    }

    #[test]
    fn a_role_that_lets_others_in_or_gives_more_is_named_and_a_narrower_one_is_not() {
        let shipped = Roles::shipped(60).unwrap();
        let wanted = site().identity_role(&shipped, &shipped);
        let with = |field: &str, value: Value| {
            let mut role = wanted.clone();
            role.insert(field.to_owned(), value);
            Purpose::Identity.beyond(&role, &wanted)
        };
        assert!(with("token_ttl", json!(30)).is_empty());
        let narrower = json!({ "nomad_namespace": "jobs-ns", "nomad_task": "runner", "nomad_job_id": "vault-runner" });
        assert!(with("bound_claims", narrower).is_empty());
        assert_eq!(with("user_claim", json!("nomad_job_id")), ["`user_claim` is not \"nomad_allocation_id\""]);
        assert_eq!(with("bound_claims", json!({ "nomad_namespace": "jobs-ns" })).len(), 1);
        assert_eq!(with("token_policies", json!(["dispatch-handover", "root"])).len(), 1);
        assert_eq!(with("policies", json!(["root"])).len(), 1);
    }
}
