//! The command `simulate`: runs many seeds, or one in detail.
//!
//! `cargo run --release -p raft-node --example simulate -- ARGUMENTS` calls it.
//!
//! ```text
//! simulate --seeds 20000 --from 1 [--jobs 2]   many seeds, with progress and what they covered
//! simulate --seed 42 [--trace]                 one seed, with every event on request
//! simulate --bug NAME --seeds 500 --from 1     how soon a planted bug is found
//! ```
//!
//! It ends with status 1 at the first seed that fails, after printing the command that runs it
//! again.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use raft_node::simulation::Bug;

use crate::{Coverage, Report, Show};

const USAGE: &str = "simulate [--seeds N] [--from N] [--jobs N] [--bug NAME] | --seed N [--trace]";
/// Interval between progress lines, in seconds.
const PROGRESS_S: u64 = 10;

#[derive(Debug)]
struct Options {
    seeds: u64,
    from: u64,
    jobs: usize,
    one: Option<u64>,
    trace: bool,
    bug: Option<Bug>,
}

fn options() -> Result<Options, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { seeds: 100, from: 1, jobs, one: None, trace: false, bug: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut text = || arguments.next().ok_or_else(|| format!("{name} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text}: no number"));
        match name.as_str() {
            "--seeds" => options.seeds = number(text()?)?,
            "--from" => options.from = number(text()?)?,
            "--jobs" => options.jobs = number(text()?)?.clamp(1, 256) as usize,
            "--seed" => options.one = Some(number(text()?)?),
            "--trace" => options.trace = true,
            "--bug" => {
                let name = text()?;
                let bug = Bug::ALL.into_iter().find(|bug| format!("{bug:?}") == name);
                options.bug = Some(bug.ok_or_else(|| format!("{name}: one of {:?}", Bug::ALL))?);
            }
            _ => return Err(format!("{name}: {USAGE}")),
        }
    }
    Ok(options)
}

/// Reads the arguments of the process and does what they ask for. Returns status 1 if a seed fails,
/// and 2 for invalid arguments.
pub fn main() -> ExitCode {
    match options() {
        Err(message) => {
            eprintln!("{message}");
            ExitCode::from(2)
        }
        Ok(options) => match options.one {
            Some(seed) => run_one(seed, &options),
            None => run_many(&options),
        },
    }
}

fn run_one(seed: u64, options: &Options) -> ExitCode {
    let show = if options.trace { Show::All } else { Show::Tail };
    let report = crate::run(seed, options.bug, show);
    tell_coverage(&report.coverage);
    println!(
        "seed {seed}: {} events in {} simulated seconds, trace hash {:016x}",
        report.events,
        report.time / 1_000_000,
        report.trace_hash
    );
    match report.failure {
        None => ExitCode::SUCCESS,
        Some(_) => tell_failure(&report),
    }
}

fn tell_failure(report: &Report) -> ExitCode {
    for line in &report.tail {
        eprintln!("{line}");
    }
    let failure = report.failure.as_deref().unwrap_or("nothing");
    eprintln!("seed {} failed: {failure}", report.seed);
    eprintln!("run it again: {}", report.replay_command());
    ExitCode::FAILURE
}

/// The sum over all workers.
#[derive(Default)]
struct Sum {
    seeds: u64,
    simulated_us: u64,
    events: u64,
    coverage: Coverage,
    /// The longest times that a cluster took after its faults to answer, and to come to rest.
    first_answer_us: u64,
    rest_us: u64,
    failed: Option<Report>,
}

fn run_many(options: &Options) -> ExitCode {
    // Where panics do not unwind, the last line has to name the seed.
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        let seed = thread::current().name().unwrap_or("of no number").to_owned();
        eprintln!("while it ran seed {seed}; run it again with --seed and --trace");
    }));
    let started = Instant::now();
    let next = AtomicU64::new(options.from);
    let end = options.from.saturating_add(options.seeds);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    run_seed(seed, options.bug, &sum, &stop);
                }
            });
        }
        let mut told = 0;
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(std::time::Duration::from_millis(100));
            let seeds = sum.lock().unwrap_or_else(PoisonError::into_inner).seeds;
            if seeds >= options.seeds {
                break;
            }
            if started.elapsed().as_secs() / PROGRESS_S > told {
                told = started.elapsed().as_secs() / PROGRESS_S;
                tell_progress(&sum, started);
            }
        }
    });
    tell_progress(&sum, started);
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    tell_coverage(&sum.coverage);
    println!(
        "after the faults the first answer took {:.1} s at most, rest {:.1} s",
        sum.first_answer_us as f64 / 1e6,
        sum.rest_us as f64 / 1e6
    );
    match (&sum.failed, options.bug) {
        (None, None) => ExitCode::SUCCESS,
        (None, Some(bug)) => {
            eprintln!("{bug:?} was not found");
            ExitCode::FAILURE
        }
        (Some(report), _) => tell_failure(report),
    }
}

/// Runs a seed on a thread with the seed as its name, so that a panic names it.
fn run_seed(seed: u64, bug: Option<Bug>, sum: &Mutex<Sum>, stop: &AtomicBool) {
    let thread = thread::Builder::new().name(seed.to_string());
    let run = move || crate::run(seed, bug, Show::Nothing);
    let mut report = match thread.spawn(run).map(thread::JoinHandle::join) {
        Ok(Ok(report)) => report,
        Ok(Err(_)) | Err(_) => return stop.store(true, Ordering::Relaxed),
    };
    if report.failure.is_some() {
        stop.store(true, Ordering::Relaxed);
        // Run it again for the last lines of its trace.
        report = crate::run(seed, bug, Show::Tail);
    }
    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    sum.seeds += 1;
    sum.simulated_us += report.time;
    sum.events += report.events;
    sum.coverage.add(&report.coverage);
    sum.first_answer_us = sum.first_answer_us.max(report.first_answer);
    sum.rest_us = sum.rest_us.max(report.rest);
    if report.failure.is_some() && sum.failed.as_ref().is_none_or(|first| first.seed > seed) {
        sum.failed = Some(report);
    }
}

fn tell_progress(sum: &Mutex<Sum>, started: Instant) {
    let sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = started.elapsed().as_secs_f64();
    let simulated = sum.simulated_us as f64 / 1e6;
    eprintln!(
        "{} seeds, {:.2} simulated hours, {} million events in {seconds:.0} s: {:.0} times as fast \
         as time",
        sum.seeds,
        simulated / 3600.0,
        sum.events / 1_000_000,
        simulated / seconds.max(0.001),
    );
}

fn tell_coverage(coverage: &Coverage) {
    for (name, count) in coverage.each() {
        println!("{count:>12}  {name}");
    }
}
