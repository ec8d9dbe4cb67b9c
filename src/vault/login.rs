//! How a token is got in exchange for something else.

use rustify::Endpoint;
use secrecy::{ExposeSecret as _, SecretString};
use vaultrs::api::auth::approle::requests::LoginWithApproleRequest;
use vaultrs::api::auth::oidc::requests::JWTLoginRequest;

use super::answer::Auth;
use super::client::{Vault, With, named};
use super::error::{VaultError, Why};

impl Vault {
    /// AppRole, mounted at `mount`.
    ///
    /// # Errors
    /// [`Why::Refused`] when role id and secret id do not fit, or the secret id is used up; or as any call.
    pub async fn login_approle(
        &self,
        mount: &str,
        role_id: &str,
        secret_id: &SecretString,
    ) -> Result<Auth, VaultError> {
        let request = LoginWithApproleRequest {
            mount: mount.to_owned(),
            role_id: role_id.to_owned(),
            secret_id: secret_id.expose_secret().to_owned(),
        };
        self.login(request, secret_id).await
    }

    /// A JWT, such as a Nomad workload's identity, for the role `role` of the method mounted at `mount`.
    ///
    /// # Errors
    /// [`Why::Refused`] with the claim that does not hold, or as any call.
    pub async fn login_jwt(&self, mount: &str, role: &str, jwt: &SecretString) -> Result<Auth, VaultError> {
        let request = JWTLoginRequest {
            mount: mount.to_owned(),
            jwt: jwt.expose_secret().to_owned(),
            role: Some(role.to_owned()),
        };
        self.login(request, jwt).await
    }

    async fn login(&self, request: impl Endpoint, secret: &SecretString) -> Result<Auth, VaultError> {
        let call = named(&request);
        let answer = self.ask(request, With { hidden: &[secret], ..With::default() }).await?;
        answer.auth.ok_or_else(|| self.error(call, Why::Unexpected { expected: "a token" }))
    }
}
