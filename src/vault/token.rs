//! Tokens and their accessors: minting one wrapped, looking at one without having it, taking one back.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};
use vaultrs::api::token::requests::{
    CreateRoleTokenRequest, LookupTokenAccessorRequest, LookupTokenSelfRequest, RenewTokenSelfRequest,
    RevokeTokenAccessorRequest,
};

use super::answer::{Answer, Auth, WrapInfo};
use super::call::Call;
use super::client::Session;
use super::error::{VaultError, Why};

/// What to mint.
#[derive(Debug, Clone)]
pub struct Mint<'a> {
    /// The token role.
    pub role: &'a str,
    /// The policies: exactly these.
    pub policies: &'a BTreeSet<String>,
    /// How long the token lives, in seconds; the role may cap it without saying so, see [`Lookup::creation_ttl`].
    pub ttl_seconds: u64,
    /// How long its wrapping lives, in seconds.
    pub wrap_seconds: u64,
    /// For Vault's audit log: which run it is for.
    pub meta: BTreeMap<String, String>,
}

/// A token, seen by its accessor or by itself.
#[derive(Debug, Clone, Deserialize)]
pub struct Lookup {
    /// Its accessor.
    pub accessor: String,
    /// Its policies, in lower case and sorted. One that does not exist is listed all the same.
    #[serde(default)]
    pub policies: Vec<String>,
    /// Policies that it has from an entity; absent where there is none.
    #[serde(default)]
    pub identity_policies: Option<Vec<String>>,
    /// Whether it outlives its maker's token.
    #[serde(default)]
    pub orphan: bool,
    /// The token role that it was made with.
    #[serde(default)]
    pub role: Option<String>,
    /// Seconds that it was given; 0: no end.
    #[serde(default)]
    pub creation_ttl: u64,
    /// Seconds that are left.
    #[serde(default)]
    pub ttl: u64,
    /// Uses that are left; 0: any number; below 0: it is used up, and the server has not cleared it away yet.
    #[serde(default)]
    pub num_uses: i64,
    /// Whether it can be renewed.
    #[serde(default)]
    pub renewable: bool,
    /// `service` or `batch`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The path that made it.
    #[serde(default)]
    pub path: String,
    /// What its maker wrote to it.
    #[serde(default)]
    pub meta: Option<BTreeMap<String, Value>>,
    /// The entity behind it; empty: none.
    #[serde(default)]
    pub entity_id: String,
}

/// What a revocation found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// It lived and is dead now.
    Now,
    /// There was none, or not any more: 200 with a warning; or one that is used up: 400.
    AlreadyGone,
}

impl Session {
    /// Mints a token that only a wrapping shows. With [`super::error::Effect::Unknown`] there may be one that nobody holds.
    ///
    /// # Errors
    /// Refused, or answered without a wrapping (a token in the clear: it should be revoked, and the server's policy be looked at).
    pub async fn mint_wrapped(&self, mint: &Mint<'_>) -> Result<WrapInfo, VaultError> {
        let request = CreateRoleTokenRequest::builder()
            .role_name(mint.role)
            .policies(mint.policies.iter().cloned().collect::<Vec<_>>())
            .ttl(format!("{}s", mint.ttl_seconds))
            .meta(mint.meta.clone().into_iter().collect::<std::collections::HashMap<_, _>>())
            .build();
        let call = || format!("POST auth/token/create/{}", mint.role);
        let unexpected = |expected| self.vault().error(call(), Why::Unexpected { expected });
        let request = request.map_err(|_| unexpected("a complete request"))?;
        let answer = self.ask_wrapped(request, mint.wrap_seconds).await?;
        answer.wrap_info.ok_or_else(|| unexpected("a wrapping"))
    }

