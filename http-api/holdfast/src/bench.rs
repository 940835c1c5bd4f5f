//! `holdfast bench`: puts a running cluster under load over HTTP and measures it.
//!
//! The generator must cost less than what it measures: it sends prepared bytes over its own
//! connections, and parses only what it counts. Connections, requests and time are bounded.

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
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{ArgAction, Args, ValueEnum, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget};
use tokio::sync::Semaphore;

use crate::exit::CliError;
use crate::signals::StopFlag;
use crate::{address, progress, remote};
use catalogue::Goods;
use cpu::Reading;
use distribution::{Distribution, Sampler};
use pace::Schedule;
use report::{Cpu, Reads, Report};
use request::Shape;
use scenario::Scenario;
use stats::Stats;
use worker::{Pace, Plan, Target, Times};

/// Longest run of `--count` requests.
const COUNTED_RUN_MAX: Duration = Duration::from_secs(3600);
/// How long to wait for answers after the last request was due.
const DRAIN: Duration = Duration::from_secs(10);
/// Time for the generator's threads to start and connect before the first request is due.
const LEAD: Duration = Duration::from_millis(100);

/// The payment method of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Payment {
    /// Simulated gateway, for nodes with `--payment-gateway simulated`: two more writes per order
    Mock,
    /// No payment: orders stay PENDING
    None,
}

/// Whether the products can be ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sale {
    /// They can.
    Open,
    /// Their sale has not opened.
    Before,
    /// Their sale is closed.
    Closed,
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
    /// Open this many connections, to the URLs in turn; without --rate each sends its next request
    /// after the answer to the last one
    #[arg(long, value_name = "N", default_value = "64")]
    #[arg(value_parser = value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// Generate load with this many threads
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u8).range(1..=64))]
    threads: u8,
    /// Send this many requests per second, however slow the answers are; latency then counts from
    /// when a request was due
    #[arg(long, value_name = "PER_SECOND", value_parser = value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// Create this many products and order from all of them
    #[arg(long, value_name = "N", default_value = "1000")]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000_000))]
    products: u32,
    /// Create and order a single product
    #[arg(long)]
    hot: bool,
    /// Distribute orders over products like this
    #[arg(long, value_enum, default_value = "uniform", conflicts_with = "hot")]
    spread: Distribution,
    /// Send this many orders per request, to POST /orders/batch; --rate and --count still count
    /// requests
    #[arg(long, value_name = "N", default_value = "1")]
    #[arg(value_parser = value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Let this percentage of requests read a product instead of ordering
    #[arg(long, value_name = "PERCENT", default_value = "0")]
    #[arg(value_parser = value_parser!(u64).range(0..=100))]
    reads: u64,
    /// Create products without stock, and count refusals instead of orders
    #[arg(long)]
    sold_out: bool,
    /// Create products whose sale is open, or has not opened or is closed, and count refusals
    #[arg(long, value_enum, value_name = "STATE", default_value = "open")]
    sale: Sale,
    /// Create this many holds of another product first, whose deadlines come one after the other
    #[arg(long, value_name = "N", default_value = "0")]
    #[arg(value_parser = value_parser!(u64).range(0..=100_000))]
    holds: u64,
    /// Pay orders by this method
    #[arg(long, value_enum, default_value = "mock")]
    payment: Payment,
    /// Order for this many users; 0 for orders without a user
    #[arg(long, value_name = "N", default_value = "10000")]
    #[arg(value_parser = value_parser!(u64).range(0..=request::NUMBER_MAX))]
    users: u64,
    /// Give every order its own idempotency key
    #[arg(long, action = ArgAction::Set, default_value = "true", default_missing_value = "true")]
    #[arg(num_args = 0..=1, require_equals = true, value_name = "true|false")]
    #[arg(hide_possible_values = true)]
    key: bool,
    /// Measure for this many seconds [default: 10]
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(1..=3600))]
    duration: Option<u64>,
    /// Send this many requests instead of measuring for a time
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    #[arg(conflicts_with = "duration")]
    count: Option<u64>,
    /// Warm up for this many seconds, which are not measured [default: 2, or 0 with --count]
    #[arg(long, value_name = "S", value_parser = value_parser!(u64).range(0..=600))]
    warmup: Option<u64>,
    /// Run a load script of an older system instead, with its users, thresholds and verdict. Exit
    /// with code 1 if it misses a threshold. --duration changes how long it runs
    #[arg(long, value_enum, value_name = "NAME")]
    #[arg(conflicts_with_all = ["rate", "count", "hot", "sold_out", "sale", "holds", "warmup", "pid", "batch", "reads", "spread"])]
    scenario: Option<Scenario>,
    /// Report the processor time of this process too, by thread; give it once per node
    #[arg(long, value_name = "PID", value_delimiter = ',')]
    pid: Vec<u32>,
}

