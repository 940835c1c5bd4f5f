//! Tokens and the mode.

use engine::actor::Actor;
use engine::auth::{Mode, Scopes, TOKENS_MAX, Token};
use engine::command::{Command, CreateToken};
use engine::ids::{TokenId, UserId};
use engine::outcome::{Outcome, Rejection};

use crate::model::{At, Model};

impl Model {
    pub(crate) fn set_auth(&mut self, mode: Mode) -> Outcome {
        let already = self.auth_mode == mode;
        self.auth_mode = mode;
        Outcome::AuthSet { mode, already }
    }

    pub(crate) fn create_token(
        &mut self,
        at: &At<'_>,
        command: CreateToken,
    ) -> Result<Outcome, Rejection> {
        let CreateToken { hash, owner, user, scopes, label, ttl_ms } = command;
        if owner.is_empty() || owner.len() > 64 {
            return Err(Rejection::Invalid("owner"));
        }
        if label.len() > 100 {
            return Err(Rejection::Invalid("label"));
        }
        let customers_may = scopes.iter().all(|scope| Scopes::OF_USERS.has(scope));
        if scopes.iter().count() == 0 || (user.is_some() && !customers_may) {
            return Err(Rejection::Invalid("scopes"));
        }
        if ttl_ms == Some(0) {
            return Err(Rejection::Invalid("expires_in_s"));
        }
        let now = self.clock;
        if self.live_tokens().count() >= TOKENS_MAX {
            self.tokens.iter_mut().for_each(|token| drop(token.take_if(|it| !it.is_live(now))));
        }
        if self.live_tokens().count() >= TOKENS_MAX {
            return Err(Rejection::TooManyTokens);
        }
        let id = TokenId(self.tokens.len() as u64 + 1);
        let (created, expires_at) = (at.position, ttl_ms.map(|ttl_ms| now.plus_ms(ttl_ms)));
        let created_at = now;
        let token = Token { id, hash, owner, user, scopes, label, created, created_at, expires_at };
        self.tokens.push(Some(token));
        Ok(Outcome::TokenCreated(id))
    }

    pub(crate) fn revoke_token(&mut self, token: TokenId) -> Result<Outcome, Rejection> {
        let at = token.0.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        let row = at.and_then(|at| self.tokens.get_mut(at));
        let row = row.ok_or(Rejection::TokenNotFound(token))?;
        Ok(Outcome::TokenRevoked { token, already: row.take().is_none() })
    }

    /// Whether the sender of a command has no right to send it any more.
    pub(crate) fn shuts_out(&self, actor: Actor, command: &Command) -> bool {
        let signed_or_own = matches!(
            command,
            Command::PaymentWebhook(_)
                | Command::ClaimPayments(_)
                | Command::SettlePayments(_)
                | Command::Tick
                | Command::BeginCluster(_)
                | Command::RaiseLevel(_)
        );
        match actor {
            Actor::Token(id) => {
                let mut live = self.live_tokens().filter(|token| token.is_live(self.clock));
                !live.any(|token| token.id == id)
            }
            Actor::Nobody => self.auth_mode == Mode::Required && !signed_or_own,
            _ => false,
        }
    }

    /// The user that somebody is limited to.
    pub(crate) fn user_of(&self, actor: Actor) -> Option<UserId> {
        match actor {
            Actor::Customer { user } => Some(user),
            Actor::Token(id) => self.live_tokens().find(|token| token.id == id)?.user,
            _ => None,
        }
    }

    /// Whether something of this user is none of the sender's business.
    pub(crate) fn is_foreign(&self, owner: Option<UserId>) -> bool {
        self.bound.is_some() && owner != self.bound
    }

    /// The tokens that were not revoked.
    pub fn live_tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().flatten()
    }
}
