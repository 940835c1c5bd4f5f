//! `holdfast bench`: puts a running cluster under load over HTTP and measures it.
//!
//! The generator must cost less than what it measures, so it sends finished bytes over connections
//! of its own and reads of an answer only what it counts. Everything is bounded: connections,
//! requests, time. It ends by itself.

mod catalogue;
mod connection;
mod cpu;
mod pace;
mod report;
mod request;
mod stats;
mod worker;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{ArgAction, Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::{address, remote};
use cpu::Snapshot;
use pace::Schedule;
use report::{Cpu, Report};
use request::Shape;
use stats::Stats;
use worker::{Pace, Plan, Target, Times};

/// The longest run that is bounded by a number of requests instead of a time.
const COUNTED_RUN_MAX: Duration = Duration::from_secs(3600);
/// How long after the last request was due its answer is waited for.
const DRAIN: Duration = Duration::from_secs(10);
/// Time for the generator's threads to come up before the first request is due.
const LEAD: Duration = Duration::from_millis(20);

/// How orders are paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Payment {
    /// By the simulated gateway: two further writes for each order
    Mock,
    /// Not at all: orders stay PENDING
    None,
}

impl Payment {
    fn as_str(self) -> &'static str {
        match self {
            Payment::Mock => "mock",
            Payment::None => "none",
        }
    }
}

/// The flags of `bench`.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    remote: remote::Options,
    /// Connections, spread over the URLs in turn; without --rate each sends its next request as
    /// soon as the last one is answered
    #[arg(long, value_name = "N", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Threads that generate load
    #[arg(long, value_name = "N", default_value = "1", value_parser = value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Send so many requests a second whatever the answers do; latency then counts from the moment
    /// a request was due
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Create so many products and spread the orders over them
    #[arg(long, value_name = "N", default_value = "1000")]
    #[arg(value_parser = value_parser!(u32).range(1..=100_000))]
    products: u32,
    /// Sell one product only
    #[arg(long)]
    hot: bool,
    /// Create the products without stock: every order is refused, which is what is counted
    #[arg(long)]
    sold_out: bool,
    /// How orders are paid
    #[arg(long, value_enum, default_value = "mock")]
    payment: Payment,
    /// Spread the orders over so many users; 0 for orders without users
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = value_parser!(u64).range(0..=request::NUMBER_MAX))]
    users: u64,
    /// Give every order its own idempotency key
    #[arg(long, action = ArgAction::Set, default_value = "true", default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, value_name = "true|false")]
    key: bool,
    /// How long to measure, in seconds [default: 10]
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(1..=3600))]
    duration: Option<u64>,
    /// Send so many requests instead of measuring for a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    #[arg(conflicts_with = "duration")]
    count: Option<u64>,
    /// Do not measure the first seconds [default: 2, or 0 with --count]
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(0..=600))]
    warmup: Option<u64>,
    /// Report the processor time of this process too, by thread; once per node of the cluster
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
}

/// Runs it and prints the result.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    // Wrong process ids should not be found after a minute of load.
    snapshot(&options.pid)?;
    let plan = Arc::new(remote::block_on(prepare(options))?);
    let (stats, generator, server) = execute(&plan, options)?;
    let report = summarize(&plan, options, &stats, generator, server);
    options.remote.print(&report, Report::text)?;
    if report.succeeded == 0 {
        let cause = stats.last_error.or_else(|| stats.quotes.into_values().next());
        let cause = cause.unwrap_or_else(|| "there were no answers".to_owned());
        return Err(Failure::Failed(format!("no request succeeded: {cause}")));
    }
    Ok(())
}

/// Resolves the targets, creates the products and lays out the run.
async fn prepare(options: &Options) -> Result<Plan, Failure> {
    let mut targets = Vec::new();
    for url in &options.remote.url {
        let host = address::authority(url).map_err(Failure::Usage)?;
        let found = tokio::net::lookup_host(&host).await;
        let address = found.map_err(|error| Failure::because(url, &error))?.next();
        let address = address.ok_or_else(|| Failure::Failed(format!("{url} has no address")))?;
        targets.push(Target { host, address });
    }
    let run = run_name();
    let count = if options.hot { 1 } else { options.products as usize };
    let client = options.remote.client()?;
    let products = catalogue::create(&client, &run, count, options.sold_out).await?;

    let measured = options.duration.unwrap_or(10);
    let warmup = options.warmup.unwrap_or(if options.count.is_some() { 0 } else { 2 });
    let start = Instant::now() + LEAD;
    let measured_from = start + Duration::from_secs(warmup);
    let end = match (options.count, options.rate) {
        (Some(count), Some(rate)) => {
            let due = Schedule::new(start, rate).due(count);
            due.min(start + COUNTED_RUN_MAX)
        }
        (Some(_), None) => start + COUNTED_RUN_MAX,
        (None, _) => measured_from + Duration::from_secs(measured),
    };
    let total = match (options.count, options.rate) {
        (Some(count), _) => count,
        (None, Some(rate)) => rate * (warmup + measured),
        (None, None) => u64::MAX,
    };
    let pace = match options.rate {
        None => Pace::Closed,
        Some(rate) => Pace::Open {
            schedule: Schedule::new(start, rate),
            permits: Arc::new(Semaphore::new(0)),
        },
    };
    Ok(Plan {
        targets,
        shape: Shape {
            run,
            keys: options.key,
            users: options.users > 0,
            payment: options.payment.as_str(),
        },
        products,
        users: options.users,
        pace,
        times: Times { measured_from, end, give_up: end + DRAIN },
        total,
        wanted: if options.sold_out { 409 } else { 201 },
        given_out: AtomicU64::new(0),
        sent: AtomicU64::new(0),
    })
}