/// Runs the load and prints the report.
pub(crate) fn run(options: &Options) -> Result<(), CliError> {
    if let Some(scenario) = options.scenario {
        return judge(scenario, options);
    }
    // Report wrong process ids now, not after a minute of load.
    reading(&options.pid)?;
    let plan = Arc::new(remote::block_on(prepare(options))?);
    let stop = StopFlag::install();
    let stop = stop.map_err(|error| CliError::because("cannot catch signals", &error))?;
    let (stats, generator, server) = execute(&plan, options, &stop)?;
    let report = summarize(&plan, options, &stats, generator, server);
    options.remote.print(&report, Report::text)?;
    if report.succeeded + stats.reads == 0 {
        let cause = stats.last_error.or_else(|| stats.quotes.into_values().next());
        let cause = cause.unwrap_or_else(|| "the cluster did not answer".to_owned());
        return Err(CliError::Failed(format!("no request succeeded: {cause}")));
    }
    if plan.is_stopped() {
        let text = "stopped by a signal: the figures are those of the run until then";
        return Err(CliError::Failed(text.to_owned()));
    }
    Ok(())
}

/// Runs a scenario, prints its verdict, and fails if it misses a threshold.
fn judge(scenario: Scenario, options: &Options) -> Result<(), CliError> {
    let progress = Progress::counting(options.remote.json);
    let verdict = remote::block_on(async {
        let client = options.remote.client()?;
        scenario::run::run(scenario, &client, &run_name(), options.duration, progress).await
    })?;
    options.remote.print(&verdict.json(), |_| verdict.text())?;
    match verdict.missed() {
        Some(missed) => Err(CliError::Failed(format!("missed: {missed}"))),
        None => Ok(()),
    }
}

/// Resolves the targets, creates the products and plans the run.
async fn prepare(options: &Options) -> Result<Plan, CliError> {
    let mut targets = Vec::new();
    for url in &options.remote.url {
        let host = address::authority(url).map_err(CliError::Usage)?;
        let found = tokio::net::lookup_host(&host).await;
        let address = found.map_err(|error| CliError::because(url, &error))?.next();
        let address = address.ok_or_else(|| {
            CliError::Failed(format!("cannot resolve {url}: the name has no address"))
        })?;
        targets.push(Target { host, address });
    }
    let run = run_name();
    let count = if options.hot { 1 } else { options.products as usize };
    let client = options.remote.client()?;
    let token = options.remote.token()?.map(Box::from);
    let goods = Goods {
        stock: if options.sold_out { 0 } else { catalogue::STOCK },
        opens_at: (options.sale == Sale::Before).then_some(catalogue::FUTURE),
        closes_at: (options.sale == Sale::Closed).then_some(catalogue::PAST),
    };
    let products = catalogue::create(&client, &run, count, goods).await?;
    catalogue::hold(&client, &run, options.holds).await?;

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
            token,
        },
        sampler: Sampler::new(options.spread, products.len()),
        reads: options.reads,
        products,
        users: options.users,
        pace,
        times: Times { start, measured_from, end, give_up: end + DRAIN },
        total,
        wanted: match options.sale {
            Sale::Before => 425,
            Sale::Closed => 409,
            Sale::Open if options.sold_out => 409,
            Sale::Open => 201,
        },
        given_out: AtomicU64::new(0),
        sent: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
    })
}

/// A unique name of this run, for products and keys.
fn run_name() -> String {
    // The process id keeps runs apart that start at the same time.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_micros(), std::process::id())
}

/// Runs the plan to its end. Returns the measurements, and the processor times of the generator and
/// of the servers.
fn execute(
    plan: &Arc<Plan>,
    options: &Options,
    stop: &StopFlag,
) -> Result<(Stats, Vec<cpu::Used>, Vec<cpu::Used>), CliError> {
    let own = [std::process::id()];
    let crew = Crew::start(plan, options)?;
    let progress = Progress::new(plan, options.remote.json);
    let is_done = || {
        if stop.is_raised() {
            plan.stop();
        }
        crew.is_done()
    };
    let warm = || Instant::now() >= plan.times.measured_from;
    progress.until(plan, || warm() || is_done());
    let before = (reading(&own)?, reading(&options.pid)?);
    progress.until(plan, is_done);
    progress.finish();
    let generator = reading(&own)?.since(&before.0);
    // A server that died under load is a result too, without its threads.
    let server = match Reading::take(&options.pid) {
        Ok(after) => after.since(&before.1),
        Err(error) => {
            eprintln!("holdfast: no processor times: {error}");
            Vec::new()
        }
    };
    Ok((crew.dismiss()?, generator, server))
}

