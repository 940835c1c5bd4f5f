//! Shows and changes the filter of log lines of the node that is asked. Nothing here waits.

use std::time::Duration;

use client::wire;

use crate::answer::reply::{self, Reply};
use crate::call::Call;
use crate::failure::Failure;
use crate::log_filter::{FILTER_BYTES_MAX, LogFilter, SECONDS_MAX};
use crate::request::fields::Errors;
use crate::request::json::{self, Object};

/// How long a filter holds if the request does not say it, in seconds.
const SECONDS: u64 = 600;

/// `GET /admin/log-filter`
pub(crate) async fn get(call: &Call<'_>) -> Result<Reply, Failure> {
    Ok(shown(filter_of(call)?))
}

/// `PUT /admin/log-filter`
pub(crate) async fn set(call: &Call<'_>) -> Result<Reply, Failure> {
    call.confirm().await?;
    let log = filter_of(call)?;
    let object = if call.body.is_empty() { Object::default() } else { json::parse(&call.body)? };
    let fields = call.fields(&object);
    let mut errors = Errors::default();
    fields.check_names(&["filter", "seconds"], &mut errors);
    let filter = fields.text("filter", FILTER_BYTES_MAX, &mut errors);
    let seconds = fields.integer("seconds", 1..=SECONDS_MAX, &mut errors).unwrap_or(SECONDS);
    errors.finish(Some(()))?;
    let Some(filter) = filter else {
        log.reset();
        tracing::info!(filter = log.configured(), trace_id = %call.trace, "log filter set back");
        return Ok(shown(log));
    };
    if let Err(error) = log.set(&filter, Duration::from_secs(seconds)) {
        return Err(Failure::field("filter", format!("The filter field is no filter: {error}.")));
    }
    tracing::info!(%filter, seconds, trace_id = %call.trace, "log filter changed");
    Ok(shown(log))
}

fn filter_of<'a>(call: &Call<'a>) -> Result<&'a LogFilter, Failure> {
    let missing = || Failure::not_found("The log of this program has no filter to change.");
    call.app.settings.log_filter.as_ref().ok_or_else(missing)
}

fn shown(log: &LogFilter) -> Reply {
    let other = log.other();
    let seconds_left = other.as_ref().map(|(_, left)| left.as_millis().div_ceil(1000) as u64);
    let configured = log.configured().to_owned();
    let filter = other.map_or_else(|| configured.clone(), |(filter, _)| filter);
    reply::of(200, &wire::Envelope::new(wire::LogFilter { filter, configured, seconds_left }))
}
