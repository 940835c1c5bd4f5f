//! Waits for a state, never for a fixed time.

use std::time::Duration;

use tokio::time::Instant;

/// How long a cluster may take to become ready after its start or the loss of a node. It is
/// generous, because it only bounds how long a failing test runs.
pub const READY: Duration = Duration::from_secs(30);

/// How long the payment worker may take to settle orders when no fault delays it.
pub const SETTLED: Duration = Duration::from_secs(30);

/// Time between two looks at a state.
const POLL: Duration = Duration::from_millis(25);

/// Calls `look` until it succeeds, and returns its value.
///
/// The error of `look` is the state that it saw instead; the panic prints the last one.
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
