//! The OpenAPI document, as JSON and as a page.

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

/// `GET /docs`
pub(crate) async fn page(call: &Call<'_>) -> Result<Reply, Failure> {
    let page = reply::text((call.app.documents.page)(), PAGE_TYPE);
    Ok(page.with(CONTENT_SECURITY_POLICY, PAGE_POLICY))
}
