//! Creates, lists and revokes tokens, and sets the mode.

use client::wire::{self, Envelope, ErrorCode};
use engine::actor::Actor;
use engine::auth::{LABEL_BYTES_MAX, Mode, OWNER_BYTES_MAX, Scope, Scopes, Token};
use engine::command::{Command, CreateToken, RevokeToken, SetAuth};
use engine::ids::{Timestamp, TokenId, UserId};
use engine::outcome::Outcome;
use raft_node::Applied;

use crate::answer::reply::{self, Reply, ReplyExt};
use crate::answer::views;
use crate::auth::secret::Unnamed;
use crate::call::{Call, unexpected};
use crate::failure::Failure;
use crate::request::extract;
use crate::request::fields::{Errors, Fields};
use crate::request::json::{self, Value};

/// The longest life of a token, in seconds: ten years.
pub(crate) const LIFE_S_MAX: u64 = 315_360_000;

/// The most scopes in a request; there are fewer.
pub(crate) const SCOPES_MAX: usize = 32;

/// `GET /session`
pub(crate) async fn session(call: &Call<'_>) -> Result<Reply, Failure> {
    let principal = &call.principal;
    let token_id = principal.token();
    let auth = call.app.handle.auth();
    let owner = token_id.and_then(|id| auth.token(id)).map(|token| token.owner.to_string());
    let session = wire::Session {
        actor: match principal.actor {
            Actor::Root(_) => wire::ActorKind::Root,
            Actor::Token(_) => wire::ActorKind::Token,
            Actor::Customer { .. } => wire::ActorKind::Customer,
            Actor::Nobody | Actor::System => wire::ActorKind::Nobody,
        },
        token_id: token_id.map(|id| id.0),
        owner,
        user_id: principal.user.map(|user| user.0),
        scopes: scopes(principal.scopes),
        expires_at: principal.expires_at.map(views::moment),
        mode: mode_of(call.app.gate.mode()),
    };
    Ok(reply::of(200, &Envelope::new(session)))
}

/// `GET /auth/mode`
pub(crate) async fn mode(call: &Call<'_>) -> Result<Reply, Failure> {
    let freshness = call.ready_to_read().await?;
    let position = call.app.handle.read(|state| state.position());
    Ok(shown(call).at(position).fresh(freshness))
}

/// `PUT /auth/mode`
pub(crate) async fn set_mode(call: &Call<'_>) -> Result<Reply, Failure> {
    let object = json::parse(&call.body)?;
    let mode = read_mode(&call.fields(&object))?;
    if mode == Mode::Required && !has_key(call) {
        return Err(Failure::field(
            "mode",
            "Nobody could change anything any more: create a token with the scope auth:admin, or \
             start this node with --root-token-file.",
        ));
    }
    let applied = call.propose(Command::SetAuth(SetAuth { mode })).await?;
    match &applied.outcome {
        Outcome::AuthSet { .. } => {
            tracing::info!(mode = mode.as_str(), trace_id = %call.trace, "the mode was set");
            Ok(shown(call).at(applied.position))
        }
        other => Err(refused(call, &applied, other)),
    }
}

/// Whether somebody could administer the cluster if it asked for credentials.
fn has_key(call: &Call<'_>) -> bool {
    let now = call.app.handle.read(|state| state.clock());
    let auth = call.app.handle.auth();
    let mut tokens = auth.tokens(TokenId(0));
    call.app.gate.has_root()
        || tokens.any(|token| token.scopes.has(Scope::AuthAdmin) && token.is_live(now))
}

fn read_mode(fields: &Fields<'_, '_>) -> Result<Mode, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["mode"], &mut errors);
    let mode = fields.required("mode", &mut errors).and_then(|value| {
        let word = if let Value::Text(word) = value { word.as_ref() } else { "" };
        let mode = Mode::ALL.into_iter().find(|mode| mode.as_str() == word);
        if mode.is_none() {
            fields.fault("mode", "must be off, optional or required.", &mut errors);
        }
        mode
    });
    errors.finish(mode)
}

