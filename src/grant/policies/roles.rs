//! `roles.toml`: the token role of grants and the roles by which the dispatcher and runs log in, each with every field (pure).

use serde_json::{Map, Value, json};

use super::PolicyError;

/// The roles that ship.
const SHIPPED: &str = include_str!("../../../policies/roles.toml");

/// The fields of a role.
pub type Fields = Map<String, Value>;

/// Fields of the token role in which a site may differ from what ships without giving a grant more.
const FREE: [&str; 3] = ["token_explicit_max_ttl", "token_num_uses", "token_bound_cidrs"];

/// The roles of one site.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Roles {
    /// For the tokens of runs.
    pub token: Fields,
    /// For the dispatcher's login by `AppRole`, and its name.
    pub approle: Option<(String, Fields)>,
    /// For the dispatcher's login by a JSON web token.
    pub jwt: Option<Fields>,
    /// For the login of runs by their own identity.
    pub identity: Option<Fields>,
}

impl Roles {
    /// The roles that ship, with the longest life of a grant as it is configured.
    ///
    /// # Errors
    /// Never for what ships: a test reads it.
    pub fn shipped(token_ttl_seconds: u32) -> Result<Self, PolicyError> {
        let mut roles = Self::parse(SHIPPED, "roles.toml")?;
        roles.token.insert("token_explicit_max_ttl".to_owned(), json!(token_ttl_seconds));
        Ok(roles)
    }

    /// Reads `text`, the content of `place`.
    ///
    /// # Errors
    /// It is not TOML, or a role leaves a field out that ships: the server would keep whatever stands there.
    pub fn parse(text: &str, place: &str) -> Result<Self, PolicyError> {
        let wrong = |detail: String| PolicyError::Roles { place: place.to_owned(), detail };
        let all: Map<String, Value> = toml::from_str(text).map_err(|error| wrong(error.message().to_owned()))?;
        let mut roles = Self::default();
        for (kind, table) in all {
            let one = |table: Value| match table {
                Value::Object(named) if named.len() == 1 => named.into_iter().next(),
                _ => None,
            };
            let Some((name, Value::Object(fields))) = one(table) else {
                return Err(wrong(format!("[{kind}] does not hold exactly one role")));
            };
            match kind.as_str() {
                "token" => roles.token = fields,
                "approle" => roles.approle = Some((name, fields)),
                "jwt" => roles.jwt = Some(fields),
                "workload_identity" => roles.identity = Some(fields),
                _ => return Err(wrong(format!("`{kind}` is none of token, approle, jwt, workload_identity"))),
            }
        }
        roles.missing().map_or(Ok(roles.clone()), |field| {
            Err(wrong(format!("[token] does not say `{field}`, and the server keeps what a write leaves out")))
        })
    }

    fn missing(&self) -> Option<&'static str> {
        TOKEN_FIELDS.into_iter().find(|field| !self.token.contains_key(*field))
    }

    /// In what the token role gives a grant more than the one that ships.
    pub fn beyond(&self, shipped: &Self) -> Vec<String> {
        let differs =
            differing(&self.token, &shipped.token).into_iter().filter(|field| !FREE.contains(&field.as_str()));
        differs.map(|field| format!("`{field}` is not {}", shown(shipped.token.get(&field)))).collect()
    }
}

fn shown(value: Option<&Value>) -> String {
    value.map(Value::to_string).unwrap_or_default()
}

/// All fields of a token role.
const TOKEN_FIELDS: [&str; 14] = [
    "allowed_policies",
    "allowed_policies_glob",
    "disallowed_policies",
    "disallowed_policies_glob",
    "orphan",
    "renewable",
    "token_type",
    "token_no_default_policy",
    "token_explicit_max_ttl",
    "token_num_uses",
    "token_bound_cidrs",
    "token_period",
    "allowed_entity_aliases",
    "path_suffix",
];

/// The fields of `wanted` that `found` has otherwise. What the server leaves out of its answer is nothing, whatever its type.
pub fn differing(wanted: &Fields, found: &Fields) -> Vec<String> {
    let same = |field: &String, value: &Value| match found.get(field) {
        Some(other) => other == value || (is_nothing(other) && is_nothing(value)),
        None => is_nothing(value),
    };
    wanted.iter().filter(|(field, value)| !same(field, value)).map(|(field, _)| field.clone()).collect()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ships_is_read_and_gives_no_more_than_itself() {
        let roles = Roles::shipped(3600).unwrap();
        assert!(roles.beyond(&roles).is_empty());
        assert!(roles.approle.is_some() && roles.jwt.is_some());
    }

    #[test]
    fn a_role_that_leaves_a_field_out_is_refused() {
        let error = Roles::parse(&SHIPPED.replace("path_suffix = \"\"\n", ""), "x/roles.toml").unwrap_err();
        assert!(error.to_string().contains("`path_suffix`"), "{error}");
    }

    #[test]
    fn a_role_that_gives_more_is_named_and_a_shorter_life_is_not_more() {
        let shipped = Roles::shipped(3600).unwrap();
        let mut own = shipped.clone();
        own.token.insert("orphan".to_owned(), json!(false));
        own.token.insert("token_explicit_max_ttl".to_owned(), json!(60));
        assert_eq!(own.beyond(&shipped), ["`orphan` is not true"]);
    }

    #[test]
    fn zeros_that_the_server_leaves_out_are_no_difference() {
        let wanted = json!({ "a": 0, "b": [], "c": "", "d": 3600, "e": ["x"] });
        let found = json!({ "b": null, "d": 3600, "e": ["y"], "f": 1 });
        assert_eq!(differing(wanted.as_object().unwrap(), found.as_object().unwrap()), ["e"]);
    }
}
