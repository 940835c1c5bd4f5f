//! One run: a cluster, clients and a nemesis for a while, then everything healed, the final state
//! of every node, and the judgement.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::checker::{self, Enough, Judgement, Linearizability, Verdict};
use crate::cluster::{self, Cluster, Settings};
use crate::config::{Config, Judgements, verdict};
use crate::dump;
use crate::history::{self, Recorder};
use crate::http::WEBHOOK_SECRET;
use crate::nemesis;
use crate::net::Net;
use crate::report;
use crate::summary::{Summary, table};
use crate::workload::{Shop, Workload};

/// How long nodes may take to be ready, and to agree after all faults.
const READY_MAX: Duration = Duration::from_secs(60);

/// How often nodes that have ended are started again: one with a bad disk ends some time after the
/// fault.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// MiB of each node's disk in runs with full or failing disks or power cuts.
const DISK_MIB: u64 = 96;

/// MiB that nodes keep free on such a disk.
const RESERVE_MIB: &str = "16";

/// Executes a run in `folder`, which must not exist, and judges it.
///
/// # Errors
/// When the run could not be executed; the folder has what there is.
pub async fn run(config: &Config, net: Net, folder: &Path) -> Result<Judgements, String> {
    let workload = Workload::named(&config.workload).ok_or_else(|| {
        format!("`{}` is not a workload: `jepsen list` shows them", config.workload)
    })?;
    let mut faults = Vec::new();
    for name in &config.nemesis {
        faults.extend(nemesis::named(name)?);
    }
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    save(folder, "config.json", &serde_json::to_value(config).unwrap_or_default())?;
    let recorder = Recorder::create(&folder.join("history.jsonl"));
    let recorder = Arc::new(recorder.map_err(|error| format!("history: {error}"))?);
    let disk = nemesis::disk_for(&faults, DISK_MIB);
    let mut flags = vec!["--payment-gateway", "simulated", "--payment-success-rate", "0.5"];
    flags.extend(["--webhook-secret", WEBHOOK_SECRET]);
    flags.extend(workload.flags);
    flags.extend(["--log-filter", "info,raft=warn,sled=warn"]);
    // Often enough that joining nodes receive a snapshot and that there is one to damage.
    flags.extend(["--snapshot-log-mb", "1"]);
    if faults.iter().any(|name| nemesis::has(name, "hang-disk")) {
        flags.extend(["--disk-stall-exit-s", "8"]);
    }
    if disk.is_some() {
        flags.extend(["--disk-reserve-mb", RESERVE_MIB]);
    }
    let settings = Settings {
        binary: config.binary.clone(),
        old_binary: config.old_binary.clone(),
        folder: folder.to_owned(),
        nodes: config.nodes,
        flags: flags.into_iter().map(str::to_owned).collect(),
        environment: config.environment.clone(),
        disk,
    };
    let mut cluster = Cluster::create(settings, net)?;
    let carried_out = load(config, workload, &faults, &mut cluster, &recorder).await;
    let written = recorder.finish().map_err(|error| format!("history: {error}"));
    let stopped = stop(&mut cluster).await;
    carried_out.and(written).and(stopped)?;
    let judgements = judge(folder)?;
    if verdict(&judgements) == Verdict::Valid {
        for node in &cluster.nodes {
            let _ = std::fs::remove_dir_all(&node.data);
        }
    } else if cluster.settings.disk.is_some() {
        for node in &cluster.nodes {
            let _ =
                cluster::copy_folder(&node.data, &folder.join(format!("kept-data-{}", node.id)));
        }
    }
    Ok(judgements)
}

/// Stops all nodes; one that had to be killed was hanging.
async fn stop(cluster: &mut Cluster) -> Result<(), String> {
    for id in cluster.ids() {
        cluster.node(id).stop().await;
    }
    Ok(())
}

/// Waits for all nodes, and restarts those that ended. It records those that do not return at all,
/// which ends the run.
async fn come_back(
    cluster: &mut Cluster,
    recorder: &Recorder,
    after: &str,
) -> Result<bool, String> {
    let until = Instant::now() + READY_MAX;
    let missing = loop {
        cluster.start_all()?;
        match cluster.wait_ready(AGAIN_AFTER).await {
            Ok(()) => return Ok(true),
            Err(missing) if Instant::now() >= until => break missing,
            Err(_) => {}
        }
    };
    let words: Vec<String> = cluster.nodes.iter().map(|node| node.last_words()).collect();
    let value = json!({"phase": checker::LOST, "said": missing, "words": words});
    recorder.note_fault(after, value);
    Ok(false)
}

/// Everything between the start of the nodes and their final states.
async fn load(
    config: &Config,
    workload: Workload,
    faults: &[String],
    cluster: &mut Cluster,
    recorder: &Arc<Recorder>,
) -> Result<(), String> {
    cluster.start_all()?;
    cluster.wait_ready(READY_MAX).await?;
    let shop = Arc::new(Shop::new(workload, config.nodes, Arc::clone(recorder)));
    shop.create_products().await?;
    let clients = u32::try_from(config.clients.max(1)).unwrap_or(1);
    let pause = Duration::from_secs(1) * clients / u32::try_from(config.rate.max(1)).unwrap_or(1);
    let mut tasks = Vec::new();
    for client in 0..config.clients as u64 {
        let seed = config.seed.wrapping_mul(1_000).wrapping_add(client);
        tasks.push(tokio::spawn(Arc::clone(&shop).client(seed, pause)));
    }
    let until = Instant::now() + Duration::from_secs(config.time_s);
    let result = torment(config, faults, cluster, recorder, until).await;
    shop.stop();
    for task in tasks {
        let _ = task.await;
    }
    let came_back = result?;
    cluster.start_all()?;
    if !came_back || !come_back(cluster, recorder, "all faults").await? {
        return Ok(());
    }
    dump::record(cluster, recorder).await
}

