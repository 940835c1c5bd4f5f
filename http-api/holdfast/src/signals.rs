//! SIGINT and SIGTERM: the first one requests a graceful stop, the second ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    pub(crate) fn install() -> io::Result<Signals> {
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

/// Is raised by the first SIGINT or SIGTERM, for commands that then print what they have. The
/// second signal ends the process at once.
#[derive(Debug, Clone)]
pub(crate) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Starts to catch signals on a thread of its own. Call it outside of a runtime.
    pub(crate) fn install() -> io::Result<StopFlag> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut signals = runtime.block_on(async { Signals::install() })?;
        let flag = StopFlag(Arc::default());
        let raised = flag.clone();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let signal = signals.next().await;
                eprintln!("holdfast: received {signal}; stopping, a second one ends at once");
                raised.0.store(true, Ordering::Release);
                signals.exit_on_next();
                std::future::pending::<()>().await;
            });
        })?;
        Ok(flag)
    }

    /// Whether the command should stop.
    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
