//! `jepsen`: faults, clients and checkers for real Holdfast clusters.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};
use jepsen::checker::Verdict;
use jepsen::config::{self, Config};
use jepsen::gaps;
use jepsen::nemesis;
use jepsen::net::{self, Net};
use jepsen::run;
use jepsen::summary;
use jepsen::workload;

/// Set for the program when it runs itself inside the namespaces of a run: the run's number.
const INSIDE: &str = "HOLDFAST_JEPSEN_RUN";

/// Tortures a cluster of real nodes in network namespaces and judges what clients were told.
///
/// Needs root, `ip`, `iptables` and `cc`. Ends with 0 only when everything was valid, with 1 when
/// a promise was broken, with 2 when too little happened or a search was given up, and with 3 when
/// the run could not start or end.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// One workload under one or several nemeses
    Run(Options),
    /// All faults one after the other, under the workloads in turn
    Mix {
        /// Minutes of load
        #[arg(long, default_value_t = 2)]
        minutes: u64,
        #[command(flatten)]
        options: Options,
    },
    /// Judge a saved run again, without a cluster
    Check {
        /// The folder of the run: with history.jsonl in it
        folder: PathBuf,
    },
    /// The judged runs in a folder as one table, in Markdown
    Table {
        /// The folder with the folders of the runs in it
        #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/runs"))]
        runs: PathBuf,
    },
    /// How long clients could write nothing under each fault, over the runs of a folder
    Gaps {
        /// The folder with the folders of the runs in it
        #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/runs"))]
        runs: PathBuf,
    },
    /// List workloads and nemeses
    List {
        /// Only the names of all nemeses, for scripts
        #[arg(long)]
        names: bool,
    },
}

#[derive(Debug, Clone, Args)]
struct Options {
    /// What clients do: see `jepsen list`
    #[arg(long, default_value = "hot")]
    workload: String,
    /// What is done to the cluster, separated by commas: see `jepsen list`
    #[arg(long, default_value = "mix", value_delimiter = ',')]
    nemesis: Vec<String>,
    /// How many nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(3..=9))]
    nodes: u64,
    /// Seconds of load
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    time: u64,
    /// Decides operations, targets and the times of faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients that ask at the same time
    #[arg(long, default_value_t = 20)]
    clients: usize,
    /// Requests a second of all clients together
    #[arg(long, default_value_t = 60)]
    rate: u64,
    /// Seconds that the search for an order may take
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    search: u64,
    /// The server's binary; without it the one beside this program
    #[arg(long, env = "HOLDFAST_TEST_BINARY")]
    binary: Option<PathBuf>,
    /// The binary of an older build, with which the nodes begin. The nemesis `rolling` needs it
    #[arg(long, value_name = "BINARY")]
    old_binary: Option<PathBuf>,
    /// Environment of the nodes, such as HOLDFAST_PLANTED_BUG of a build that has them
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = pair)]
    environment: Vec<(String, String)>,
    /// Where runs are kept
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/runs"))]
    runs: PathBuf,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is needed")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    match command(Cli::parse().command) {
        Ok(verdict) => ExitCode::from(verdict.exit_code()),
        Err(error) => {
            eprintln!("jepsen: {error}");
            ExitCode::from(3)
        }
    }
}

fn command(what: What) -> Result<Verdict, String> {
    match what {
        What::Table { runs } => {
            print!("{}", summary::of_runs(&runs)?);
            Ok(Verdict::Valid)
        }
        What::Gaps { runs } => {
            print!("{}", gaps::of_runs(&runs)?);
            Ok(Verdict::Valid)
        }
        What::List { names: true } => {
            for name in nemesis::named("mix")? {
                println!("{name}");
            }
            Ok(Verdict::Valid)
        }
        What::List { names: false } => {
            println!("workloads:");
            for workload in workload::ALL {
                println!("  {:<16} {}", workload.name, workload.about);
            }
            println!("nemeses (also {}):", nemesis::GROUPS);
            for (name, about) in nemesis::ALL {
                println!("  {name:<16} {about}");
            }
            println!("on at the same time, or any others as ONE+OTHER:");
            for names in nemesis::COMBINED {
                println!("  {names}");
            }
            Ok(Verdict::Valid)
        }
        What::Check { folder } => {
            let judgements = run::judge(&folder)?;
            print!("{}", run::saved_table(&folder));
            Ok(config::verdict(&judgements))
        }
        What::Run(options) => inside_or_out(&options, one),
        What::Mix { minutes, mut options } => {
            options.time = 60 * minutes;
            inside_or_out(&options, mix)
        }
    }
}

