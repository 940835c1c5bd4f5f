//! Proposers that wait for the outcomes of their commands.
//!
//! The core keeps the deadlines of requests and answers each of them. In case the core is stuck, a
//! sweep times out late waiters, which costs less than a timer for each.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::sync::oneshot;

use crate::error::ProposeError;
use crate::replica::Applied;

/// The answer to a proposer.
pub(crate) type Answer = Result<Applied, ProposeError>;

/// Interval of the sweep for late waiters.
pub(crate) const SWEPT_EVERY: Duration = Duration::from_millis(250);

/// All waiters, by sequence number.
pub(crate) struct Answers {
    waiting_max: usize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    by_seq: FxHashMap<u64, Proposer>,
    /// No waiter gets an answer any more.
    is_over: bool,
}

struct Proposer {
    sender: oneshot::Sender<Answer>,
    /// The core has answered by then, unless it is stuck.
    until: Instant,
}

impl Answers {
    /// No waiters yet, and at most `waiting_max`.
    pub(crate) fn new(waiting_max: usize) -> Answers {
        Answers { waiting_max, waiting: Mutex::default() }
    }

    /// Registers a proposer, who gets an answer by `until` or [`SWEPT_EVERY`] later. Those who add
    /// rows leave one place in 16 to the others, as in the core's queue.
    pub(crate) fn register(
        &self,
        seq: u64,
        until: Instant,
        adds_rows: bool,
    ) -> Result<oneshot::Receiver<Answer>, ProposeError> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.is_over {
            return Err(ProposeError::Stopping);
        }
        let kept_back = if adds_rows { self.waiting_max / 16 } else { 0 };
        if waiting.by_seq.len() >= self.waiting_max - kept_back {
            return Err(ProposeError::Overloaded);
        }
        waiting.by_seq.insert(seq, Proposer { sender, until });
        Ok(receiver)
    }

    /// Sends answers; returns the sequence numbers that are settled.
    pub(crate) fn settle(&self, applied: Vec<(u64, Applied)>) -> Vec<u64> {
        let mut waiting = self.waiting.lock();
        let take = |(seq, applied)| (seq, waiting.by_seq.remove(&seq), applied);
        let pairs: Vec<_> = applied.into_iter().map(take).collect();
        drop(waiting);
        let tell = |(seq, proposer, applied): (u64, Option<Proposer>, Applied)| {
            if let Some(proposer) = proposer {
                // A client that is gone needs no answer.
                let _ = proposer.sender.send(Ok(applied));
            }
            seq
        };
        pairs.into_iter().map(tell).collect()
    }

    /// Tells a proposer that its command got no outcome.
    pub(crate) fn fail(&self, seq: u64, error: ProposeError) {
        if let Some(proposer) = self.waiting.lock().by_seq.remove(&seq) {
            let _ = proposer.sender.send(Err(error));
        }
    }

    /// Times out late waiters: their outcome is unknown.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut waiting = self.waiting.lock();
        for (_, late) in waiting.by_seq.extract_if(|_, proposer| proposer.until <= now) {
            let _ = late.sender.send(Err(ProposeError::TimedOut));
        }
    }

    /// Ends all waits. The commands of the waiters may be in the log, so their outcome is unknown.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.is_over = true;
        for (_, proposer) in waiting.by_seq.drain() {
            let _ = proposer.sender.send(Err(ProposeError::TimedOut));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_waits_too_long_times_out() {
        let answers = Answers::new(2);
        let now = Instant::now();
        let mut late = answers.register(1, now, true).expect("room");
        let mut early = answers.register(2, now + SWEPT_EVERY, true).expect("room");
        assert_eq!(answers.register(3, now, true).err(), Some(ProposeError::Overloaded));
        answers.sweep(now);
        assert_eq!(late.try_recv().expect("told"), Err(ProposeError::TimedOut));
        assert!(early.try_recv().is_err(), "its time has not come");
        answers.fail(2, ProposeError::NoLeader);
        assert_eq!(early.try_recv().expect("told"), Err(ProposeError::NoLeader));
    }

    #[test]
    fn nobody_begins_to_wait_after_the_end() {
        let answers = Answers::new(1);
        let mut waiting = answers.register(1, Instant::now() + SWEPT_EVERY, true).expect("room");
        answers.end();
        assert_eq!(waiting.try_recv().expect("told"), Err(ProposeError::TimedOut));
        assert_eq!(answers.register(2, Instant::now(), true).err(), Some(ProposeError::Stopping));
    }
}
