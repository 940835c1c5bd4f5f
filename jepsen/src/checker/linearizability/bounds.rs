//! Computes the least and the most stock that a product can have had at any time.
//!
//! No order of the operations can explain a read outside these bounds. Counting needs no search, so
//! it refuses histories that are too large for one, with a reason that a person can follow. The
//! search decides about reads within the bounds.

use super::facts::NEVER;
use super::problem::{Part, Saw};

/// The changes of a bound, by time, as a running sum.
#[derive(Debug, Default)]
struct Curve(Vec<(u64, i64)>);

impl Curve {
    fn finish(&mut self) {
        self.0.sort_unstable_by_key(|(time, _)| *time);
        let mut sum = 0;
        for (_, units) in &mut self.0 {
            sum += *units;
            *units = sum;
        }
    }

    /// The sum of the changes before `time`.
    fn before(&self, time: u64) -> i64 {
        match self.0.partition_point(|(at, _)| *at < time) {
            0 => 0,
            end => self.0[end - 1].1,
        }
    }
}

/// What certainly and what possibly happened to one product.
#[derive(Debug, Default)]
struct Bounds {
    initial: i64,
    taken_surely: Curve,
    taken_maybe: Curve,
    back_surely: Curve,
    back_maybe: Curve,
}

impl Bounds {
    /// The least and the most stock at some moment from `since` to `until`.
    fn between(&self, since: u64, until: u64) -> (i64, i64) {
        let end = until.saturating_add(1);
        let least = self.initial - self.taken_maybe.before(end) + self.back_surely.before(since);
        let most = self.initial - self.taken_surely.before(since) + self.back_maybe.before(end);
        (least, most)
    }
}

/// The reads and orders outside of the bounds: the operation, and the reason.
pub(super) fn check(part: &Part) -> Vec<(usize, String)> {
    let bounds = bounds(part);
    let mut found = Vec::new();
    for look in &part.looks {
        let between =
            |product: usize| bounds[product].between(look.window.since, look.window.until);
        match &look.saw {
            Saw::Stock(product, stock) => {
                let (least, most) = between(*product);
                if *stock > most {
                    let why = format!(
                        "at most {most} were left, since other orders had been acknowledged before"
                    );
                    found.push((look.source, why));
                } else if *stock < least {
                    let why = format!(
                        "at least {least} were left, whatever became of the unknown requests"
                    );
                    found.push((look.source, why));
                }
            }
            Saw::TooFew(lines, _) => {
                if lines.iter().all(|(product, qty)| between(*product).0 >= *qty) {
                    found.push((look.source, "there was enough stock all the time".to_owned()));
                }
            }
        }
    }
    for order in part.orders.iter().filter(|order| order.place.until != NEVER) {
        for (product, qty) in &order.lines {
            let (_, most) = bounds[*product].between(order.place.since, order.place.until);
            if let (Some(source), true) = (order.source, most < *qty) {
                let name = &part.products[*product].0;
                found.push((source, format!("at most {most} of {name} were left")));
            }
        }
    }
    found
}

fn bounds(part: &Part) -> Vec<Bounds> {
    let new = |(_, initial): &(String, i64)| Bounds { initial: *initial, ..Bounds::default() };
    let mut bounds: Vec<Bounds> = part.products.iter().map(new).collect();
    for order in &part.orders {
        for (product, qty) in &order.lines {
            let bounds = &mut bounds[*product];
            bounds.taken_maybe.0.push((order.place.since, *qty));
            bounds.taken_surely.0.push((order.place.until, *qty));
            if let Some(back) = order.back {
                // Only units that were certainly taken raise the upper bound when they return.
                bounds.back_maybe.0.push((back.since.max(order.place.until), *qty));
                bounds.back_surely.0.push((back.until, *qty));
            }
        }
    }
    for bounds in &mut bounds {
        let Bounds { taken_surely, taken_maybe, back_surely, back_maybe, .. } = bounds;
        for curve in [taken_surely, taken_maybe, back_surely, back_maybe] {
            curve.finish();
        }
    }
    bounds
}
