//! What the OpenAPI document says about credentials.

use client::wire::ErrorCode;
use serde_json::json;

use super::examples;
use crate::describe::operation::Operation;
use crate::describe::words::json_content;

pub(crate) fn session() -> Operation {
    Operation::new("getSession", "Read what the credentials allow")
        .text("Any valid credentials will do. Says who sent the request, and what they may do.")
        .lists("The session.", "SessionAnswer", examples::session())
}

pub(crate) fn mode() -> Operation {
    Operation::new("getAuthMode", "Read whether credentials are required")
        .text("The mode of the cluster, and that of this node.")
        .reads()
        .lists("The mode.", "AuthAnswer", examples::auth())
}

pub(crate) fn set_mode() -> Operation {
    Operation::new("setAuthMode", "Set whether credentials are required")
        .text(
            "Counts on all nodes from its position in the log on. `required` is refused while nobody \
             could administer the cluster afterwards. Safe to repeat.",
        )
        .body("AuthRequest", json!({"mode": "required"}))
        .lists("The mode is as requested.", "AuthAnswer", examples::auth())
        .writes()
        .refuses(&[ErrorCode::ValidationError, ErrorCode::LevelTooLow])
}

pub(crate) fn tokens() -> Operation {
    Operation::new("listTokens", "List tokens")
        .text("All tokens that were not revoked, by id. Nobody can read their secrets.")
        .reads()
        .lists("The tokens.", "TokenListAnswer", examples::tokens())
}

pub(crate) fn audit() -> Operation {
    Operation::new("getAudit", "Read who administered what")
        .text(
            "The rows of a kind above an id, oldest first; without `after`, the newest rows. The \
             newest 16,384 of each kind are kept. What customers do is not in it: see orders and \
             events.",
        )
        .takes(&["AuditKind", "AuditAfter", "AuditLimit"])
        .reads()
        .lists("The rows.", "AuditAnswer", examples::audit())
}

pub(crate) fn create() -> Operation {
    Operation::new("createToken", "Create a token")
        .text(
            "The answer is the only one with the token itself. If it is lost, revoke the token and \
             create another one. Clients do not repeat this request by themselves.",
        )
        .body("TokenRequest", examples::token_request())
        .answers(201, "The token.", &[], json_content("CreatedTokenAnswer", examples::new_token()))
        .writes()
        .refuses(&[
            ErrorCode::ValidationError,
            ErrorCode::LevelTooLow,
            ErrorCode::IdempotencyKeyInvalid,
        ])
}

pub(crate) fn revoke() -> Operation {
    Operation::new("revokeToken", "Revoke a token")
        .text(
            "It counts for nothing from this position in the log on, on all nodes; streams that were \
             opened with it end. There is no way back. Safe to repeat.",
        )
        .takes(&["TokenId"])
        .lists("The token is revoked.", "RevokedTokenAnswer", examples::revoked())
        .writes()
        .refuses(&[ErrorCode::NotFound, ErrorCode::LevelTooLow])
}