    /// The token with this accessor. One that is used up counts as dead while the server still has its accessor: of a wrapping that
    /// somebody wrapped anew it keeps that (with -1 uses, seen on 1.21) until the time of the wrapping is over.
    ///
    /// # Errors
    /// [`Why::NoSuchAccessor`] when it is dead, or refused.
    pub async fn lookup_accessor(&self, accessor: &str) -> Result<Lookup, VaultError> {
        let request = LookupTokenAccessorRequest { accessor: accessor.to_owned() };
        let call = "POST auth/token/lookup-accessor";
        let found: Lookup = self.data(call, self.ask(request).await?)?;
        if found.num_uses < 0 { Err(self.vault().error(call.to_owned(), Why::NoSuchAccessor)) } else { Ok(found) }
    }

    /// Revokes the token with this accessor. When this returns the token is dead everywhere.
    ///
    /// # Errors
    /// Refused.
    pub async fn revoke_accessor(&self, accessor: &str) -> Result<Revoked, VaultError> {
        let request = RevokeTokenAccessorRequest { accessor: accessor.to_owned() };
        let answer = match self.ask(request).await {
            Err(VaultError { why: Why::NoSuchAccessor, .. }) => return Ok(Revoked::AlreadyGone),
            answer => answer?,
        };
        Ok(if answer.warnings.is_some_and(|all| !all.is_empty()) { Revoked::AlreadyGone } else { Revoked::Now })
    }

    /// What the token with this accessor may do on each of `paths`. The only place where a policy that does not exist shows: its
    /// paths are `deny`.
    ///
    /// # Errors
    /// [`Why::NoSuchAccessor`] when it is dead, or refused.
    pub async fn capabilities_accessor(
        &self,
        accessor: &str,
        paths: &[String],
    ) -> Result<BTreeMap<String, Vec<String>>, VaultError> {
        let request = Call::post("sys/capabilities-accessor", json!({ "accessor": accessor, "paths": paths }));
        self.capabilities("POST sys/capabilities-accessor", self.ask(request).await?, paths)
    }

    /// What this session's own token may do on each of `paths`. Rules about parameters do not show in it.
    ///
    /// # Errors
    /// Refused.
    pub async fn capabilities_self(&self, paths: &[String]) -> Result<BTreeMap<String, Vec<String>>, VaultError> {
        let request = Call::post("sys/capabilities-self", json!({ "paths": paths }));
        self.capabilities("POST sys/capabilities-self", self.ask(request).await?, paths)
    }

    /// This session's own token.
    ///
    /// # Errors
    /// [`Why::TokenDead`], or refused.
    pub async fn lookup_self(&self) -> Result<Lookup, VaultError> {
        self.data("GET auth/token/lookup-self", self.ask(LookupTokenSelfRequest {}).await?)
    }

    /// Renews this session's own token. Near its end the lease comes out smaller than before: time to log in anew.
    ///
    /// # Errors
    /// [`Why::Refused`] when it cannot be renewed, or as any call.
    pub async fn renew_self(&self) -> Result<Auth, VaultError> {
        let answer = self.ask(RenewTokenSelfRequest { increment: None }).await?;
        let missing = || Why::Unexpected { expected: "a renewed lease" };
        answer.auth.ok_or_else(|| self.vault().error("POST auth/token/renew-self".to_owned(), missing()))
    }

    fn data<T: serde::de::DeserializeOwned>(&self, call: &str, answer: Answer) -> Result<T, VaultError> {
        answer.data("what a lookup has").map_err(|why| self.vault().error(call.to_owned(), why))
    }

    fn capabilities(
        &self,
        call: &str,
        answer: Answer,
        paths: &[String],
    ) -> Result<BTreeMap<String, Vec<String>>, VaultError> {
        let mut all: BTreeMap<String, Vec<String>> =
            answer.data("capabilities by path").map_err(|why| self.vault().error(call.to_owned(), why))?;
        // With one path the server adds a key `capabilities`; a path that it left out is one that is denied.
        let of = |path: &String| all.remove(path).unwrap_or_else(|| vec!["deny".to_owned()]);
        Ok(paths.iter().cloned().zip(paths.iter().map(of)).collect())
    }
}
