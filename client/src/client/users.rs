//! The endpoints under `/users`.

use hyper::Method;

use super::Client;
use crate::answer::Answer;
use crate::call::Call;
use crate::decode;
use crate::error::Error;
use crate::retry::Repeat;
use crate::wire::{User, UserRequest};

/// Users. The [`Error`] of each method says what is known about the effect.
impl Client {
    /// `POST /users`: creates a user. The client does not retry it after an unknown outcome, since
    /// the second request would be refused for its address.
    ///
    /// # Errors
    /// Rejected with `validation_error`.
    pub async fn create_user(&self, request: &UserRequest) -> Result<Answer<User>, Error> {
        let call = Call::write(Method::POST, "/api/v1/users", Repeat::Once).json(request)?;
        self.run(call, decode::envelope).await
    }

    /// `GET /users/{id}`.
    ///
    /// # Errors
    /// Rejected with `not_found`.
    pub async fn user(&self, id: u64) -> Result<Answer<User>, Error> {
        self.run(Call::read(format!("/api/v1/users/{id}")), decode::envelope).await
    }
}