/// Causes one fault after the other until the cluster must be left alone; returns whether all nodes
/// returned each time.
async fn torment(
    config: &Config,
    faults: &[String],
    cluster: &mut Cluster,
    recorder: &Recorder,
    until: Instant,
) -> Result<bool, String> {
    let mut random = StdRng::seed_from_u64(config.seed);
    let mut turns = nemesis::Turns::new(config.seed);
    let quiet = Duration::from_secs((config.time_s / 5).clamp(4, 30));
    let mut schedule = Vec::new();
    let mut order: Vec<&String> = Vec::new();
    let mut came_back = true;
    tokio::time::sleep(Duration::from_secs((config.time_s / 10).clamp(2, 30))).await;
    while !faults.is_empty() && Instant::now() + quiet < until {
        if order.is_empty() {
            // All of them once before any of them twice.
            order = shuffled(faults, &mut random);
        }
        let name = order.pop().expect("it was filled just now");
        let majority = nemesis::keeps_majority(name);
        recorder.note_fault(name, json!({"phase": "begin", "majority": majority}));
        let mut active = nemesis::begin(name, cluster, &mut turns, &mut random).await?;
        let value = active.value.clone();
        recorder.note_fault(name, json!({"phase": "on", "what": value}));
        let on_ms = nemesis::on_ms(name, &mut random);
        let on_until = Instant::now() + Duration::from_millis(on_ms);
        while Instant::now() < on_until {
            tokio::time::sleep(Duration::from_millis(200)).await;
            nemesis::tick(&mut active, cluster, &mut random)?;
        }
        let effect = nemesis::end(active, cluster).await?;
        schedule.push(json!({"fault": name, "what": value, "on_ms": on_ms, "effect": effect}));
        let ended = json!({"phase": "end", "majority": true, "effect": effect});
        recorder.note_fault(name, ended);
        came_back = come_back(cluster, recorder, name).await?;
        if !came_back {
            break;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(1_000..4_000))).await;
    }
    save(&cluster.settings.folder, "schedule.json", &Value::Array(schedule))?;
    if came_back {
        tokio::time::sleep(until.saturating_duration_since(Instant::now())).await;
    }
    Ok(came_back)
}

fn shuffled<'n>(faults: &'n [String], random: &mut StdRng) -> Vec<&'n String> {
    use rand::seq::SliceRandom;
    let mut order: Vec<&String> = faults.iter().collect();
    order.shuffle(random);
    order
}

fn save(folder: &Path, name: &str, value: &Value) -> Result<(), String> {
    let path = folder.join(name);
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Judges a saved run again, and writes its report.
///
/// # Errors
/// When the folder contains no run.
pub fn judge(folder: &Path) -> Result<Judgements, String> {
    let config = std::fs::read_to_string(folder.join("config.json"));
    let config: Option<Config> = config.ok().and_then(|text| serde_json::from_str(&text).ok());
    let history = history::read(&folder.join("history.jsonl")).map_err(|e| e.to_string())?;
    let enough = config.as_ref().map_or_else(Enough::default, enough);
    let search_s = config.as_ref().map_or(300, |config| config.search_s);
    let search = Linearizability { limit: Duration::from_secs(search_s) };
    let mut judgements: Judgements = checker::all(enough, search)
        .iter()
        .map(|checker| (checker.name().to_owned(), checker.check(&history)))
        .collect();
    if let Some(config) = &config {
        let fails = |name: &String| {
            matches!(name.as_str(), "mix" | "combined")
                || nemesis::has(name, "sync-error")
                || nemesis::has(name, "read-only")
        };
        let failing = config.nemesis.iter().any(fails);
        judgements.push(("logs".to_owned(), logs(folder, failing)));
    }
    let summary = Summary::of(&history, &judgements);
    save(folder, "summary.json", &serde_json::to_value(&summary).unwrap_or_default())?;
    let table = table(&summary, &judgements);
    std::fs::write(folder.join("verdict.txt"), &table).map_err(|error| error.to_string())?;
    let page = report::page(folder, config.as_ref(), &history, &judgements);
    std::fs::write(folder.join("report.html"), page).map_err(|error| error.to_string())?;
    Ok(judgements)
}

/// The least that must happen in a run.
fn enough(config: &Config) -> Enough {
    let time = usize::try_from(config.time_s).unwrap_or(usize::MAX);
    let hot = config.workload == "hot";
    Enough {
        orders: time,
        cancels: time / 10,
        refusals: if hot { time / 10 } else { 0 },
        faults: usize::from(config.nemesis.iter().any(|name| name != "none")),
    }
}

/// A node that panicked broke no promise that a client could see, but is a bug. Where writes or
/// syncs fail, the log's library ends its thread with a panic, and the node with it.
fn logs(folder: &Path, failing_syncs: bool) -> Judgement {
    let mut judgement = Judgement::default();
    let mut lines = 0;
    for id in 1.. {
        let Ok(text) = std::fs::read_to_string(folder.join(format!("node-{id}.log"))) else {
            break;
        };
        for line in text.lines() {
            lines += 1;
            let expected = failing_syncs && line.contains("/raft-engine-");
            if line.contains("panicked at") && !expected {
                judgement.invalid(format!("n{id}: {line}"));
            }
        }
    }
    if lines == 0 {
        judgement.empty("there are no logs");
    }
    judgement.note(format!("{lines} lines of logs"));
    judgement
}

/// The table of a judged run.
#[must_use]
pub fn saved_table(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("verdict.txt")).unwrap_or_default()
}
