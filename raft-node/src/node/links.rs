//! The thread of the links to peers.
//!
//! Heartbeats must leave on time whatever clients send, so the links share no thread with them.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime with one thread. Dropping it ends its tasks without waiting for them.
pub(super) struct LinkRuntime(Option<Runtime>);

impl LinkRuntime {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub(super) fn start(node: u64) -> io::Result<LinkRuntime> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).thread_name(format!("hf{node}-links")).enable_all();
        Ok(LinkRuntime(Some(builder.build()?)))
    }

    pub(super) fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it is taken when dropped only").handle()
    }
}

impl Drop for LinkRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A plain drop waits, which tokio forbids on the threads of another runtime.
            runtime.shutdown_background();
        }
    }
}
