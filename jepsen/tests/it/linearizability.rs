//! The checkers against generated histories, correct and falsified ones.

use std::time::{Duration, Instant};

use jepsen::checker::{self, Checker, Enough, Judgement, Linearizability, Verdict};
use jepsen::history::{Event, History, Kind, Operation, Outcome};
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
fn correct_histories_are_valid_with_and_without_dumps() {
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

/// Orders that fail by themselves, as holds do, and periods in which hardly anything is answered.
fn outages(seed: u64) -> Recipe {
    let (operations, processes, stock) = (12_000, 20, 60);
    let (failing, outage, unknown) = (0.6, 0.4, 0.05);
    let recipe = Recipe { seed, operations, processes, stock, unknown, ..Recipe::default() };
    Recipe { failing, outage, pairs: 0.1, moves: true, ..recipe }
}

#[test]
fn a_nodes_ledger_decides_histories_with_thousands_of_unknown_outcomes() {
    for seed in 0..3 {
        let recipe = outages(seed);
        let history = history(simulated::history(&recipe));
        let unknown = |operation: &&Operation| matches!(operation.outcome, Outcome::Info(_));
        let unknown = history.client_operations().filter(unknown).count();
        assert!(unknown > 2_000, "only {unknown} unknown outcomes");
        let judgement = Linearizability { limit: Duration::from_secs(20) }.check(&history);
        assert_eq!(judgement.verdict, Verdict::Valid, "{recipe:?}: {judgement:?}");
        assert!(judgement.notes[0].ends_with(" 0 of them searched"), "{:?}", judgement.notes);
    }
}

#[test]
fn a_nodes_ledger_is_not_trusted() {
    for seed in 0..10 {
        let mut events = simulated::history(&Recipe { seed, moves: true, ..Recipe::default() });
        let dump = events.iter_mut().find(|event| event.f == "dump" && !event.value.is_null());
        let moves = dump.expect("there is a dump").value["moves"].as_array_mut().expect("moves");
        for (at, moved) in moves.iter_mut().rev().enumerate() {
            moved["index"] = json!(at);
        }
        let judgement = judge(events);
        assert_eq!(judgement.verdict, Verdict::Valid, "{judgement:?}");
        assert!(!judgement.notes[0].ends_with(" 0 of them searched"), "{:?}", judgement.notes);
        // With the right order in the ledger, a wrong read is found too.
        let alone = Recipe { processes: 1, unknown: 0.0, moves: true, seed, ..Recipe::default() };
        let judgement = judge(spoilt(&alone, 5).expect("it reads"));
        assert_eq!(judgement.verdict, Verdict::Invalid, "{alone:?}");
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
fn a_wrong_read_is_found_unless_something_else_explains_it() {
    let mut found = 0;
    for seed in 0..30 {
        // One process, so nothing overlaps and every wrong read must be found.
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
