//! Creating users.

use crate::apply::context::Context;
use crate::command::CreateUser;
use crate::ids::UserId;
use crate::outcome::{Outcome, Rejection};
use crate::state::State;
use crate::user::{FIELD_BYTES_MAX, User};

impl State {
    /// Creates a user whose address no other user has.
    pub(crate) fn create_user(
        &mut self,
        cx: &Context<'_>,
        command: CreateUser,
    ) -> Result<Outcome, Rejection> {
        if !(1..=FIELD_BYTES_MAX).contains(&command.name.len()) {
            return Err(Rejection::Invalid("name"));
        }
        if !(1..=FIELD_BYTES_MAX).contains(&command.email.len()) {
            return Err(Rejection::Invalid("email"));
        }
        if self.users.by_email(&command.email).is_some() {
            return Err(Rejection::EmailTaken);
        }
        let id = UserId(self.users.len() as u64 + 1);
        let (name, email) = (command.name, command.email);
        let user = User { id, name, email, created_at: cx.at, version: cx.position };
        self.users.create(user, &mut self.hasher);
        self.totals.users_created += 1;
        Ok(Outcome::UserCreated(id))
    }
}
