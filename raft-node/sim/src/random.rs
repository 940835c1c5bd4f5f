//! The only source of randomness in a simulation: one stream of numbers from one seed.
//!
//! The generator is xoshiro256**, seeded by splitmix64, so a run does not depend on a library's
//! version. It is fast and uniform, but not secret.

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Random {
    state: [u64; 4],
}

impl Random {
    /// The stream of this seed.
    pub(crate) fn new(seed: u64) -> Random {
        let mut mixed = seed;
        let state = std::array::from_fn(|_| {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = mixed;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        });
        Random { state }
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product is uniform enough for every bound of the simulation.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// An index into something of this length, which is not 0.
    pub(crate) fn index(&mut self, length: usize) -> usize {
        assert!(length > 0, "nothing to choose from");
        self.below(length as u64) as usize
    }

    /// One of these.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.index(from.len());
        &from[at]
    }

    /// True in this many cases per million.
    pub(crate) fn ppm(&mut self, rate: u64) -> bool {
        rate > 0 && self.below(1_000_000) < rate
    }

    /// True in this many cases per hundred.
    pub(crate) fn percent(&mut self, rate: u64) -> bool {
        self.ppm(rate * 10_000)
    }

    /// Draws around `mean` with the long tail of waiting times, at most ten times the mean.
    pub(crate) fn waiting(&mut self, mean: u64) -> u64 {
        let unit = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        let times = (-(1.0 - unit).ln()).min(10.0);
        (mean as f64 * times) as u64
    }

    /// Shuffles in place.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            let other = self.index(end + 1);
            list.swap(end, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_is_a_function_of_the_seed_and_even() {
        let draw = |seed| {
            let mut random = Random::new(seed);
            std::array::from_fn::<u64, 4, _>(|_| random.next())
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut random = Random::new(7);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            counts[random.index(10)] += 1;
        }
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
        let mean = (0..10_000).map(|_| random.waiting(100)).sum::<u64>() / 10_000;
        assert!((90..110).contains(&mean), "{mean}");
        assert!((0..1_000).all(|_| (3..=5).contains(&random.between(3, 5))));
    }
}
