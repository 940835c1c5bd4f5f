//! Work that nobody waits for gives way to the rest.
//!
//! A checkpoint wants as much of a processor as a burst of requests does. On a lower priority it
//! uses what the requests leave. No lock of the state may be held meanwhile: who holds one and is
//! not let run stops everybody. So such work has a thread of its own.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{self, Sender};

/// How much is added to the nice value: while others want the processor too, the thread gets a
/// tenth of what one of them gets, so it still comes to an end.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// The lowest priority that there is.
#[cfg(target_os = "linux")]
const NICE_MAX: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

/// A thread for such work. It ends, and is waited for, when this is dropped.
pub(super) struct Background {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts the thread, under a name of at most 15 bytes.
    pub(super) fn start(name: String) -> io::Result<Background> {
        let (jobs, queue) = channel::bounded::<Job>(1);
        let thread = Builder::new().name(name).spawn(move || {
            give_way();
            queue.iter().for_each(|job| job());
        })?;
        Ok(Background { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Has the thread do some work, waits for it, and gives what came of it.
    pub(super) fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (done, result) = channel::bounded(1);
        let job = Box::new(move || {
            let _ = done.send(panic::catch_unwind(AssertUnwindSafe(work)));
        });
        let jobs = self.jobs.as_ref().expect("the thread ends with this");
        jobs.send(job).expect("the thread takes jobs as long as there is this");
        let result = result.recv().expect("each job says what came of it");
        result.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lowers the priority of this thread for good: there is no way back without privileges.
fn give_way() {
    // Elsewhere this would be the priority of the whole process.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::getpriority_process(None)
        .and_then(|nice| rustix::process::setpriority_process(None, (nice + NICE).min(NICE_MAX)))
    {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| tracing::warn!(%error, "background threads keep their priority"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_its_own_thread_is_lower() {
        let nice = || rustix::process::getpriority_process(None).expect("every thread has one");
        let before = nice();
        let background = Background::start("background".to_owned()).unwrap();
        assert_eq!(background.run(nice), (before + NICE).min(NICE_MAX));
        assert_eq!(nice(), before);
    }

    #[test]
    fn a_panic_of_the_work_is_that_of_who_waits_for_it() {
        let background = Background::start("background".to_owned()).unwrap();
        let panicked = panic::catch_unwind(AssertUnwindSafe(|| background.run(|| panic!("oh"))));
        assert_eq!(*panicked.unwrap_err().downcast_ref::<&str>().unwrap(), "oh");
        assert_eq!(background.run(|| 7), 7);
    }
}
