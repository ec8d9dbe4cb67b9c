//! A corner of the testbed's Vault with a token role, secrets and their policies of its own, and grants made from them as a
//! dispatcher makes them.

use std::collections::BTreeSet;
use std::time::Duration;

use dispatch::runner::envelope::{Handover, Opens, SecretPlace, Wrapped, WrappingToken};
use dispatch::support::http::Times;
use dispatch::vault::token::{Mint, Revoked};
use dispatch::vault::{Session, Settings, Token, Trust, Vault, VaultError, WrapInfo};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::testbed::{Api, Testbed, unique};

/// The secrets that every corner has.
pub(crate) const SECRETS: [&str; 6] =
    ["GITHUB_TOKEN", "CODEBERG_TOKEN", "CLAWHUB_TOKEN", "DEPLOY_KEY", "NPM_TOKEN", "DOCKER_HUB_TOKEN"];

/// A corner of a Vault.
pub(crate) struct Corner {
    pub(crate) api: Api,
    /// Folder of the secrets, beginning of the policies' names, and the role's name.
    prefix: String,
}

impl Corner {
    /// In the testbed's Vault.
    pub(crate) fn new() -> Self {
        Self::of(Testbed::get().vault())
    }

    /// In this Vault.
    pub(crate) fn of(api: Api) -> Self {
        let this = Self { api, prefix: unique("t") };
        let role = json!({ "allowed_policies_glob": [format!("{}-*", this.prefix)], "orphan": true, "renewable": false,
            "token_type": "service", "token_no_default_policy": true });
        this.api.must("POST", &format!("/v1/auth/token/roles/{}", this.prefix), Some(&role));
        for name in SECRETS {
            this.write(name, &json!({ "value": value(name), "other": "beside" }));
            this.allow(name);
        }
        this
    }

    /// Writes a version of a secret.
    pub(crate) fn write(&self, name: &str, fields: &Value) {
        self.api.must("POST", &format!("/v1/{}", self.path(name)), Some(&json!({ "data": fields })));
    }

    /// Makes the policy of a secret.
    pub(crate) fn allow(&self, name: &str) {
        let policy = format!("path \"{}\" {{ capabilities = [\"read\"] }}", self.path(name));
        let path = format!("/v1/sys/policies/acl/{}-{name}", self.prefix);
        self.api.must("PUT", &path, Some(&json!({ "policy": policy })));
    }

    pub(crate) fn path(&self, name: &str) -> String {
        format!("kv/data/{}/{name}", self.prefix)
    }

    /// A grant of these secrets; of none: a nonce.
    pub(crate) fn grant(&self, names: &[&str]) -> Wrapped {
        self.grant_for(names, 300)
    }

    /// The same, with a wrapping that lives so long.
    pub(crate) fn grant_for(&self, names: &[&str], seconds: u64) -> Wrapped {
        if names.is_empty() {
            let nonce = unique("nonce");
            let content = json!({ "nonce": nonce }).as_object().unwrap().clone();
            let info = self.ask(async |session| session.wrap(content, seconds).await).unwrap();
            return self.wrapped(info, Opens::Nonce(nonce));
        }
        let policies: BTreeSet<String> = names.iter().map(|name| format!("{}-{name}", self.prefix)).collect();
        let mint = Mint {
            role: &self.prefix,
            policies: &policies,
            ttl_seconds: 600,
            wrap_seconds: seconds,
            meta: [("run".to_owned(), "deploy-1@2".to_owned())].into(),
        };
        let info = self.ask(async |session| session.mint_wrapped(&mint).await).unwrap();
        let place = |name: &str| SecretPlace { path: self.path(name), field: "value".to_owned() };
        let secrets = names.iter().map(|name| (name.parse().unwrap(), place(name))).collect();
        let accessor = info.wrapped_accessor.clone().unwrap();
        self.wrapped(info, Opens::Grant { accessor, secrets })
    }

    fn wrapped(&self, info: WrapInfo, opens: Opens) -> Wrapped {
        Wrapped {
            address: self.api.address.clone(),
            namespace: None,
            ca_pem: None,
            token: WrappingToken::Carried(info.token.secret().clone()),
            creation_path: info.creation_path,
            creation_time: info.creation_time,
            ttl_seconds: info.ttl,
            opens,
        }
    }

    /// Opens a wrapping as anybody can who has its token; answers its content.
    pub(crate) fn steal(&self, wrapped: &Wrapped) -> Value {
        let thief = self.with_token(wrapped);
        thief.must("POST", "/v1/sys/wrapping/unwrap", None)
    }

    /// The server, asked with the wrapping's token.
    pub(crate) fn with_token(&self, wrapped: &Wrapped) -> Api {
        Api::vault(&self.api.address, carried(wrapped).expose_secret())
    }

    pub(crate) fn is_alive(&self, accessor: &str) -> bool {
        self.api.ask("POST", "/v1/auth/token/lookup-accessor", Some(&json!({ "accessor": accessor }))).status == 200
    }

    pub(crate) fn revoke(&self, accessor: &str) -> Revoked {
        self.ask(async |session| session.revoke_accessor(accessor).await).unwrap()
    }

    /// Our client, with all rights.
    pub(crate) fn ask<T>(&self, call: impl AsyncFnOnce(Session) -> Result<T, VaultError>) -> Result<T, VaultError> {
        let times = Times { connect: Duration::from_secs(5), request: Duration::from_secs(30) };
        let addresses = [self.api.address.clone()];
        let settings = Settings { addresses: &addresses, namespace: None, trust: Trust::System(None), times };
        let token = Token::new(&SecretString::from(self.api.token.as_str())).unwrap();
        let session = Vault::new(settings).unwrap().session(token);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(session))
    }
}

/// The value of a secret in every corner.
pub(crate) fn value(name: &str) -> String {
    format!("canary-{}-0123456789abcdef", name.to_lowercase().replace('_', "/"))
}

/// The token in the envelope.
pub(crate) fn carried(wrapped: &Wrapped) -> &SecretString {
    match &wrapped.token {
        WrappingToken::Carried(token) => token,
        WrappingToken::Deposited(_) => panic!("it is deposited"),
    }
}

/// The grant's accessor.
pub(crate) fn accessor(wrapped: &Wrapped) -> &str {
    match &wrapped.opens {
        Opens::Grant { accessor, .. } => accessor,
        Opens::Nonce(_) => panic!("a nonce has no accessor"),
    }
}

/// As it goes into an envelope.
pub(crate) fn handover(wrapped: Wrapped) -> Handover {
    Handover::Wrapped(Box::new(wrapped))
}
