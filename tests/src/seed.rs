//! The only source of random choices: a seed. A failing test prints it; a variable sets it.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// The variable that fixes the seed of every test.
pub const VARIABLE: &str = "HOLDFAST_TEST_SEED";

/// The seed of all random choices of one test.
///
/// The same seed repeats the requests, their nodes and the node that a fault hits. It does not
/// repeat the timing between processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The seed of [`VARIABLE`], else a new one.
    ///
    /// # Panics
    /// When the variable is not a number.
    #[must_use]
    pub fn new() -> Self {
        if let Ok(text) = std::env::var(VARIABLE) {
            return Self(text.parse().expect("the seed in the environment is a number"));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Self(u64::from(now.subsec_nanos()) ^ (u64::from(std::process::id()) << 32))
    }

    /// An independent stream of choices; it depends on the seed and the number alone.
    #[must_use]
    pub fn stream(self, stream: u64) -> StdRng {
        StdRng::seed_from_u64(self.0 ^ stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// The number to put into [`VARIABLE`].
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

/// One of the nodes 1 to `nodes`.
pub fn any_node(random: &mut StdRng, nodes: u64) -> u64 {
    random.random_range(1..=nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |stream| -> Vec<u64> {
            let mut random = Seed(7).stream(stream);
            (0..8).map(|_| any_node(&mut random, 1_000)).collect()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
