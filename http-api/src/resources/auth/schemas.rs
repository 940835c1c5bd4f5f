//! Schemas of credentials.

use client::wire;
use engine::auth::{LABEL_BYTES_MAX, OWNER_BYTES_MAX};
use serde_json::{Value, json};

use super::handle::{LIFE_S_MAX, SCOPES_MAX};
use crate::describe::shapes::Shapes;

/// All of them.
pub(crate) fn all() -> Value {
    let requests = Shapes::requests()
        .of::<wire::AuthRequest>()
        .of::<wire::TokenRequest>()
        .plain("TokenRequest.owner", OWNER_BYTES_MAX)
        .plain("TokenRequest.label", LABEL_BYTES_MAX)
        .with("TokenRequest.scopes", json!({"minItems": 1, "maxItems": SCOPES_MAX}))
        .with("TokenRequest.expires_in_s", json!({"minimum": 1, "maximum": LIFE_S_MAX}));
    let answers = Shapes::answers()
        .of::<wire::AuthMode>()
        .of::<wire::Scope>()
        .of::<wire::ActorKind>()
        .of::<wire::Auth>()
        .of::<wire::Token>()
        .of::<wire::NewToken>()
        .with(
            "CreatedToken.token",
            json!({"pattern": "^hft_[1-9][0-9]*_[A-Za-z0-9_-]{43}_[0-9a-f]{8}$"}),
        )
        .of::<wire::RevokedToken>()
        .of::<wire::AuditOutcome>()
        .of::<wire::AuditRow>()
        .of::<wire::Session>()
        .envelope::<Vec<wire::AuditRow>>("AuditAnswer")
        .envelope::<wire::Auth>("AuthAnswer")
        .envelope::<Vec<wire::Token>>("TokenListAnswer")
        .envelope::<wire::NewToken>("CreatedTokenAnswer")
        .envelope::<wire::RevokedToken>("RevokedTokenAnswer")
        .envelope::<wire::Session>("SessionAnswer");
    requests.and(answers)
}
