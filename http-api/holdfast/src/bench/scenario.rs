//! Scenarios: the load scripts of older systems, with their names, thresholds and verdicts.
//!
//! Each scenario creates its own product, so it can be repeated. A virtual user has one open
//! request and never repeats it.

pub(crate) mod run;
mod verdict;

use std::time::Duration;

use clap::ValueEnum;
use client::wire::PaymentMethod;

/// Stock of a product that must not run out.
const PLENTY: u64 = 1_000_000_000;

/// A scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// 50 users race for the last unit: 1 order, 49 refusals
    Oversell,
    /// 50 requests under one key: 1 order, 50 equal answers
    Idempotency,
    /// Ramp from 0 to 50 users in 2.5 minutes: p95 below 500 ms, p99 below 1,000 ms, over 80 %
    /// orders
    HighLoad,
    /// 100 users order as fast as they can for 30 seconds: every order is placed
    #[value(name = "order_test")]
    OrderTest,
}

impl Scenario {
    /// Most concurrent users.
    fn users(self) -> u64 {
        match self {
            Scenario::Oversell | Scenario::Idempotency | Scenario::HighLoad => 50,
            Scenario::OrderTest => 100,
        }
    }

    /// How long it runs; zero if each user sends one request.
    fn duration(self) -> Duration {
        match self {
            Scenario::Oversell | Scenario::Idempotency => Duration::ZERO,
            Scenario::HighLoad => Duration::from_secs(150),
            Scenario::OrderTest => Duration::from_secs(30),
        }
    }

    /// The payment method. `oversell` has none: a declined payment would return the unit for
    /// another user to order.
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