/// Runs this very program inside of new namespaces, or goes on when it is there already.
fn inside_or_out(
    options: &Options,
    work: fn(&Options, &Net) -> Result<Verdict, String>,
) -> Result<Verdict, String> {
    // One place more, for a node that joins for a while.
    let nodes = usize::try_from(options.nodes).map_err(|error| error.to_string())? + 1;
    if let Ok(run) = std::env::var(INSIDE) {
        let run = run.parse().map_err(|_| format!("{INSIDE} must be a number"))?;
        return work(options, &Net::of(run, nodes));
    }
    if !rustix::process::geteuid().is_root() {
        return Err("network namespaces need root".to_owned());
    }
    for (tool, flag) in [("ip", "-V"), ("iptables", "--version"), ("cc", "--version")] {
        net::run(tool, &[flag]).map_err(|error| format!("a tool is missing: {error}"))?;
    }
    let run = std::process::id();
    let net = Net::create(run, nodes)?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let status = Command::new("ip")
        .args(["netns", "exec", &net.hub()])
        .arg(program)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, run.to_string())
        .status();
    net.remove();
    let status = status.map_err(|error| format!("ip netns exec: {error}"))?;
    match status.code() {
        Some(0) => Ok(Verdict::Valid),
        Some(1) => Ok(Verdict::Invalid),
        Some(2) => Ok(Verdict::Unknown),
        _ => Err("the run did not start or did not end; the lines above say why".to_owned()),
    }
}

fn config(options: &Options) -> Result<Config, String> {
    let beside = || {
        let program = std::env::current_exe().ok()?;
        Some(program.parent()?.join("holdfast"))
    };
    let binary = options.binary.clone().or_else(beside).filter(|path| path.exists());
    let binary = binary.ok_or("there is no holdfast binary: build it or name it with --binary")?;
    Ok(Config {
        workload: options.workload.clone(),
        nemesis: options.nemesis.clone(),
        nodes: usize::try_from(options.nodes).map_err(|error| error.to_string())?,
        time_s: options.time,
        seed: options.seed,
        clients: options.clients,
        rate: options.rate,
        binary: std::path::absolute(binary).map_err(|error| error.to_string())?,
        old_binary: match &options.old_binary {
            Some(path) if !path.exists() => {
                return Err(format!("--old-binary {}: there is no such file", path.display()));
            }
            Some(path) => Some(std::path::absolute(path).map_err(|error| error.to_string())?),
            None => None,
        },
        environment: options.environment.clone(),
        search_s: options.search,
    })
}

fn one(options: &Options, net: &Net) -> Result<Verdict, String> {
    carry_out(&config(options)?, net, &options.runs)
}

/// Turns of at most two minutes, each under the next workload and with another seed.
fn mix(options: &Options, net: &Net) -> Result<Verdict, String> {
    let mut config = config(options)?;
    let turns = options.time.div_ceil(120).max(1);
    config.time_s = options.time / turns;
    let mut worst = Verdict::Valid;
    for turn in 0..turns {
        let workload = workload::ALL[usize::try_from(turn).unwrap_or(0) % workload::ALL.len()];
        workload.name.clone_into(&mut config.workload);
        config.seed = options.seed.wrapping_add(turn);
        worst = worst.max(carry_out(&config, net, &options.runs)?);
    }
    Ok(worst)
}

fn carry_out(config: &Config, net: &Net, runs: &Path) -> Result<Verdict, String> {
    let names = config.nemesis.join("+");
    let base = format!("{}-{names}-{}", config.workload, config.seed);
    let folder = (0..)
        .map(|number| runs.join(format!("{base}-{number}")))
        .find(|folder| !folder.exists())
        .ok_or("there are too many runs")?;
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    println!("== {} under {names}, seed {}: {}", config.workload, config.seed, folder.display());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    let judgements = runtime.block_on(run::run(config, net.clone(), &folder))?;
    print!("{}", run::saved_table(&folder));
    Ok(config::verdict(&judgements))
}
