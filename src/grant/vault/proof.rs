//! Whether a minted token is exactly what was asked for (pure). The server lists a policy that does not exist, caps a TTL without a
//! word and lets an entity add to a token, so each of these is looked at.

use std::collections::{BTreeMap, BTreeSet};

use crate::vault::token::Lookup;

/// What was asked for.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// The token role.
    pub(super) role: &'a str,
    /// The policies, in lower case.
    pub(super) policies: &'a BTreeSet<String>,
    /// Seconds that it was to live.
    pub(super) ttl_seconds: u64,
}

impl Wanted<'_> {
    /// In what `token` is another one; empty where it is in nothing.
    pub(super) fn amiss(&self, token: &Lookup) -> Vec<String> {
        let found: BTreeSet<String> = token.policies.iter().map(|policy| policy.to_lowercase()).collect();
        let listed = |policies: &BTreeSet<String>| policies.iter().cloned().collect::<Vec<_>>().join(", ");
        let identity = token.identity_policies.iter().flatten().cloned().collect::<Vec<_>>().join(", ");
        let (role, ttl, asked) = (token.role.as_deref().unwrap_or("none"), token.creation_ttl, self.ttl_seconds);
        let holds = [
            (
                found == *self.policies,
                format!("its policies are {}, and {} were asked for", listed(&found), listed(self.policies)),
            ),
            (
                identity.is_empty() && token.entity_id.is_empty(),
                format!("it belongs to an entity, whose policies it has too: {identity}"),
            ),
            (token.orphan, "it is no orphan: it would die with the dispatcher's token".to_owned()),
            (!token.renewable, "it can be renewed".to_owned()),
            (token.kind == "service", format!("it is a {} token", token.kind)),
            (role == self.role, format!("its role is {role}, not {}", self.role)),
            (ttl == asked, format!("it lives for {ttl} s, and {asked} s were asked for")),
        ];
        holds.into_iter().filter(|(holds, _)| !holds).map(|(_, words)| words).collect()
    }
}

/// The paths on which a token may do anything else than read.
pub(super) fn unreadable(capabilities: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let only_read = |all: &Vec<String>| all.as_slice() == ["read"];
    let named = |(path, all): (&String, &Vec<String>)| format!("`{path}` is {}", all.join(", "));
    capabilities.iter().filter(|(_, all)| !only_read(all)).map(named).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn amiss(change: &[(&str, Value)]) -> Vec<String> {
        let mut token = json!({
            "accessor": "a", "policies": ["runner-a", "runner-b"], "orphan": true, "role": "runner", "creation_ttl": 600,
            "ttl": 599, "type": "service", "path": "auth/token/create/runner", "entity_id": "", "renewable": false,
        });
        for (field, value) in change {
            token[*field] = value.clone();
        }
        let policies = ["runner-a", "runner-b"].map(str::to_owned).into();
        let wanted = Wanted { role: "runner", policies: &policies, ttl_seconds: 600 };
        wanted.amiss(&serde_json::from_value(token).unwrap())
    }

    #[test]
    fn a_token_that_is_what_was_asked_for_has_nothing_amiss() {
        assert!(amiss(&[]).is_empty());
        assert!(amiss(&[("policies", json!(["Runner-B", "runner-A"]))]).is_empty(), "compared in lower case, as sets");
    }

    #[test]
    fn each_thing_that_is_not_as_asked_is_named() {
        for (field, value, part) in [
            ("policies", json!(["runner-a"]), "its policies are runner-a, and"),
            ("policies", json!(["runner-a", "runner-b", "default"]), "default"),
            ("identity_policies", json!(["runner-c"]), "runner-c"),
            ("entity_id", json!("e1"), "entity"),
            ("orphan", json!(false), "orphan"),
            ("renewable", json!(true), "renewed"),
            ("role", json!("other"), "its role is other"),
            ("creation_ttl", json!(60), "lives for 60 s, and 600 s"),
            ("type", json!("batch"), "batch"),
        ] {
            let found = amiss(&[(field, value)]);
            assert!(found.len() == 1 && found[0].contains(part), "{field}: {found:?}");
        }
    }

    #[test]
    fn a_path_that_is_denied_or_more_than_readable_is_named() {
        let all = [("a", vec!["read"]), ("b", vec!["deny"]), ("c", vec!["list", "read"])];
        let all = all.map(|(path, all)| (path.to_owned(), all.into_iter().map(str::to_owned).collect())).into();
        assert_eq!(unreadable(&all), ["`b` is deny", "`c` is list, read"]);
    }
}
