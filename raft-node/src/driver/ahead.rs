//! A thread that reads a checkpoint ahead of the code that makes a state of it.

use std::panic::resume_unwind;
use std::thread;

use crossbeam::channel;
use engine::checkpoint::ahead::{Give, ReadAhead};
use engine::checkpoint::open::Error;
use engine::store;

/// Most chunks that wait, of a few hundred KiB each.
const WAITING_MAX: usize = 16;

/// Decodes and checks on a second thread. That is half of the work of opening a checkpoint, and
/// opening is most of a startup.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SecondThread;

impl ReadAhead for SecondThread {
    fn run<T: Send>(
        &self,
        make: impl FnOnce(Give<'_, T>) -> Result<(), Error> + Send,
        take: impl FnMut(T) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (made, waiting) = channel::bounded(WAITING_MAX);
        thread::scope(|scope| {
            let reader = move || {
                let stopped = |_| Error::Store(store::Error::Stopped);
                make(&mut |thing| made.send(thing).map_err(stopped))
            };
            let reader = thread::Builder::new()
                .name("hf-read-ahead".into())
                .spawn_scoped(scope, reader)
                .map_err(|source| {
                    Error::Store(store::Error::Failed {
                        action: "start a thread for",
                        path: "the checkpoint".into(),
                        source: Box::new(source),
                    })
                })?;
            let taken = waiting.iter().try_for_each(take);
            // A reader that is still busy stops at the next item that nobody takes.
            drop(waiting);
            let read = reader.join().unwrap_or_else(|panic| resume_unwind(panic));
            taken.and(read)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    fn wrong(what: &str) -> Error {
        Error::Inconsistent(what.into())
    }

    #[test]
    fn things_come_in_their_order_and_the_taker_is_heard_first() {
        let mut taken = Vec::new();
        let make = |give: Give<'_, u32>| (0..1000).try_for_each(give);
        let take = |n| {
            taken.push(n);
            Ok(())
        };
        SecondThread.run(make, take).expect("all of them");
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());

        let full = |n| if n < 3 { Ok(()) } else { Err(wrong("taker")) };
        let error = SecondThread.run(make, full).expect_err("stopped");
        assert!(matches!(error, Error::Inconsistent(what) if what == "taker"));

        let broken = |give: Give<'_, u32>| give(1).and(Err(wrong("reader")));
        let error = SecondThread.run(broken, |_| Ok(())).expect_err("broken");
        assert!(matches!(error, Error::Inconsistent(what) if what == "reader"));
    }

    #[test]
    fn a_panic_of_the_reader_comes_through() {
        let make = |_: Give<'_, u32>| panic!("sled gave up");
        let run = || SecondThread.run(make, |_| Ok(()));
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }
}
