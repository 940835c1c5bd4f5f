//! The OpenAPI document, as JSON and as a page.

use bytes::Bytes;
use client::wire;
use hyper::header::CONTENT_SECURITY_POLICY;

use super::console::PAGE_TYPE;
use crate::answer::reply::{self, Reply, ReplyExt};
use crate::call::Call;
use crate::failure::Failure;

/// What browsers may do with the page: show it, with its own styles.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// `GET /openapi.json`
pub(crate) async fn openapi(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(reply::text((call.app.documents.openapi)(), wire::JSON))
}

/// `GET /openapi-strict.json`
pub(crate) async fn strict(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(reply::text((call.app.documents.strict)(), wire::JSON))
}

/// `GET /docs`
pub(crate) async fn page(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(show((call.app.documents.page)()))
}

/// `GET /problems/{problem}`
pub(crate) async fn problem(call: &Call<'_>) -> Result<Reply, Failure> {
    let page = (call.app.documents.problem)(call.argument);
    page.map(show)
        .ok_or_else(|| Failure::not_found("There is no such problem; see /docs#problems."))
}

fn show(page: Bytes) -> Reply {
    reply::text(page, PAGE_TYPE).with(CONTENT_SECURITY_POLICY, PAGE_POLICY)
}
