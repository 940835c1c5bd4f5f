//! A histogram of durations. A sum or a mean would hide the one that was long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets, in milliseconds. Longer durations go into a last bucket.
const BOUNDS_MS: [u64; 13] = [1, 2, 5, 10, 25, 50, 75, 100, 150, 250, 500, 1_000, 5_000];

/// Records durations, from any thread.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    below: [AtomicU64; BOUNDS_MS.len() + 1],
    micros: AtomicU64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Upper bound of each bucket in seconds, with the number of durations in it and in no lower
    /// bucket. The last bound is infinite.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all durations, in seconds.
    pub sum: f64,
}

impl Recorder {
    /// Records one duration.
    pub(crate) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS_MS.partition_point(|bound| bound * 1_000 < micros);
        self.below[at].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Copies the counts.
    pub(crate) fn histogram(&self) -> Histogram {
        let bounds = BOUNDS_MS.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
        let counts = self.below.iter().map(|count| count.load(Ordering::Relaxed));
        let sum = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        Histogram { buckets: bounds.zip(counts).collect(), sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_counted_below_their_bounds() {
        let recorder = Recorder::default();
        for ms in [0, 1, 2, 3, 50, 51, 60_000] {
            recorder.record(Duration::from_millis(ms));
        }
        let histogram = recorder.histogram();
        let below = |bound: f64| {
            let upto = histogram.buckets.iter().filter(|(upper, _)| *upper <= bound);
            upto.map(|(_, count)| count).sum::<u64>()
        };
        assert_eq!([0.001, 0.005, 0.05, 5.0, f64::INFINITY].map(below), [2, 4, 5, 6, 7]);
        assert_eq!(histogram.sum, 60.107);
    }
}
