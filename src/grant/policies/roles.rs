//! `roles.toml`: the token role of grants and the roles by which the dispatcher and runs log in, each with every field (pure).

use serde_json::{Map, Value, json};

use super::PolicyError;

/// The roles that ship.
const SHIPPED: &str = include_str!("../../../policies/roles.toml");

/// The fields of a role.
pub type Fields = Map<String, Value>;

/// What a role is for; each has fields in which a site may differ from what ships without letting anybody else in, or giving more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The tokens of runs.
    Token,
    /// The dispatcher's login by `AppRole`.
    AppRole,
    /// The dispatcher's login by a JSON web token.
    Jwt,
    /// The login of runs by their own identity.
    Identity,
}

impl Purpose {
    const ALL: [Self; 4] = [Self::Token, Self::AppRole, Self::Jwt, Self::Identity];

    /// The table of `roles.toml`.
    fn word(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Jwt => "jwt",
            Self::Identity => "workload_identity",
        }
    }

    fn is_free(self, field: &str) -> bool {
        let own: &[&str] = match self {
            Self::Token => return ["token_explicit_max_ttl", "token_num_uses", "token_bound_cidrs"].contains(&field),
            Self::AppRole => &["secret_id_num_uses", "secret_id_ttl", "secret_id_bound_cidrs"],
            // Who may log in is the site's to say, as long as it says so.
            Self::Jwt => &[
                "user_claim",
                "user_claim_json_pointer",
                "bound_audiences",
                "bound_claims",
                "bound_claims_type",
                "bound_subject",
                "clock_skew_leeway",
                "expiration_leeway",
                "not_before_leeway",
                "max_age",
            ],
            Self::Identity => &[],
        };
        let of_the_token: &[&str] = match self {
            // A run's login is for minutes.
            Self::Identity => &["token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_bound_cidrs"],
            _ => &[
                "token_ttl",
                "token_max_ttl",
                "token_explicit_max_ttl",
                "token_period",
                "token_num_uses",
                "token_bound_cidrs",
            ],
        };
        own.contains(&field) || of_the_token.contains(&field)
    }

    /// In what `role` gives more than `shipped`, or lets in others. A field that does not ship may be an older name of one that does,
    /// as `policies` is of `token_policies`.
    pub fn beyond(self, role: &Fields, shipped: &Fields) -> Vec<String> {
        let mut differs = differing(shipped, role);
        differs.extend(differing(role, shipped));
        differs.sort_unstable();
        differs.dedup();
        differs.retain(|field| !self.is_free(field));
        // Further claims that are asked for let in fewer.
        differs.retain(|field| self != Self::Identity || field != "bound_claims" || !asks_all(role, shipped));
        let mut words: Vec<String> = differs.iter().map(|field| not_as_shipped(field, shipped)).collect();
        if self == Self::Jwt && ["bound_subject", "bound_claims"].iter().all(|field| is_unsaid(role, field)) {
            words.push("neither `bound_subject` nor `bound_claims` says who may log in".to_owned());
        }
        words
    }
}

fn asks_all(role: &Fields, shipped: &Fields) -> bool {
    let claims = |fields: &Fields| fields.get("bound_claims").and_then(Value::as_object).cloned().unwrap_or_default();
    let found = claims(role);
    claims(shipped).iter().all(|(claim, value)| found.get(claim) == Some(value))
}

fn not_as_shipped(field: &str, shipped: &Fields) -> String {
    match shipped.get(field) {
        Some(value) => format!("`{field}` is not {value}"),
        None => format!("`{field}` is no field of the shipped role"),
    }
}

