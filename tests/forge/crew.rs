//! The people: whoever writes, approves, looks on, and the dispatcher's own two users. Made once for all scenarios.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::api;

const PASSWORD: &str = "Fixture-Passw0rd";

/// Somebody with an account.
#[derive(Debug, Clone)]
pub(crate) struct Somebody {
    pub(crate) login: String,
    pub(crate) id: i64,
    pub(crate) token: String,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Crew {
    pub(crate) author: Somebody,
    pub(crate) first: Somebody,
    pub(crate) second: Somebody,
    /// May write, and is on no list.
    pub(crate) outsider: Somebody,
    pub(crate) reader: Somebody,
    pub(crate) writer: Somebody,
}

impl Somebody {
    /// A new user of this name, with a suffix of this process.
    pub(crate) async fn new(name: &str) -> Self {
        Self::named(&format!("{name}-{}", std::process::id())).await
    }

    pub(crate) async fn named(login: &str) -> Self {
        let body = json!({
            "username": login, "email": format!("{login}@example.invalid"), "password": PASSWORD,
            "must_change_password": false
        });
        let user = api::call(&api::admin(), Method::POST, "/admin/users", body).await;
        let tokens = format!("{}/api/v1/users/{login}/tokens", api::url());
        let scopes = json!({
            "name": "test", "scopes": ["write:repository", "write:issue", "read:user", "write:user"]
        });
        let made = api::client().post(tokens).basic_auth(login, Some(PASSWORD)).json(&scopes).send().await;
        let token: Value = serde_json::from_slice(&made.unwrap().bytes().await.unwrap()).unwrap();
        Self {
            login: login.to_owned(),
            id: user["id"].as_i64().unwrap(),
            token: token["sha1"].as_str().unwrap().to_owned(),
        }
    }

    pub(crate) fn mail(&self) -> String {
        format!("{}@example.invalid", self.login)
    }
}

pub(crate) async fn crew() -> &'static Crew {
    static CREW: OnceCell<Crew> = OnceCell::const_new();
    CREW.get_or_init(|| async {
        Crew {
            author: Somebody::new("author").await,
            first: Somebody::new("first").await,
            second: Somebody::new("second").await,
            outsider: Somebody::new("outsider").await,
            reader: Somebody::new("reader").await,
            writer: Somebody::new("writer").await,
        }
    })
    .await
}
