//! A gateway for tries and tests. It keeps its word: what it says is a function of the key,
//! whichever node asks and however often.

use std::ops::RangeInclusive;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::gateway::{Answer, Call, Charge, PaymentGateway};

/// Parts of a whole in the settings.
pub const PER_MILLION: u32 = 1_000_000;

/// Settings of the simulated gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedSettings {
    /// How many of a million attempts succeed; the rest is declined.
    pub success_ppm: u32,
    /// How many of a million calls get no answer.
    pub error_ppm: u32,
    /// How long a call takes, in milliseconds.
    pub delay_ms: RangeInclusive<u64>,
}

impl Default for SimulatedSettings {
    fn default() -> SimulatedSettings {
        SimulatedSettings { success_ppm: 800_000, error_ppm: 0, delay_ms: 50..=200 }
    }
}

/// The simulated gateway.
#[derive(Clone, Debug, Default)]
pub struct SimulatedGateway {
    settings: SimulatedSettings,
}

impl SimulatedGateway {
    /// A gateway with these settings.
    pub fn new(settings: SimulatedSettings) -> SimulatedGateway {
        SimulatedGateway { settings }
    }

    /// What a call will be answered, and after how many milliseconds.
    pub fn decide(&self, charge: &Charge) -> (u64, Answer) {
        // The verdict depends on the key alone; delay and silence on the try as well.
        let draw = |salt: u64| xxh3_64_with_seed(charge.key.as_bytes(), salt);
        let tried = u64::from(charge.unanswered) << 8;
        let (low, high) = (*self.settings.delay_ms.start(), *self.settings.delay_ms.end());
        let delay = low + draw(tried | 1) % (high.saturating_sub(low) + 1);
        let million = u64::from(PER_MILLION);
        if draw(tried | 2) % million < u64::from(self.settings.error_ppm) {
            return (delay, Answer::NoAnswer);
        }
        let answer = if draw(3) % million < u64::from(self.settings.success_ppm) {
            Answer::Succeeded
        } else {
            Answer::Declined("payment declined".into())
        };
        (delay, answer)
    }
}

impl PaymentGateway for SimulatedGateway {
    fn charge(&self, charge: Charge) -> Call<'_> {
        let (delay, answer) = self.decide(&charge);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(delay)).await;
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use engine::ids::OrderId;
    use engine::money::Money;
    use engine::trace::TraceId;

    use super::*;

    fn charge(key: u64, unanswered: u32) -> Charge {
        Charge {
            key: format!("c-{key}-1"),
            order: OrderId(key),
            attempt: 1,
            unanswered,
            amount: Money(1),
            trace: TraceId::NONE,
        }
    }

    #[test]
    fn the_verdict_is_a_function_of_the_key_and_hits_the_rate() {
        let gateway = SimulatedGateway::default();
        let mut succeeded = 0;
        for key in 0..10_000 {
            let (delay, answer) = gateway.decide(&charge(key, 0));
            assert!((50..=200).contains(&delay));
            assert_eq!(gateway.decide(&charge(key, 7)).1, answer);
            succeeded += u32::from(answer == Answer::Succeeded);
        }
        assert!((7_800..8_200).contains(&succeeded), "{succeeded}");
    }

    #[test]
    fn silence_ends_when_asked_again() {
        let settings = SimulatedSettings { error_ppm: 500_000, ..SimulatedSettings::default() };
        let gateway = SimulatedGateway::new(settings);
        for key in 0..100 {
            let answered =
                (0..100).find(|tries| gateway.decide(&charge(key, *tries)).1 != Answer::NoAnswer);
            assert!(answered.is_some());
        }
    }
}
