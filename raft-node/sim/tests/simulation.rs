//! Runs of simulated clusters; see `raft_sim`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use raft_node::config::Timings;
use raft_sim::{Coverage, Report, Show};

/// The seeds of every build. Long runs take others.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=500;

/// Runs each seed on one of as many threads as there are cores.
fn on_all_cores<T: Send>(seeds: &[u64], run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(0);
    let results = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let result = run(*seed);
                    results.lock().expect("no run panics here").push(result);
                }
            });
        }
    });
    results.into_inner().expect("no run panics here")
}

fn explain(report: &Report) -> String {
    // Run it again for the last lines of its trace.
    let told = raft_sim::run(report.seed, None, Show::Tail);
    format!(
        "{}\nseed {} failed: {}\nrun it again: {}",
        told.tail.join("\n"),
        report.seed,
        report.failure.as_deref().unwrap_or("nothing"),
        report.replay_command()
    )
}

#[test]
fn five_hundred_lives_keep_every_promise() {
    let seeds: Vec<u64> = SEEDS.collect();
    let started = std::time::Instant::now();
    let reports = on_all_cores(&seeds, |seed| raft_sim::run(seed, None, Show::Nothing));
    let mut coverage = Coverage::default();
    let mut simulated_us = 0;
    for report in &reports {
        assert!(report.failure.is_none(), "{}", explain(report));
        coverage.add(&report.coverage);
        simulated_us += report.time;
    }
    println!(
        "{} lives, {:.1} simulated hours in {:.0} s",
        reports.len(),
        simulated_us as f64 / 3.6e9,
        started.elapsed().as_secs_f64()
    );
    let longest =
        |time: fn(&Report) -> u64| reports.iter().map(time).max().unwrap_or_default() as f64 / 1e6;
    println!(
        "after the faults the first answer took {:.1} s at most, rest {:.1} s",
        longest(|report| report.first_answer),
        longest(|report| report.rest)
    );
    // A run proves nothing about what it did not do.
    let mut missing = Vec::new();
    for (name, count) in coverage.each() {
        println!("{count:>12}  {name}");
        if count == 0 {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "no life saw {missing:?}");
}

#[test]
fn a_seed_lives_the_same_life_twice() {
    let seeds: Vec<u64> = (1..=100).map(|n| n * 7_919).collect();
    let pairs = on_all_cores(&seeds, |seed| {
        (raft_sim::run(seed, None, Show::Nothing), raft_sim::run(seed, None, Show::Tail))
    });
    for (first, second) in pairs {
        assert!(first.failure.is_none(), "{}", explain(&first));
        assert!(first.events > 1_000, "seed {} did next to nothing", first.seed);
        assert_eq!(
            (first.trace_hash, first.events, first.time, &first.coverage),
            (second.trace_hash, second.events, second.time, &second.coverage),
            "seed {} lived two lives",
            first.seed
        );
    }
}

/// Seeds for each round trip of a wide network.
const WIDE_SEEDS: std::ops::RangeInclusive<u64> = 1..=6;

#[test]
fn five_nodes_far_apart_keep_every_promise_and_their_leader() {
    let seeds: Vec<u64> = WIDE_SEEDS.collect();
    let elections = |report: &Report| {
        let mut counters = report.coverage.each().into_iter();
        counters.find(|(name, _)| *name == "elections").expect("a counter").1
    };
    for (round_trip_ms, heartbeat_ms, election_ms) in [(100, 200, 2_000), (250, 500, 5_000)] {
        let timings = Timings { heartbeat_ms, election_ms };
        let elections_of = |quiet| {
            let run = |seed| raft_sim::run_wide(seed, round_trip_ms, timings, quiet);
            let reports = on_all_cores(&seeds, run);
            for Report { seed, failure, .. } in &reports {
                assert!(failure.is_none(), "{round_trip_ms} ms, seed {seed}: {failure:?}");
            }
            reports.iter().map(elections).sum::<u64>()
        };
        elections_of(false);
        let quiet = elections_of(true);
        println!("{round_trip_ms} ms: {quiet} elections in {} quiet runs", seeds.len());
        // Two candidates may split the votes of the first one.
        assert!(quiet <= 2 * seeds.len() as u64, "{quiet} elections at {round_trip_ms} ms");
    }
}
