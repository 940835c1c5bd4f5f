//! `holdfast health`: says by its exit code whether a node can take requests.

use std::time::Duration;

use client::wire::{HealthStatus, Probe};

use crate::exit::CliError;
use crate::remote;

/// How long a node may take to answer, unless `--timeout-s` is shorter. Who watches nodes asks
/// again soon.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Asks the node once whether it is ready.
pub(crate) fn run(options: &remote::Options) -> Result<(), CliError> {
    remote::block_on(async {
        let deadline = ANSWER_MAX.min(Duration::from_secs(options.timeout_s));
        let client = options.client_of(options.url.clone(), deadline)?;
        let answer = client.readyz().await.map_err(|error| remote::failure(&error))?;
        let Probe { status, reason } = &answer.data;
        options.print(&answer.data, |_| match reason {
            Some(reason) => format!("not ready: {reason}"),
            None => "ready".to_owned(),
        })?;
        match status {
            HealthStatus::Ok => Ok(()),
            _ => Err(CliError::Failed(format!("{} is not ready", answer.receipt.url))),
        }
    })
}