fn shown(call: &Call<'_>) -> Reply {
    let auth = call.app.handle.auth();
    let (mode, here) = (mode_of(auth.mode()), mode_of(call.app.gate.mode()));
    reply::of(200, &Envelope::new(wire::Auth { mode, here, tokens: auth.len() as u64 }))
}

/// `GET /auth/tokens`
pub(crate) async fn tokens(call: &Call<'_>) -> Result<Reply, Failure> {
    let freshness = call.ready_to_read().await?;
    let (position, clock, auth) =
        call.app.handle.read(|state| (state.position(), state.clock(), state.auth().clone()));
    let all: Vec<_> = auth.tokens(TokenId(0)).map(|token| view(token, clock)).collect();
    Ok(reply::of(200, &Envelope::new(all)).at(position).fresh(freshness))
}

/// `POST /auth/tokens`
pub(crate) async fn create(call: &Call<'_>) -> Result<Reply, Failure> {
    if extract::idempotency_key(call.headers)?.is_some() {
        let detail = "A new token takes no idempotency key, because its secret is shown once: if \
                      the answer was lost, revoke the token and create another one.";
        return Err(Failure::new(ErrorCode::IdempotencyKeyInvalid, detail));
    }
    let object = json::parse(&call.body)?;
    let secret = Unnamed::draw();
    let command = read_token(&call.fields(&object), secret.hash())?;
    let ttl_ms = command.ttl_ms;
    let applied = call.propose(Command::CreateToken(command)).await?;
    let id = match &applied.outcome {
        Outcome::TokenCreated(id) => *id,
        other => return Err(refused(call, &applied, other)),
    };
    tracing::info!(token = id.0, trace_id = %call.trace, "a token was created");
    let expires_at = ttl_ms.map(|ttl_ms| views::moment(applied.clock.plus_ms(ttl_ms)));
    let created = wire::NewToken { id: id.0, token: secret.named(id), expires_at };
    Ok(reply::of(201, &Envelope::new(created)).at(applied.position))
}

fn read_token(fields: &Fields<'_, '_>, hash: [u8; 32]) -> Result<CreateToken, Failure> {
    let mut errors = Errors::default();
    fields.check_names(&["owner", "scopes", "user_id", "label", "expires_in_s"], &mut errors);
    let owner = fields.required_text("owner", OWNER_BYTES_MAX, &mut errors);
    let label = fields.text("label", LABEL_BYTES_MAX, &mut errors).unwrap_or_default();
    let scopes = read_scopes(fields, &mut errors);
    let user = fields.id("user_id", &mut errors).map(UserId);
    if user.is_some() && scopes.is_some_and(|scopes| !scopes.is_within(Scopes::OF_USERS)) {
        let all: Vec<_> = Scopes::OF_USERS.iter().map(|scope| scope.as_str()).collect();
        let rest = format!("must be among {} with a user_id.", all.join(", "));
        fields.fault("scopes", &rest, &mut errors);
    }
    let life_s = fields.integer("expires_in_s", 1..=LIFE_S_MAX, &mut errors);
    let ttl_ms = life_s.map(|seconds| seconds * 1000);
    errors.finish(owner.zip(scopes).map(|(owner, scopes)| CreateToken {
        hash,
        owner,
        user,
        scopes,
        label,
        ttl_ms,
    }))
}

