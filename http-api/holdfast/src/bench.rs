//! `holdfast bench`: puts a running cluster under load over HTTP and measures it.
//!
//! The generator must cost less than what it measures, so it sends finished bytes over connections
//! of its own and reads of an answer only what it counts. Everything is bounded: connections,
//! requests, time. It ends by itself.

mod catalogue;
mod connection;
mod cpu;
mod distribution;
mod pace;
mod report;
mod request;
mod scenario;
mod stats;
mod worker;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{ArgAction, Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::Semaphore;

use crate::exit::Failure;
use crate::{address, remote};
use cpu::Snapshot;
use distribution::{Distribution, Sampler};
use pace::Schedule;
use report::{Cpu, Reads, Report};
use request::Shape;
use scenario::Scenario;
use stats::Stats;
use worker::{Pace, Plan, Target, Times};

/// The longest run that is bounded by a number of requests instead of a time.
const COUNTED_RUN_MAX: Duration = Duration::from_secs(3600);
/// How long after the last request was due its answer is waited for.
const DRAIN: Duration = Duration::from_secs(10);
/// Time for the generator's threads to come up and connect before the first request is due.
const LEAD: Duration = Duration::from_millis(100);

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
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Send so many requests a second whatever the answers do; latency then counts from the moment
    /// a request was due
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Create so many products and spread the orders over them
    #[arg(long, value_name = "N", default_value = "1000")]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000_000))]
    products: u32,
    /// Sell one product only
    #[arg(long)]
    hot: bool,
    /// Which products are asked for how often
    #[arg(long, value_enum, default_value = "uniform", conflicts_with = "hot")]
    spread: Distribution,
    /// Send so many orders in one request, to POST /orders/batch; --rate and --count are of
    /// requests
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Of a hundred requests, let so many read a product instead of ordering
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    #[arg(value_parser = value_parser!(u64).range(0..=100))]
    reads: u64,
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
    #[arg(hide_possible_values = true)]
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
    /// Run a load script of an older system instead: its users, its thresholds, its verdict. Exit
    /// code 1 when a threshold is missed. --duration changes how long it takes
    #[arg(long, value_enum, value_name = "NAME")]
    #[arg(conflicts_with_all = ["rate", "count", "hot", "sold_out", "warmup", "pid", "batch", "reads", "spread"])]
    scenario: Option<Scenario>,
    /// Report the processor time of this process too, by thread; once per node of the cluster
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
}

/// Runs it and prints the result.
pub(crate) fn run(options: &Options) -> Result<(), Failure> {
    if let Some(scenario) = options.scenario {
        return judge(scenario, options);
    }
    // Wrong process ids should not be found after a minute of load.
    snapshot(&options.pid)?;
    let plan = Arc::new(remote::block_on(prepare(options))?);
    let (stats, generator, server) = execute(&plan, options)?;
    let report = summarize(&plan, options, &stats, generator, server);
    options.remote.print(&report, Report::text)?;
    if report.succeeded + stats.reads == 0 {
        let cause = stats.last_error.or_else(|| stats.quotes.into_values().next());
        let cause = cause.unwrap_or_else(|| "there were no answers".to_owned());
        return Err(Failure::Failed(format!("no request succeeded: {cause}")));
    }
    Ok(())
}

/// Runs a scenario, prints its verdict, and fails when it missed a threshold.
fn judge(scenario: Scenario, options: &Options) -> Result<(), Failure> {
    let progress = Progress::counting(options.remote.json);
    let verdict = remote::block_on(async {
        let client = options.remote.client()?;
        scenario::run::run(scenario, &client, &run_name(), options.duration, progress).await
    })?;
    options.remote.print(&verdict.json(), |_| verdict.text())?;
    match verdict.missed() {
        Some(missed) => Err(Failure::Failed(format!("missed: {missed}"))),
        None => Ok(()),
    }
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
            batch: usize::from(options.batch),
        },
        sampler: Sampler::new(options.spread, products.len()),
        reads: options.reads,
        products,
        users: options.users,
        pace,
        times: Times { start, measured_from, end, give_up: end + DRAIN },
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
    let crew = Crew::start(plan, options)?;
    let progress = Progress::new(plan, options.remote.json);
    let warm = || Instant::now() >= plan.times.measured_from;
    progress.until(plan, || warm() || crew.is_done());
    let before = (snapshot(&own)?, snapshot(&options.pid)?);
    progress.until(plan, || crew.is_done());
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
    Ok((crew.dismiss()?, generator, server))
}

