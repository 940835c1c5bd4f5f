//! Work that nobody waits for gives way to the rest.
//!
//! A checkpoint needs as much processor time as a burst of requests. At a lower priority it uses
//! what the requests leave. Such work has a thread of its own and holds no lock of the state: a
//! holder that the scheduler does not run would stop everybody.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread::{Builder, JoinHandle};

use crossbeam::channel::{self, Sender};

/// Added to the nice value. While others want the processor too, the thread gets a tenth of the
/// share of one of them, so it still finishes.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// The lowest priority.
#[cfg(target_os = "linux")]
const NICE_MAX: i32 = 19;

type Job = Box<dyn FnOnce() + Send>;

/// A thread for such work. Dropping it stops the thread and waits for its end.
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

    /// Runs work on the thread, waits for it, and returns its result.
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

/// Lowers the priority of this thread for good. Raising it again needs privileges.
fn give_way() {
    // Elsewhere this would set the priority of the whole process.
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
