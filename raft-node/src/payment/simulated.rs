//! A gateway for trials and tests. Its verdict is a function of the key, for every node and every
//! try.

use std::cmp::Reverse;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::stream;
use tokio::time::{Instant, sleep, sleep_until};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::gateway::{Answer, Call, Calls, Charge, PaymentGateway, RefundCall};

/// The whole, of which settings are parts.
pub const PER_MILLION: u32 = 1_000_000;

/// Settings of the simulated gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedSettings {
    /// Successful attempts per million; the rest is declined.
    pub success_ppm: u32,
    /// Unanswered calls per million.
    pub error_ppm: u32,
    /// Duration of a call, in milliseconds.
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

    /// The answer to a call, and its delay in milliseconds.
    pub fn decide(&self, charge: &Charge) -> (u64, Answer) {
        // The verdict depends on the key alone. Delay and silence depend on the try too.
        let draw = |salt: u64| xxh3_64_with_seed(charge.key.as_bytes(), salt);
        let tried = u64::from(charge.unanswered) << 8;
        let (low, high) = (*self.settings.delay_ms.start(), *self.settings.delay_ms.end());
        let delay = low + draw(tried | 1) % (high.saturating_sub(low) + 1);
        let million = u64::from(PER_MILLION);
        if draw(tried | 2) % million < u64::from(self.settings.error_ppm) {
            return (delay, Answer::Unknown);
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
            sleep(Duration::from_millis(delay)).await;
            answer
        })
    }

    /// Gives everything back.
    fn refund(&self, _: RefundCall) -> Call<'_> {
        let delay = Duration::from_millis(*self.settings.delay_ms.start());
        Box::pin(async move {
            sleep(delay).await;
            Answer::Succeeded
        })
    }

    /// Waits once for all calls with equal delays.
    fn settle_all(&self, charges: Vec<Charge>) -> Calls<'_> {
        let begun = Instant::now();
        let decide = |(at, charge): (usize, Charge)| {
            let (delay, answer) = self.decide(&charge);
            (delay, at, answer)
        };
        let mut open: Vec<_> = (0..).zip(charges).map(decide).collect();
        // The next answer is the last element.
        open.sort_unstable_by_key(|(delay, at, _)| Reverse((*delay, *at)));
        Box::pin(stream::unfold(open, move |mut open| async move {
            let (next, ..) = open.last()?;
            sleep_until(begun + Duration::from_millis(*next)).await;
            let passed = begun.elapsed();
            let due = |(delay, ..): &(u64, usize, Answer)| Duration::from_millis(*delay) <= passed;
            let answered = open.split_off(open.partition_point(|call| !due(call)));
            let answered = answered.into_iter().rev().map(|(_, at, answer)| (at, answer));
            Some((answered.collect(), open))
        }))
    }
}

#[cfg(test)]
mod tests {
    use engine::ids::OrderId;
    use engine::money::Money;
    use engine::trace::TraceId;
    use futures_util::StreamExt as _;

    use super::*;

    fn charge(key: u64, unanswered: u32) -> Charge {
        Charge {
            key: format!("c-{key}-1"),
            order: OrderId(key),
            attempt: 1,
            unanswered,
            amount: Money(1),
            trace: TraceId::NONE,
            look_up_first: false,
            may_charge: true,
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

    #[tokio::test]
    async fn many_calls_are_answered_as_each_would_be_and_when() {
        let settings = SimulatedSettings { delay_ms: 5..=60, ..SimulatedSettings::default() };
        let gateway = SimulatedGateway::new(settings);
        let charges: Vec<_> = (0..500).map(|key| charge(key, 0)).collect();
        let begun = Instant::now();
        let mut calls = gateway.settle_all(charges.clone());
        let mut answered = std::collections::BTreeMap::new();
        let mut pieces = 0;
        while let Some(answers) = calls.next().await {
            pieces += 1;
            let passed = begun.elapsed().as_millis() as u64;
            for (at, answer) in answers {
                let (delay, expected) = gateway.decide(&charges[at]);
                assert!(delay <= passed, "{passed} of {delay}");
                assert_eq!(answer, expected);
                assert!(answered.insert(at, answer).is_none(), "one answer each");
            }
        }
        assert_eq!(answered.len(), 500);
        assert!(pieces <= 56, "each delay is waited for at most once: {pieces}");
    }

    #[test]
    fn silence_ends_when_asked_again() {
        let settings = SimulatedSettings { error_ppm: 500_000, ..SimulatedSettings::default() };
        let gateway = SimulatedGateway::new(settings);
        for key in 0..100 {
            let answered =
                (0..100).find(|tries| gateway.decide(&charge(key, *tries)).1 != Answer::Unknown);
            assert!(answered.is_some());
        }
    }
}
