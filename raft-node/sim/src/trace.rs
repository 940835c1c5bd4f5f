//! The trace of a run: a hash and, on request, text.
//!
//! Every event is mixed into the hash, so two runs of one seed can be compared without keeping
//! either. Lines are made only on request.

use std::collections::VecDeque;
use std::fmt;

use crate::time::Time;

/// Last lines kept for a failure when the run is not shown as a whole.
const TAIL_LINES: usize = 60;

/// Where the lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// Lines are not made.
    #[default]
    Nothing,
    /// The last lines are kept for the report.
    Tail,
    /// Lines go to standard output.
    All,
}

/// The trace of a run.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    events: u64,
    show: Show,
    tail: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(show: Show) -> Trace {
        Trace { hash: 0x5151_7a3d_9b11_c4e7, events: 0, show, tail: VecDeque::new() }
    }

    /// Mixes a number in.
    pub(crate) fn mix(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        self.hash = mixed ^ (mixed >> 32);
    }

    /// Mixes an event in: its kind, its place and its time.
    pub(crate) fn event(&mut self, at: Time, kind: u64, place: u64) {
        self.events += 1;
        self.mix(at);
        self.mix(kind << 32 | place);
    }

    /// Adds a line. The closure runs only when lines are wanted.
    pub(crate) fn say(&mut self, at: Time, line: impl FnOnce() -> String) {
        if self.show == Show::Nothing {
            return;
        }
        let line = format!("{:>12} {}", Seconds(at), line());
        if self.show == Show::All {
            println!("{line}");
        }
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn events(&self) -> u64 {
        self.events
    }

    pub(crate) fn into_tail(self) -> Vec<String> {
        self.tail.into()
    }
}

/// Simulated time as seconds with six places.
struct Seconds(Time);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000);
        f.pad(&text)
    }
}