/// The generator's threads. They stay until they are dismissed, even when their work is done,
/// because the processor time of a thread that has ended is not told apart from that of others.
struct Crew {
    threads: Vec<JoinHandle<()>>,
    results: Receiver<std::io::Result<Stats>>,
    working: Arc<AtomicU64>,
    leave: Vec<SyncSender<()>>,
}

impl Crew {
    fn start(plan: &Arc<Plan>, options: &Options) -> Result<Crew, Failure> {
        let connections = usize::from(options.connections);
        let workers = usize::from(options.threads).min(connections);
        let (send, results) = sync_channel(workers);
        let mut crew =
            Crew { threads: Vec::new(), results, working: Arc::default(), leave: Vec::new() };
        for worker in 0..workers {
            let (plan, send) = (Arc::clone(plan), send.clone());
            let numbers = (worker..connections).step_by(workers).collect();
            crew.spawn(format!("bench-{worker}"), move || {
                // The crew only stops to listen when the command has failed already.
                let _ = send.send(worker::run(&plan, numbers));
            })?;
        }
        if let Pace::Open { schedule, permits } = &plan.pace {
            let (schedule, permits) = (*schedule, Arc::clone(permits));
            let (total, end) = (plan.total, plan.times.end);
            crew.spawn("bench-pace".to_owned(), move || {
                pace::release(schedule, total, end, &permits);
            })?;
        }
        Ok(crew)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
        let (leave, wait) = sync_channel::<()>(0);
        let working = Arc::clone(&self.working);
        working.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            work();
            working.fetch_sub(1, Ordering::Release);
            // Ends when the other end is dropped.
            let _ = wait.recv();
        });
        let thread = thread.map_err(|error| Failure::because("starting a thread", &error))?;
        self.threads.push(thread);
        self.leave.push(leave);
        Ok(())
    }

    /// Whether all threads have done their work, or one of them panicked.
    fn is_done(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
            || self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Lets the threads end and adds up what they measured.
    fn dismiss(self) -> Result<Stats, Failure> {
        drop(self.leave);
        for thread in self.threads {
            let ended = thread.join();
            ended.map_err(|_| Failure::Failed("a generator thread panicked".to_owned()))?;
        }
        let mut stats = Stats::new();
        for measured in self.results.try_iter() {
            stats.add(measured.map_err(|error| Failure::because("generating load", &error))?);
        }
        Ok(stats)
    }
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
    // One answer that is very late must not make all the others look slow, so the rate ends when
    // the run does.
    let last = stats.last_answer.unwrap_or(plan.times.measured_from).min(plan.times.end);
    let seconds = last.saturating_duration_since(plan.times.measured_from).as_secs_f64();
    let (answered, succeeded) = (stats.answered(), stats.orders);
    let a_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
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
        spread: options.spread.as_str(),
        batch: plan.shape.batch,
        keys: plan.shape.keys,
        sold_out: options.sold_out,
        seconds,
        answered,
        succeeded,
        per_second: a_second(stats.in_time),
        latency_ms: (&stats.latency_us).into(),
        reads: (plan.reads > 0).then(|| Reads {
            percent: plan.reads,
            succeeded: stats.reads,
            per_second: a_second(stats.reads_in_time),
            latency_ms: (&stats.read_latency_us).into(),
        }),
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

    /// A bar for a run whose requests nobody counts beforehand.
    fn counting(machine: bool) -> ProgressBar {
        let bar = ProgressBar::new_spinner();
        if machine || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style =
            ProgressStyle::with_template("{elapsed:>4} {spinner} {pos} requests, {per_sec}")
                .expect("the template is a constant");
        bar.set_style(style);
        bar
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