fn read_scopes(fields: &Fields<'_, '_>, errors: &mut Errors) -> Option<Scopes> {
    let Value::Array(words) = fields.required("scopes", errors)? else {
        fields.fault("scopes", "must be a list of scopes.", errors);
        return None;
    };
    let mut scopes = Scopes::default();
    for word in words.iter().take(SCOPES_MAX) {
        let word = if let Value::Text(word) = word { word.as_ref() } else { "" };
        match Scope::ALL.iter().find(|scope| scope.as_str() == word) {
            Some(scope) => scopes = scopes.with(*scope),
            None => {
                let all: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
                fields.fault("scopes", &format!("must list {}.", all.join(", ")), errors);
                return None;
            }
        }
    }
    if words.is_empty() || words.len() > SCOPES_MAX {
        fields.fault("scopes", &format!("must have 1 to {SCOPES_MAX} scopes."), errors);
        return None;
    }
    Some(scopes)
}

/// `DELETE /auth/tokens/{id}`
pub(crate) async fn revoke(call: &Call<'_>) -> Result<Reply, Failure> {
    let token = TokenId(call.id("Token not found.")?);
    let applied = call.propose(Command::RevokeToken(RevokeToken { token })).await?;
    match &applied.outcome {
        Outcome::TokenRevoked { already, .. } => {
            tracing::info!(token = token.0, already, trace_id = %call.trace, "a token was revoked");
            let revoked = wire::RevokedToken { id: token.0, already: *already };
            Ok(reply::of(200, &Envelope::new(revoked)).at(applied.position))
        }
        other => Err(refused(call, &applied, other)),
    }
}

fn refused(call: &Call<'_>, applied: &Applied, outcome: &Outcome) -> Failure {
    match outcome {
        Outcome::Rejected(rejection) => Failure::rejected(rejection).at(applied.position),
        other => unexpected(call, other),
    }
}

fn view(token: &Token, now: Timestamp) -> wire::Token {
    wire::Token {
        id: token.id.0,
        owner: token.owner.to_string(),
        user_id: token.user.map(|user| user.0),
        label: (!token.label.is_empty()).then(|| token.label.to_string()),
        scopes: scopes(token.scopes),
        created_at: views::moment(token.created_at),
        expires_at: token.expires_at.map(views::moment),
        expired: !token.is_live(now),
    }
}

fn scopes(scopes: Scopes) -> Vec<wire::Scope> {
    scopes.iter().map(|scope| scope.as_str().parse().expect("both lists are the same")).collect()
}

fn mode_of(mode: Mode) -> wire::AuthMode {
    mode.as_str().parse().expect("both lists are the same")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::fields::Handling;

    #[test]
    fn the_wire_knows_every_scope_and_mode() {
        assert!(scopes(Scopes::ALL).iter().eq(wire::Scope::ALL));
        assert!(Mode::ALL.map(mode_of).iter().eq(wire::AuthMode::ALL));
    }

    #[test]
    fn a_request_names_its_scopes() {
        let read = |text: &str| {
            let object = json::parse(text.as_bytes()).unwrap();
            read_token(&Fields::of(&object, Handling::Lenient), [7; 32])
        };
        let some = r#"{"owner":"shop","scopes":["orders:read","orders:read"],"expires_in_s":9}"#;
        let command = read(some).unwrap();
        assert_eq!(command.scopes, Scopes::default().with(Scope::OrdersRead));
        assert_eq!((command.ttl_ms, &*command.label), (Some(9_000), ""));
        for (wrong, field) in [
            (r#"{"scopes":["tasks"]}"#, "owner"),
            (r#"{"owner":"x"}"#, "scopes"),
            (r#"{"owner":"x","scopes":[]}"#, "scopes"),
            (r#"{"owner":"x","scopes":"tasks"}"#, "scopes"),
            (r#"{"owner":"x","scopes":["all"]}"#, "scopes"),
            (r#"{"owner":"x","scopes":["tasks",1]}"#, "scopes"),
            (r#"{"owner":"x","scopes":["tasks"],"expires_in_s":0}"#, "expires_in_s"),
        ] {
            let failure = read(wrong).unwrap_err();
            assert_eq!(failure.code(), ErrorCode::ValidationError);
            assert!(failure.fields().unwrap().contains_key(field), "{wrong}");
        }
    }
}
