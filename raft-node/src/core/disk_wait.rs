//! How long this node's disk has not answered, as data; `stall` decides what follows from it.

/// The most that counts between two ticks, in milliseconds.
const TICK_MS_MAX: u64 = 250;

/// How long the disk has not answered.
#[derive(Debug, Default)]
pub(super) struct Stall {
    /// The oldest append in flight at the last tick.
    oldest: Option<u64>,
    pub(super) waited_ms: u64,
    ticked_at_ms: u64,
}

impl Stall {
    /// At a tick: `oldest` is the number of the oldest append in flight.
    pub(super) fn tick(&mut self, oldest: Option<u64>, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.ticked_at_ms).min(TICK_MS_MAX);
        self.ticked_at_ms = now_ms;
        match oldest.is_some() && oldest == self.oldest {
            true => self.waited_ms += passed_ms,
            false => self.waited_ms = 0,
        }
        self.oldest = oldest;
    }

    /// An append became durable.
    pub(super) fn ended(&mut self) {
        (self.oldest, self.waited_ms) = (None, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_between_ticks_with_the_same_append_in_flight_counts() {
        let mut stall = Stall::default();
        let mut waited_ms = |oldest, now_ms| {
            stall.tick(oldest, now_ms);
            stall.waited_ms
        };
        assert_eq!(waited_ms(None, 1_000), 0);
        assert_eq!(waited_ms(Some(1), 1_050), 0);
        assert_eq!(waited_ms(Some(1), 1_100), 50);
        assert_eq!(waited_ms(Some(1), 1_150), 100);
        assert_eq!(waited_ms(Some(2), 1_200), 0, "another one: the disk works");
        assert_eq!(waited_ms(Some(2), 99_999), TICK_MS_MAX, "the process was suspended");
        assert_eq!(waited_ms(None, 100_049), 0);
        assert_eq!(waited_ms(Some(3), 100_099), 0);
        assert_eq!(waited_ms(Some(3), 100_149), 50);
        stall.ended();
        assert_eq!(stall.waited_ms, 0);
    }
}
