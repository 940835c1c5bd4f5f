//! The endpoints about credentials.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::wire::{
    AuditKind, AuditRow, Auth, AuthMode, AuthRequest, NewToken, RevokedToken, Session, Token,
    TokenRequest,
};

/// Credentials. The [`Error`] of each method says what is known about the effect.
impl Client {
    /// `GET /session`: what the credentials of this client are worth.
    ///
    /// # Errors
    /// Rejected with `unauthorized`.
    pub async fn whoami(&self) -> Result<Answer<Session>, Error> {
        self.run(Call::read("/api/v1/session"), decode::envelope).await
    }

    /// `GET /auth/mode`: whether the cluster asks for credentials.
    ///
    /// # Errors
    /// Rejected with `unauthorized`, `forbidden`.
    pub async fn auth_mode(&self) -> Result<Answer<Auth>, Error> {
        self.run(Call::read("/api/v1/auth/mode"), decode::envelope).await
    }

    /// `PUT /auth/mode`: sets whether the cluster asks for credentials. Safe to repeat.
    ///
    /// # Errors
    /// Rejected with `validation_error` while nobody could administer the cluster afterwards, and
    /// with `level_too_low`.
    pub async fn set_auth_mode(&self, mode: AuthMode) -> Result<Answer<Auth>, Error> {
        let call = Call::write(Method::PUT, "/api/v1/auth/mode", Repeat::Replace);
        self.run(call.json(&AuthRequest { mode })?, decode::envelope).await
    }

    /// `GET /auth/tokens`: all tokens that were not revoked, without their secrets.
    ///
    /// # Errors
    /// Rejected with `unauthorized`, `forbidden`.
    pub async fn tokens(&self) -> Result<Answer<Vec<Token>>, Error> {
        self.run(Call::read("/api/v1/auth/tokens"), decode::envelope).await
    }

    /// `GET /audit`: the rows of a kind above an id, oldest first; without one, the newest rows.
    ///
    /// # Errors
    /// Rejected with `unauthorized`, `forbidden`, `validation_error` when the limit is not 1 to
    /// 1,000.
    pub async fn audit(
        &self,
        kind: AuditKind,
        after: Option<u64>,
        limit: u64,
    ) -> Result<Answer<Vec<AuditRow>>, Error> {
        let after = after.map(|id| format!("&after={id}")).unwrap_or_default();
        let path = format!("/api/v1/audit?kind={}&limit={limit}{after}", kind.as_str());
        self.run(Call::read(path), decode::envelope).await
    }

    /// `POST /auth/tokens`: creates a token. The client does not repeat it: a token whose answer is
    /// lost is useless and should be revoked.
    ///
    /// # Errors
    /// Rejected with `validation_error`, `level_too_low`.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<Answer<NewToken>, Error> {
        let call = Call::write(Method::POST, "/api/v1/auth/tokens", Repeat::Once).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `DELETE /auth/tokens/{id}`: revokes a token for good. Safe to repeat.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn revoke_token(&self, id: u64) -> Result<Answer<RevokedToken>, Error> {
        let call =
            Call::write(Method::DELETE, format!("/api/v1/auth/tokens/{id}"), Repeat::Replace);
        self.run(call, decode::envelope).await
    }
}
