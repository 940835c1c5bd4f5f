//! SIGINT and SIGTERM: the first asks for a graceful stop, the second ends the process at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code of a process that SIGINT ended, as shells count it.
const INTERRUPTED: i32 = 130;
/// The exit code of a process that SIGTERM ended.
const TERMINATED: i32 = 143;

/// Both signals, caught from now on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts to catch them. Must be called inside a runtime.
    pub(crate) fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one and gives its name. Cancelling the wait loses no signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// From now on the next one ends the process on the spot, whatever it is doing.
    pub(crate) fn exit_on_next(mut self) {
        tokio::spawn(async move {
            let code = match self.next().await {
                "SIGINT" => INTERRUPTED,
                _ => TERMINATED,
            };
            eprintln!("holdfast: a second signal: stopping at once");
            std::process::exit(code);
        });
    }
}
