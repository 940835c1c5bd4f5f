//! Examples of credentials.

use client::wire::{self, Scope};
use serde_json::{Value, json};

use crate::describe::examples::{MOMENT, value};

pub(crate) fn session() -> Value {
    value(&wire::Envelope::new(wire::Session {
        actor: wire::ActorKind::Token,
        token_id: Some(17),
        owner: Some("shop".to_owned()),
        user_id: None,
        scopes: vec![Scope::CatalogRead, Scope::OrdersWrite],
        expires_at: Some(MOMENT.to_owned()),
        mode: wire::AuthMode::Required,
    }))
}

pub(crate) fn auth() -> Value {
    let (mode, here) = (wire::AuthMode::Required, wire::AuthMode::Required);
    value(&wire::Envelope::new(wire::Auth { mode, here, tokens: 3 }))
}

pub(crate) fn tokens() -> Value {
    value(&wire::Envelope::new(vec![wire::Token {
        id: 17,
        owner: "shop".to_owned(),
        user_id: None,
        label: Some("web servers".to_owned()),
        scopes: vec![Scope::CatalogRead, Scope::OrdersWrite],
        created_at: MOMENT.to_owned(),
        expires_at: None,
        expired: false,
    }]))
}

pub(crate) fn audit() -> Value {
    value(&wire::Envelope::new(vec![wire::AuditRow {
        id: 42,
        position: 4_940_890_112,
        at: MOMENT.to_owned(),
        actor: "token:17".to_owned(),
        action: "token.revoke".to_owned(),
        target: Some(16),
        outcome: wire::AuditOutcome::Done,
        trace_id: "550e8400-e29b-41d4-a716-446655440000".to_owned(),
    }]))
}

pub(crate) fn token_request() -> Value {
    json!({
        "owner": "shop",
        "scopes": ["catalog:read", "orders:read", "orders:write"],
        "label": "web servers",
        "expires_in_s": 7_776_000,
    })
}

/// The secret is made of zeros, so that no scanner takes it for one.
pub(crate) fn new_token() -> Value {
    value(&wire::Envelope::new(wire::NewToken {
        id: 17,
        token: format!("hft_17_{}_00000000", "A".repeat(43)),
        expires_at: Some(MOMENT.to_owned()),
    }))
}

pub(crate) fn revoked() -> Value {
    value(&wire::Envelope::new(wire::RevokedToken { id: 17, already: false }))
}
