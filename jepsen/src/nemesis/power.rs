//! The power of all nodes is cut at one instant: their disks return to their state at that instant,
//! without everything that was written and not synced.
//!
//! All processes are stopped, the images of their disks are read, and the processes are killed. A
//! file that nobody syncs proves that something was lost.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngCore;
use rand::rngs::StdRng;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::disks::{self, Disk};

/// A file that is written and never synced.
const UNSYNCED: &str = "unsynced";

/// Its size in bytes.
const NOISE_BYTES: usize = 100_000;

/// How long stopped processes may take to become still.
const STILL_MAX: Duration = Duration::from_secs(10);

/// Nodes without power.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) nodes: Vec<usize>,
    /// How many disks lost what was not synced.
    forgot: usize,
}

pub(super) fn begin(cluster: &mut Cluster, random: &mut StdRng) -> Result<Cut, String> {
    if !matches!(cluster.settings.disk, Some(Disk::Image(_))) {
        return Err("this run's nodes have no images of disks".to_owned());
    }
    let mut noise = vec![0_u8; NOISE_BYTES];
    random.fill_bytes(&mut noise);
    let nodes = cluster.ids();
    let places: Vec<PathBuf> =
        nodes.iter().map(|id| place(&cluster.node(*id).data).to_owned()).collect();
    for place in &places {
        let written = std::fs::write(place.join(UNSYNCED), &noise);
        // A disk may be full.
        let full = |error: &std::io::Error| error.kind() == std::io::ErrorKind::StorageFull;
        written.or_else(|error| if full(&error) { Ok(()) } else { Err(error.to_string()) })?;
    }
    for id in &nodes {
        cluster.node(*id).signal(Signal::STOP);
    }
    wait_still(cluster, &nodes)?;
    let images: Vec<PathBuf> = places.iter().map(|place| disks::image(place)).collect();
    let contents = disks::at_one_instant(&images)?;
    for id in &nodes {
        cluster.node(*id).kill();
    }
    let mut forgot = 0;
    for (place, content) in places.iter().zip(&contents) {
        disks::put_back(place, content)?;
        let left = std::fs::read(place.join(UNSYNCED)).unwrap_or_default();
        forgot += usize::from(left != noise);
        let _ = std::fs::remove_file(place.join(UNSYNCED));
    }
    Ok(Cut { nodes, forgot })
}

/// The mount point of a node's data.
fn place(data: &Path) -> &Path {
    data.parent().unwrap_or(data)
}

/// Waits until none of these processes does anything.
fn wait_still(cluster: &mut Cluster, nodes: &[usize]) -> Result<(), String> {
    let until = Instant::now() + STILL_MAX;
    loop {
        let moving = |id: &&usize| cluster.node(**id).process_state().is_some_and(|at| at != 'T');
        let Some(moving) = nodes.iter().find(moving) else { return Ok(()) };
        if Instant::now() >= until {
            return Err(format!("node {moving} is not still"));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Cut {
    pub(super) fn end(self, cluster: &mut Cluster) -> Result<Value, String> {
        self.nodes.iter().try_for_each(|id| cluster.start(*id))?;
        let all = self.forgot == self.nodes.len();
        Ok(if all { json!({"forgot": self.forgot}) } else { Value::Null })
    }
}
