//! SIGINT and SIGTERM: the first one requests a graceful stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code after SIGINT: 128 + 2, as shells report it.
const INTERRUPTED: i32 = 130;
/// Exit code after SIGTERM: 128 + 15.
const TERMINATED: i32 = 143;

/// Catches both signals from [`Signals::install`] on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to catch signals. Call it inside a runtime.
    pub(crate) fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns its name. Cancelling the wait loses no signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Makes the next signal end the process at once.
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            let code = match self.next().await {
                "SIGINT" => INTERRUPTED,
                _ => TERMINATED,
            };
            eprintln!("holdfast: received a second signal; ending at once");
            std::process::exit(code);
        });
    }
}
