//! The checkers against generated histories, right ones and spoilt ones.

use std::time::{Duration, Instant};

use jepsen::checker::{self, Checker, Enough, Judgement, Linearizability, Verdict};
use jepsen::history::{Event, History, Kind};
use jepsen::simulated::{self, Recipe};
use serde_json::json;

fn history(events: Vec<Event>) -> History {
    History::of((1..).zip(events).collect()).expect("a well-formed history")
}

fn judge(events: Vec<Event>) -> Judgement {
    Linearizability { limit: Duration::from_secs(60) }.check(&history(events))
}

fn assert_valid(recipe: &Recipe) {
    let judgement = judge(simulated::history(recipe));
    assert_eq!(judgement.verdict, Verdict::Valid, "{recipe:?}: {:#?}", judgement.findings);
}

#[test]
fn right_histories_are_valid_with_and_without_dumps() {
    for seed in 0..20 {
        for dumps in [0, 3] {
            for (unknown, stock) in [(0.0, 100), (0.2, 100), (0.2, 5)] {
                assert_valid(&Recipe { seed, dumps, unknown, stock, ..Recipe::default() });
            }
        }
        let pairs = Recipe { seed, products: 3, pairs: 0.3, ..Recipe::default() };
        assert_valid(&pairs);
    }
}

#[test]
fn five_thousand_operations_of_twenty_processes_take_less_than_a_minute() {
    for (seed, products, stock) in [(0, 1, 50_000), (2, 1, 1_500), (3, 5, 400)] {
        let (operations, processes, unknown) = (5_000, 20, 0.2);
        let recipe =
            Recipe { seed, operations, processes, products, stock, unknown, ..Recipe::default() };
        let history = history(simulated::history(&recipe));
        let started = Instant::now();
        let search = Linearizability { limit: Duration::from_secs(60) };
        for checker in checker::all(Enough::default(), search) {
            let judgement = checker.check(&history);
            let name = checker.name();
            assert_eq!(judgement.verdict, Verdict::Valid, "{recipe:?}: {name}: {judgement:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{recipe:?}");
    }
}

/// The events with one read of stock changed by one unit.
fn spoilt(recipe: &Recipe, which: usize) -> Option<Vec<Event>> {
    let mut events = simulated::history(recipe);
    let reads: Vec<usize> = (0..events.len())
        .filter(|at| events[*at].f == "read_product" && events[*at].kind == Kind::Ok)
        .collect();
    let event = &mut events[*reads.get(which)?];
    let stock = event.value["stock"].as_i64()?;
    event.value["stock"] = json!(stock + 1);
    Some(events)
}

#[test]
fn one_wrong_read_is_found_where_nothing_else_can_explain_it() {
    let mut found = 0;
    for seed in 0..30 {
        // One process, so that nothing overlaps and every wrong read must be found.
        let alone = Recipe { seed, processes: 1, unknown: 0.0, ..Recipe::default() };
        let judgement = judge(spoilt(&alone, 5).expect("it reads"));
        assert_eq!(judgement.verdict, Verdict::Invalid, "{alone:?}");
        assert!(judgement.findings[0].contains("read_product"), "{:?}", judgement.findings);
        let many = Recipe { seed, processes: 8, unknown: 0.05, ..Recipe::default() };
        let verdict = judge(spoilt(&many, 9).expect("it reads")).verdict;
        found += usize::from(verdict == Verdict::Invalid);
    }
    assert!(found >= 5, "only {found} of 30 wrong reads among others were found");
}

#[test]
fn a_search_without_time_is_unknown() {
    let history = history(simulated::history(&Recipe::default()));
    let judgement = Linearizability { limit: Duration::ZERO }.check(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown, "{judgement:?}");
}
