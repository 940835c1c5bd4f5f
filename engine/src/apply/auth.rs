//! The commands about tokens and the mode.

use crate::actor::Actor;
use crate::apply::context::Context;
use crate::auth::{LABEL_BYTES_MAX, Mode, OWNER_BYTES_MAX, Scopes, Token};
use crate::command::{Command, CreateToken, RevokeToken, SetAuth};
use crate::ids::UserId;
use crate::outcome::{Outcome, Rejection};
#[cfg(feature = "planted-bugs")]
use crate::planted::{Bug, is_planted};
use crate::state::State;
use crate::tokens::Auth;

impl State {
    /// The mode and the tokens.
    pub fn auth(&self) -> &Auth {
        self.tokens.auth()
    }

    /// Whether the sender of a command may act here and now. The node that took the request judged
    /// its scopes by what it had applied, and scopes never change; the token may have been revoked
    /// or have expired since, or credentials may be required by now.
    pub(crate) fn may_act(&self, actor: Actor, command: &Command) -> bool {
        let auth = self.tokens.auth();
        match actor {
            Actor::Token(id) => auth.token(id).is_some_and(|token| token.is_live(self.clock)),
            Actor::Nobody => auth.mode() != Mode::Required || needs_nobody(command),
            Actor::System | Actor::Root(_) | Actor::Customer { .. } => true,
        }
    }

    /// The user whose rows the sender of a command is limited to.
    pub fn bound_user(&self, actor: Actor) -> Option<UserId> {
        match actor {
            Actor::Customer { user } => Some(user),
            Actor::Token(id) => self.tokens.auth().token(id)?.user,
            Actor::Nobody | Actor::System | Actor::Root(_) => None,
        }
    }

    /// Sets whether requests need credentials.
    pub(crate) fn set_auth(&mut self, command: &SetAuth) -> Outcome {
        let changed = self.tokens.set_mode(command.mode);
        Outcome::AuthSet { mode: command.mode, already: !changed }
    }

    /// Creates a token.
    pub(crate) fn create_token(
        &mut self,
        cx: &Context<'_>,
        command: CreateToken,
    ) -> Result<Outcome, Rejection> {
        let CreateToken { hash, owner, user, scopes, label, ttl_ms } = command;
        if !(1..=OWNER_BYTES_MAX).contains(&owner.len()) {
            return Err(Rejection::Invalid("owner"));
        }
        if label.len() > LABEL_BYTES_MAX {
            return Err(Rejection::Invalid("label"));
        }
        let allowed = if user.is_some() { Scopes::OF_USERS } else { Scopes::ALL };
        if scopes == Scopes::default() || !scopes.is_within(allowed) {
            return Err(Rejection::Invalid("scopes"));
        }
        if ttl_ms == Some(0) {
            return Err(Rejection::Invalid("expires_in_s"));
        }
        if !self.tokens.has_room(cx.at, &mut self.hasher) {
            return Err(Rejection::TooManyTokens);
        }
        let id = self.tokens.next_id();
        let expires_at = ttl_ms.map(|ttl_ms| cx.at.plus_ms(ttl_ms));
        let (created, created_at) = (cx.position, cx.at);
        let token = Token { id, hash, owner, user, scopes, label, created, created_at, expires_at };
        self.tokens.create(token, &mut self.hasher);
        Ok(Outcome::TokenCreated(id))
    }

    /// Revokes a token.
    pub(crate) fn revoke_token(&mut self, command: &RevokeToken) -> Result<Outcome, Rejection> {
        let token = command.token;
        if !self.tokens.existed(token) {
            return Err(Rejection::TokenNotFound(token));
        }
        #[cfg(feature = "planted-bugs")]
        if is_planted(Bug::RevocationLost) {
            return Ok(Outcome::TokenRevoked { token, already: false });
        }
        let already = !self.tokens.revoke(token, &mut self.hasher);
        Ok(Outcome::TokenRevoked { token, already })
    }
}

/// Whether nobody has to ask for a command: nodes send it by themselves, or it has a signature.
fn needs_nobody(command: &Command) -> bool {
    matches!(
        command,
        Command::PaymentWebhook(_)
            | Command::ClaimPayments(_)
            | Command::SettlePayments(_)
            | Command::Tick
            | Command::BeginCluster(_)
            | Command::RaiseLevel(_)
    )
}
