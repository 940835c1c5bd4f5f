//! Raises the cluster's level. Any node takes the request, the leader decides.

use engine::level;

use super::members::{LEVEL_MAX, judged, shown};
use crate::answer::reply::Reply;
use crate::call::Call;
use crate::failure::Failure;
use crate::request::fields::Errors;
use crate::request::json::{self, Object};

/// `POST /cluster/level`
pub(crate) async fn raise(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let object = if call.body.is_empty() { Object::default() } else { json::parse(&call.body)? };
    let fields = call.fields(&object);
    let mut errors = Errors::default();
    fields.check_names(&["to"], &mut errors);
    let to = fields.integer("to", 1..=LEVEL_MAX, &mut errors);
    let to = to.map_or(Some(level::NEWEST), |to| u32::try_from(to).ok());
    let to = errors.finish(to)?;
    let handle = &call.app.handle;
    let verdict = handle.raise_level(to, call.deadline).await?;
    tracing::info!(to, ?verdict, trace_id = %call.trace, "raising the level");
    judged(verdict)?;
    Ok(shown(call))
}
