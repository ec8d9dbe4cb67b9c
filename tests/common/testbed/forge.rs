//! A repository of a test's own on the forge, and people with tokens. They go away with the testbed.

use serde_json::{Value, json};

use super::{Answer, Api, unique};

/// A private repository with one commit on `main`, in an organisation of its own.
#[derive(Debug)]
pub(crate) struct Repository {
    /// The organisation.
    pub(crate) owner: String,
    /// The name in it.
    pub(crate) name: String,
    /// Its number on the forge.
    pub(crate) id: i64,
    forge: Api,
}

/// What somebody may do in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Permission {
    Read,
    Write,
    Admin,
}

/// Somebody with an account.
#[derive(Debug)]
pub(crate) struct User {
    /// The login.
    pub(crate) name: String,
    /// The number, which a renamed user keeps.
    pub(crate) id: i64,
    /// The password.
    pub(crate) password: String,
    /// The forge, asked as this user.
    pub(crate) api: Api,
}

impl Repository {
    /// On that forge, asked as its administrator.
    pub(crate) fn new(forge: Api) -> Self {
        let owner = unique("org");
        forge.must("POST", "/api/v1/orgs", Some(&json!({ "username": owner, "visibility": "private" })));
        let wish = json!({ "name": "ops", "private": true, "auto_init": true, "default_branch": "main" });
        let made = forge.must("POST", &format!("/api/v1/orgs/{owner}/repos"), Some(&wish));
        Self { owner, name: "ops".to_owned(), id: made["id"].as_i64().unwrap(), forge }
    }

    /// `owner/name`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Where git clones it from, without a login.
    pub(crate) fn clone_url(&self) -> String {
        format!("{}/{}.git", self.forge.address, self.full_name())
    }

    /// The path of the API below this repository: `path("/pulls")`.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/api/v1/repos/{}{rest}", self.full_name())
    }

    /// Asks the forge about this repository, as the administrator.
    pub(crate) fn ask(&self, method: &str, rest: &str, body: Option<&Value>) -> Answer {
        self.forge.ask(method, &self.path(rest), body)
    }

    /// The same, and panics unless the forge agreed.
    pub(crate) fn must(&self, method: &str, rest: &str, body: Option<&Value>) -> Value {
        self.forge.must(method, &self.path(rest), body)
    }

    /// A new user whose name begins with `stem`, with this permission here and a token with these scopes, such as
    /// `["write:repository", "write:issue"]`.
    pub(crate) fn user(&self, stem: &str, permission: Permission, scopes: &[&str]) -> User {
        let name = unique(&format!("{stem}-"));
        let password = unique("Passw0rd-");
        // Without must_change_password=false every call with the password is refused.
        let wish = json!({
            "username": name, "email": format!("{name}@example.invalid"), "password": password, "must_change_password": false,
        });
        let id = self.forge.must("POST", "/api/v1/admin/users", Some(&wish))["id"].as_i64().unwrap();
        let permission = match permission {
            Permission::Read => "read",
            Permission::Write => "write",
            Permission::Admin => "admin",
        };
        let rest = format!("/collaborators/{name}");
        self.must("PUT", &rest, Some(&json!({ "permission": permission })));
        let api = self.token(&name, &password, scopes);
        User { name, id, password, api }
    }

    /// A token is made with the user's own password: no token can make another one.
    fn token(&self, name: &str, password: &str, scopes: &[&str]) -> Api {
        let wish = json!({ "name": unique("token"), "scopes": scopes });
        let made = Api::basic(&self.forge.address, name, password).must(
            "POST",
            &format!("/api/v1/users/{name}/tokens"),
            Some(&wish),
        );
        Api::forge(&self.forge.address, made["sha1"].as_str().unwrap())
    }
}
