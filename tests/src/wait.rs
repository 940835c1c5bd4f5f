//! Waiting for a state, never for time to pass.

use std::time::Duration;

use tokio::time::Instant;

/// How long a cluster may take to become ready after it was started or lost a node. Generous:
/// it only bounds how long a failing test runs.
pub const READY: Duration = Duration::from_secs(30);

/// How long orders may take to be settled by the payment worker once nothing hinders it.
pub const SETTLED: Duration = Duration::from_secs(30);

/// Between two looks at a state.
const POLL: Duration = Duration::from_millis(25);

/// Looks again and again until `look` finds what it wants, and returns that.
///
/// `look` answers an error with the state it saw instead, which the panic prints.
///
/// # Panics
/// When `limit` has passed without success.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) if Instant::now() >= deadline => {
                panic!("waited {limit:?} in vain until {what}; last seen: {seen}")
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
