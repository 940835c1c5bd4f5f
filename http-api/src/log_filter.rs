//! The filter of log lines, which an operator changes for a while on a node that runs.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// The longest filter, in bytes.
pub(crate) const FILTER_BYTES_MAX: usize = 1024;

/// The longest time for another filter than the configured one, in seconds.
pub(crate) const SECONDS_MAX: u64 = 3600;

/// Puts a filter into effect, or says why it cannot.
type Apply = dyn Fn(&str) -> Result<(), String> + Send + Sync;

/// The filter of this process's log lines. Clones share one filter.
#[derive(Clone)]
pub struct LogFilter(Arc<Shared>);

struct Shared {
    configured: String,
    apply: Box<Apply>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The other filter that is in effect, and when the configured one comes back.
    other: Option<(String, Instant)>,
    /// How often it was changed, so that only the newest change is taken back.
    changes: u64,
}

impl LogFilter {
    /// The configured filter, which is in effect, and what puts another one into effect.
    pub fn new(
        configured: &str,
        apply: impl Fn(&str) -> Result<(), String> + Send + Sync + 'static,
    ) -> LogFilter {
        let (configured, state) = (configured.to_owned(), Mutex::default());
        LogFilter(Arc::new(Shared { configured, apply: Box::new(apply), state }))
    }

    /// The configured filter.
    pub(crate) fn configured(&self) -> &str {
        &self.0.configured
    }

    /// The other filter that is in effect, if there is one, and for how long.
    pub(crate) fn other(&self) -> Option<(String, Duration)> {
        let state = self.0.state.lock();
        let (filter, until) = state.other.as_ref()?;
        Some((filter.clone(), until.saturating_duration_since(Instant::now())))
    }

    /// Puts another filter into effect. The configured one comes back after this time.
    ///
    /// # Errors
    /// What is wrong with the filter; then nothing has changed.
    pub(crate) fn set(&self, filter: &str, time: Duration) -> Result<(), String> {
        let mut state = self.0.state.lock();
        (self.0.apply)(filter)?;
        let until = Instant::now() + time;
        state.other = Some((filter.to_owned(), until));
        state.changes += 1;
        let (this, changes) = (self.clone(), state.changes);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            this.take_back(Some(changes));
        });
        Ok(())
    }

    /// Puts the configured filter into effect.
    pub(crate) fn reset(&self) {
        self.take_back(None);
    }

    /// Takes back what `change` did, unless there is a newer change; or any change.
    fn take_back(&self, change: Option<u64>) {
        let mut state = self.0.state.lock();
        if change.is_some_and(|change| change != state.changes) || state.other.take().is_none() {
            return;
        }
        state.changes += 1;
        if let Err(error) = (self.0.apply)(&self.0.configured) {
            tracing::error!(filter = self.0.configured, error, "the log filter stays as it was");
        }
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogFilter").field(&self.0.configured).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter, and all that was put into effect.
    fn recorded() -> (LogFilter, Arc<Mutex<Vec<String>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        let filter = LogFilter::new("info", move |filter| {
            if filter == "wrong" {
                return Err("no such level".to_owned());
            }
            record.lock().push(filter.to_owned());
            Ok(())
        });
        (filter, seen)
    }

    #[tokio::test]
    async fn the_configured_filter_comes_back_once() {
        let (filter, seen) = recorded();
        filter.set("debug", Duration::from_millis(20)).unwrap();
        assert_eq!(filter.other().unwrap().0, "debug");
        // A second change counts from its own start, and the end of the first changes nothing.
        let began = Instant::now();
        filter.set("trace", Duration::from_millis(200)).unwrap();
        while filter.other().is_some_and(|(filter, _)| filter == "trace") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(began.elapsed() >= Duration::from_millis(200));
        assert_eq!(filter.other(), None);
        assert_eq!(*seen.lock(), ["debug", "trace", "info"]);
    }

    #[tokio::test]
    async fn a_reset_and_a_wrong_filter_leave_what_is_configured() {
        let (filter, seen) = recorded();
        assert_eq!(filter.set("wrong", Duration::from_secs(1)), Err("no such level".to_owned()));
        assert_eq!(filter.other(), None);
        filter.reset();
        assert_eq!(*seen.lock(), [""; 0]);
        filter.set("debug", Duration::from_millis(5)).unwrap();
        filter.reset();
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(*seen.lock(), ["debug", "info"]);
        assert_eq!(filter.configured(), "info");
    }
}