/// A name that no other run has, for products and keys.
fn run_name() -> String {
    // A clock before 1970 is still a name; the process id tells runs of one moment apart.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_micros(), std::process::id())
}

/// Runs the threads to the end of the plan, and gives what they measured with the processor times
/// of the generator and of the servers.
fn execute(
    plan: &Arc<Plan>,
    options: &Options,
) -> Result<(Stats, Vec<cpu::Used>, Vec<cpu::Used>), Failure> {
    let own = [std::process::id()];
    std::thread::scope(|scope| {
        let threads = usize::from(options.threads).min(usize::from(options.connections));
        let mut workers = Vec::new();
        for thread in 0..threads {
            let connections: Vec<usize> =
                (thread..usize::from(options.connections)).step_by(threads).collect();
            let worker = std::thread::Builder::new()
                .name(format!("bench-{thread}"))
                .spawn_scoped(scope, move || worker::run(plan, connections));
            workers.push(worker.map_err(|error| Failure::because("starting a thread", &error))?);
        }
        if let Pace::Open { schedule, permits } = &plan.pace {
            let (schedule, permits) = (*schedule, Arc::clone(permits));
            std::thread::Builder::new()
                .name("bench-pace".to_owned())
                .spawn_scoped(scope, move || {
                    pace::release(schedule, plan.total, plan.times.end, &permits);
                })
                .map_err(|error| Failure::because("starting a thread", &error))?;
        }

        let progress = Progress::new(plan, options.remote.json);
        let warm = || Instant::now() >= plan.times.measured_from;
        let done = || workers.iter().all(|worker| worker.is_finished());
        progress.until(plan, || warm() || done());
        let before = (snapshot(&own)?, snapshot(&options.pid)?);
        progress.until(plan, done);
        progress.finish();
        let generator = snapshot(&own)?.since(&before.0);
        // A server that died under the load is a result too: its threads are then missing.
        let server = match Snapshot::take(&options.pid) {
            Ok(after) => after.since(&before.1),
            Err(error) => {
                eprintln!("holdfast: no processor times: {error}");
                Vec::new()
            }
        };
        let mut stats = Stats::new();
        for worker in workers {
            let measured = worker.join().expect("a generator thread does not panic");
            stats.add(measured.map_err(|error| Failure::because("generating load", &error))?);
        }
        Ok((stats, generator, server))
    })
}

fn snapshot(pids: &[u32]) -> Result<Snapshot, Failure> {
    Snapshot::take(pids).map_err(|error| Failure::because("cannot read processor times", &error))
}

fn summarize(
    plan: &Plan,
    options: &Options,
    stats: &Stats,
    generator: Vec<cpu::Used>,
    server: Vec<cpu::Used>,
) -> Report {
    let last = stats.last_answer.unwrap_or(plan.times.measured_from);
    let seconds = last.saturating_duration_since(plan.times.measured_from).as_secs_f64();
    let (answered, succeeded) = (stats.answered(), stats.with_status(plan.wanted));
    let unsent = match &plan.pace {
        Pace::Closed => 0,
        Pace::Open { .. } => plan.total.saturating_sub(plan.sent.load(Ordering::Relaxed)),
    };
    Report {
        mode: if options.rate.is_some() { "open" } else { "closed" },
        connections: usize::from(options.connections),
        threads: usize::from(options.threads),
        rate: options.rate,
        products: plan.products.len(),
        payment: plan.shape.payment,
        keys: plan.shape.keys,
        sold_out: options.sold_out,
        seconds,
        answered,
        succeeded,
        per_second: if seconds > 0.0 { succeeded as f64 / seconds } else { 0.0 },
        latency_ms: stats.into(),
        statuses: stats.statuses.clone(),
        unexpected: stats.quotes.clone(),
        errors: stats.into(),
        reconnects: stats.reconnects,
        unsent,
        generator: Cpu::new(&generator, answered),
        server: (!options.pid.is_empty()).then(|| Cpu::new(&server, answered)),
    }
}

/// The bar on a terminal; nothing anywhere else.
struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// How often the bar moves, and how soon the end of the run is noticed.
    const STEP: Duration = Duration::from_millis(50);

    fn new(plan: &Plan, machine: bool) -> Progress {
        let start = Instant::now();
        let length = plan.times.end.saturating_duration_since(start);
        let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        if machine || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = ProgressStyle::with_template("{elapsed:>4} [{wide_bar}] {msg}")
            .expect("the template is a constant");
        bar.set_style(style.progress_chars("=> "));
        Progress { bar, start }
    }

    /// Moves the bar until `done`.
    fn until(&self, plan: &Plan, done: impl Fn() -> bool) {
        while !done() {
            std::thread::sleep(Progress::STEP);
            let passed = self.start.elapsed();
            self.bar.set_position(u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
            let sent = plan.sent.load(Ordering::Relaxed);
            let phase = if Instant::now() < plan.times.measured_from { "warming up, " } else { "" };
            self.bar.set_message(format!(
                "{phase}{sent} requests, {:.0}/s",
                sent as f64 / passed.as_secs_f64()
            ));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
