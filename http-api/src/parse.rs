//! The thread for requests with large bodies.
//!
//! Parsing 16 MiB takes most of a second. On a thread of the connections all clients would wait
//! for it, so such requests are handled on a thread of their own, from the parsing to the rendered
//! answer. This file knows neither bodies nor requests.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Bodies with more bytes are handled here. Below, the change of threads costs more than parsing.
pub(crate) const LARGE_BYTES: usize = 64 << 10;

/// Requests that wait for the thread. A request that waits for the log is not counted.
const WAITING_MAX: usize = 32;

/// One thread with a bounded queue. Dropping it ends its work without waiting for it.
#[derive(Debug)]
pub(crate) struct Parser {
    runtime: Option<Runtime>,
    seats: Arc<Semaphore>,
}

/// Why work did not end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// The queue is full. The work was not begun.
    Full,
    /// The server stops, or the work panicked. It may have had an effect.
    Lost,
}

impl Parser {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start() -> io::Result<Parser> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("parse").enable_time().build()?;
        Ok(Parser { runtime: Some(runtime), seats: Arc::new(Semaphore::new(WAITING_MAX)) })
    }

    /// Runs `work` on the thread. `work` keeps its place in the queue until it waits for something
    /// or ends; it ends early when the caller is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, Unfinished> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().map_err(|_| Unfinished::Full)?;
        let runtime = self.runtime.as_ref().ok_or(Unfinished::Lost)?;
        let task = runtime.spawn(async move {
            let mut work = pin!(work);
            let begun = std::future::poll_fn(|context| Poll::Ready(work.as_mut().poll(context)));
            let begun = begun.await;
            drop(seat);
            match begun {
                Poll::Ready(done) => done,
                Poll::Pending => work.await,
            }
        });
        let mut task = AbortOnDrop(task);
        (&mut task.0).await.map_err(|_| Unfinished::Lost)
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A plain drop waits, which tokio forbids on the threads of another runtime.
            runtime.shutdown_background();
        }
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn work_is_done_on_another_thread_and_the_queue_is_bounded() {
        let parser = Arc::new(Parser::start().unwrap());
        let thread = parser.run(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(thread.await.unwrap().as_deref(), Some("parse"));

        // One is being parsed, the others wait.
        let (release, released) = mpsc::channel::<()>();
        let mut running = Vec::new();
        let spawn = |work| {
            let parser = Arc::clone(&parser);
            tokio::spawn(async move { parser.run(work).await })
        };
        let (begun, has_begun) = oneshot::channel();
        let first: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
            begun.send(()).unwrap();
            released.recv().unwrap();
        });
        running.push(spawn(first));
        has_begun.await.unwrap();
        for _ in 1..WAITING_MAX {
            running.push(spawn(Box::pin(async {})));
        }
        while parser.seats.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(parser.run(async {}).await, Err(Unfinished::Full));
        release.send(()).unwrap();
        for task in running {
            task.await.unwrap().unwrap();
        }
        assert_eq!(parser.run(async {}).await, Ok(()));
    }

    #[tokio::test]
    async fn work_that_waits_takes_no_place_in_the_queue() {
        let parser = Arc::new(Parser::start().unwrap());
        let (answers, waiting): (Vec<_>, Vec<_>) =
            (0..2 * WAITING_MAX).map(|_| oneshot::channel::<()>()).unzip();
        let mut running = Vec::new();
        for answer in waiting {
            while parser.seats.available_permits() == 0 {
                tokio::task::yield_now().await;
            }
            let parser = Arc::clone(&parser);
            running.push(tokio::spawn(async move { parser.run(answer).await }));
            tokio::task::yield_now().await;
        }
        answers.into_iter().for_each(|answer| answer.send(()).unwrap());
        for task in running {
            task.await.unwrap().unwrap().unwrap();
        }
    }
}