fn is_unsaid(role: &Fields, field: &str) -> bool {
    role.get(field).is_none_or(is_nothing)
}

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
        let mut roles = Self::read(SHIPPED, "roles.toml")?;
        roles.token.insert("token_explicit_max_ttl".to_owned(), json!(token_ttl_seconds));
        Ok(roles)
    }

    /// Reads `text`, the content of `place`. Roles of logins that it leaves out altogether are as they ship.
    ///
    /// # Errors
    /// It is not TOML, or a role leaves a field out that ships: the server would keep whatever stands there.
    pub fn parse(text: &str, place: &str) -> Result<Self, PolicyError> {
        let (mut roles, shipped) = (Self::read(text, place)?, Self::read(SHIPPED, "roles.toml")?);
        if let Some((purpose, field)) = roles.missing(&shipped) {
            let detail =
                format!("[{}] does not say `{field}`, and the server keeps what a write leaves out", purpose.word());
            return Err(PolicyError::Roles { place: place.to_owned(), detail });
        }
        roles.approle = roles.approle.or(shipped.approle);
        roles.jwt = roles.jwt.or(shipped.jwt);
        roles.identity = roles.identity.or(shipped.identity);
        Ok(roles)
    }

    fn read(text: &str, place: &str) -> Result<Self, PolicyError> {
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
        Ok(roles)
    }

    /// The role for `purpose`, where there is one.
    pub fn of(&self, purpose: Purpose) -> Option<&Fields> {
        match purpose {
            Purpose::Token => Some(&self.token),
            Purpose::AppRole => self.approle.as_ref().map(|(_, fields)| fields),
            Purpose::Jwt => self.jwt.as_ref(),
            Purpose::Identity => self.identity.as_ref(),
        }
    }

    /// A field that one of these roles does not say, and the one that ships does.
    fn missing(&self, shipped: &Self) -> Option<(Purpose, String)> {
        Purpose::ALL.into_iter().find_map(|purpose| {
            let (own, shipped) = self.of(purpose).zip(shipped.of(purpose))?;
            let field = shipped.keys().find(|field| !own.contains_key(*field))?;
            Some((purpose, field.clone()))
        })
    }
}

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
        for purpose in Purpose::ALL {
            let role = roles.of(purpose).unwrap_or_else(|| panic!("{purpose:?}"));
            assert!(purpose.beyond(role, role).is_empty(), "{purpose:?}");
        }
    }

    #[test]
    fn a_role_that_leaves_a_field_out_is_refused_whatever_it_is_for() {
        for (table, field) in [
            ("[token]", "path_suffix = \"\"\n"),
            ("[approle]", "secret_id_ttl = 0\n"),
            ("[jwt]", "bound_subject = \"dispatch\"\n"),
            ("[workload_identity]", "token_type = \"batch\"\n"),
        ] {
            assert!(SHIPPED.contains(field), "{field}");
            let error = Roles::parse(&SHIPPED.replace(field, ""), "x/roles.toml").unwrap_err().to_string();
            let name = field.split(' ').next().unwrap();
            assert!(error.contains(&format!("{table} does not say `{name}`")), "{error}");
        }
    }

    #[test]
    fn roles_of_logins_that_a_file_leaves_out_are_as_they_ship() {
        let token = SHIPPED.split("[approle").next().unwrap();
        let (roles, shipped) = (Roles::parse(token, "x").unwrap(), Roles::shipped(3600).unwrap());
        for purpose in Purpose::ALL {
            assert_eq!(roles.of(purpose), shipped.of(purpose), "{purpose:?}");
        }
    }

    #[test]
    fn a_role_that_gives_more_is_named_and_a_shorter_life_is_not_more() {
        let shipped = Roles::shipped(3600).unwrap();
        let with = |purpose: Purpose, field: &str, value: Value| {
            let of_that = shipped.of(purpose).unwrap();
            let mut own = of_that.clone();
            own.insert(field.to_owned(), value);
            purpose.beyond(&own, of_that).join("; ")
        };
        for purpose in [Purpose::Token, Purpose::AppRole, Purpose::Jwt] {
            assert_eq!(with(purpose, "token_explicit_max_ttl", json!(60)), "", "{purpose:?}");
            assert_eq!(with(purpose, "policies", json!(["root"])), "`policies` is no field of the shipped role");
            let default = with(purpose, "token_no_default_policy", json!(false));
            assert_eq!(default, "`token_no_default_policy` is not true");
        }
        for purpose in [Purpose::AppRole, Purpose::Jwt] {
            let root = with(purpose, "token_policies", json!(["root"]));
            assert_eq!(root, "`token_policies` is not [\"service-dispatcher\"]", "{purpose:?}");
        }
        assert_eq!(with(Purpose::Token, "orphan", json!(false)), "`orphan` is not true");
        assert_eq!(with(Purpose::AppRole, "bind_secret_id", json!(false)), "`bind_secret_id` is not true");
        assert_eq!(with(Purpose::AppRole, "secret_id_num_uses", json!(1)), "");
        assert_eq!(with(Purpose::Jwt, "groups_claim", json!("groups")), "`groups_claim` is not \"\"");
        assert_eq!(with(Purpose::Jwt, "bound_subject", json!("system:ci")), "");
        let anybody = with(Purpose::Jwt, "bound_subject", json!(""));
        assert_eq!(anybody, "neither `bound_subject` nor `bound_claims` says who may log in");
    }

    #[test]
    fn zeros_that_the_server_leaves_out_are_no_difference() {
        let wanted = json!({ "a": 0, "b": [], "c": "", "d": 3600, "e": ["x"] });
        let found = json!({ "b": null, "d": 3600, "e": ["y"], "f": 1 });
        assert_eq!(differing(wanted.as_object().unwrap(), found.as_object().unwrap()), ["e"]);
    }
}