/// The generator's threads. They live until they are dismissed, even when their work is done:
/// `/proc` has no processor time by thread for those that ended.
struct Crew {
    threads: Vec<JoinHandle<()>>,
    results: Receiver<std::io::Result<Stats>>,
    working: Arc<AtomicU64>,
    leave: Vec<SyncSender<()>>,
}

impl Crew {
    fn start(plan: &Arc<Plan>, options: &Options) -> Result<Crew, CliError> {
        let connections = usize::from(options.connections);
        let workers = usize::from(options.threads).min(connections);
        let (send, results) = sync_channel(workers);
        let mut crew =
            Crew { threads: Vec::new(), results, working: Arc::default(), leave: Vec::new() };
        for worker in 0..workers {
            let (plan, send) = (Arc::clone(plan), send.clone());
            let numbers = (worker..connections).step_by(workers).collect();
            crew.spawn(format!("bench-{worker}"), move || {
                // The receiver is gone only if the command has failed already.
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

    fn spawn(
        &mut self,
        name: String,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), CliError> {
        let (leave, wait) = sync_channel::<()>(0);
        let working = Arc::clone(&self.working);
        working.fetch_add(1, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            work();
            working.fetch_sub(1, Ordering::Release);
            // Blocks until the sender is dropped.
            let _ = wait.recv();
        });
        let thread = thread.map_err(|error| CliError::because("cannot start a thread", &error))?;
        self.threads.push(thread);
        self.leave.push(leave);
        Ok(())
    }

    /// Whether all threads have finished their work, or one of them panicked.
    fn is_done(&self) -> bool {
        self.working.load(Ordering::Acquire) == 0
            || self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads and adds up their measurements.
    fn dismiss(self) -> Result<Stats, CliError> {
        drop(self.leave);
        for thread in self.threads {
            let ended = thread.join();
            ended.map_err(|_| CliError::Failed("a thread of the generator panicked".to_owned()))?;
        }
        let mut stats = Stats::new();
        for measured in self.results.try_iter() {
            stats.add(measured.map_err(|error| CliError::because("cannot generate load", &error))?);
        }
        Ok(stats)
    }
}

fn reading(pids: &[u32]) -> Result<Reading, CliError> {
    Reading::take(pids).map_err(|error| CliError::because("cannot read processor times", &error))
}

fn summarize(
    plan: &Plan,
    options: &Options,
    stats: &Stats,
    generator: Vec<cpu::Used>,
    server: Vec<cpu::Used>,
) -> Report {
    // The rate counts only the time of the run, so that one late answer does not lower it.
    let last = stats.last_answer.unwrap_or(plan.times.measured_from).min(plan.times.end);
    let seconds = last.saturating_duration_since(plan.times.measured_from).as_secs_f64();
    let (answered, succeeded) = (stats.answered(), stats.orders);
    let a_second = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
    let unsent = match &plan.pace {
        Pace::Closed => 0,
        // Nobody waited for the rest.
        Pace::Open { .. } if plan.is_stopped() => 0,
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
        refuses: match options.sale {
            Sale::Before => Some("before opening"),
            Sale::Closed => Some("closed"),
            Sale::Open => options.sold_out.then_some("sold out"),
        },
        holds: options.holds,
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

/// A progress bar, hidden unless standard error is a terminal.
struct Progress {
    bar: ProgressBar,
    start: Instant,
}

impl Progress {
    /// Pause between two updates, and the latest notice of the end of the run.
    const STEP: Duration = Duration::from_millis(50);

    fn new(plan: &Plan, is_hidden: bool) -> Progress {
        let start = Instant::now();
        let length = plan.times.end.saturating_duration_since(start);
        let bar = ProgressBar::new(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        if is_hidden || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = progress::style("{elapsed:>4} [{wide_bar}] {msg}");
        bar.set_style(style.progress_chars("=> "));
        Progress { bar, start }
    }

    /// A progress bar for a run of unknown length.
    fn counting(is_hidden: bool) -> ProgressBar {
        let bar = ProgressBar::new_spinner();
        if is_hidden || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.set_style(progress::style("{elapsed:>4} {spinner} {pos} requests, {rate}"));
        bar
    }

    /// Updates the bar until `done`.
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
