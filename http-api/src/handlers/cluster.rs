//! The cluster as this node sees it; answered without a quorum too.

use client::wire::Envelope;

use crate::reply::{self, Reply};
use crate::service::Call;
use crate::views;

/// `GET /cluster`
pub(crate) fn get(call: &Call<'_>) -> Reply {
    reply::of(200, &Envelope::new(views::cluster(call.app.handle.status())))
}
