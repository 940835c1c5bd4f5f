//! The load scripts that older systems judged themselves by, under the names, thresholds and
//! verdict lines that those had: `oversell`, `idempotency`, `high-load` and `order_test`.
//!
//! Each makes the product that it sells, so it can be run again and again. Virtual users ask for
//! one thing at a time and never repeat a request by themselves.

pub(crate) mod run;
mod verdict;

use std::time::Duration;

use clap::ValueEnum;
use client::wire::PaymentMethod;

/// Units of a product that must not run out.
const PLENTY: u64 = 1_000_000_000;

/// A script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// 50 users race for the last unit: one order, 49 refusals
    Oversell,
    /// 50 requests under one key: one order, answered 50 times
    Idempotency,
    /// From 0 to 50 users in 2.5 minutes: p95 under 500 ms, p99 under 1,000 ms, over 80 % orders
    HighLoad,
    /// 100 users who order as fast as they can for 30 seconds: every order is placed
    #[value(name = "order_test")]
    OrderTest,
}

impl Scenario {
    /// Users at most.
    fn users(self) -> u64 {
        match self {
            Scenario::Oversell | Scenario::Idempotency | Scenario::HighLoad => 50,
            Scenario::OrderTest => 100,
        }
    }

    /// How long it takes, for those that take a time.
    fn duration(self) -> Duration {
        match self {
            Scenario::Oversell | Scenario::Idempotency => Duration::ZERO,
            Scenario::HighLoad => Duration::from_secs(150),
            Scenario::OrderTest => Duration::from_secs(30),
        }
    }

    /// A payment that is refused gives its unit back, for another user to take.
    fn payment(self) -> PaymentMethod {
        match self {
            Scenario::Oversell => PaymentMethod::None,
            Scenario::Idempotency | Scenario::HighLoad | Scenario::OrderTest => PaymentMethod::Mock,
        }
    }

    fn stock(self) -> u64 {
        if self == Scenario::Oversell { 1 } else { PLENTY }
    }

    /// Its name on the command line.
    fn name(self) -> &'static str {
        match self {
            Scenario::Oversell => "oversell",
            Scenario::Idempotency => "idempotency",
            Scenario::HighLoad => "high-load",
            Scenario::OrderTest => "order_test",
        }
    }
}
