//! Golden scripts of the core: each `testscripts/core/*.txt` is a story of several nodes.
//!
//! Below `---` stands the trace, one line for each thing that a node does; [`super::trace`] says
//! how to read it. Nothing happens by itself: messages wait on the wire until they are delivered,
//! and time passes only where a script says so. `UPDATE_GOLDENFILES=1 cargo test -p raft-node
//! --lib scripts` writes what the core does today into the scripts; review the difference.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use super::trace::{self, Trace};
use super::*;
use crate::members::{Ask, Change};

/// The most ticks before a node that hears nothing stands for election.
const ELECTION_TICKS_MAX: usize = 20;
/// How long clients and operators wait, in milliseconds.
const PATIENCE_MS: u64 = 10_000;
/// The size of a snapshot: two parts.
const SNAPSHOT_BYTES: u8 = 20;

#[test]
fn the_core_does_what_the_golden_scripts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testscripts/core");
    let mut scripts: Vec<_> = std::fs::read_dir(&directory)
        .expect("the directory exists")
        .map(|file| file.expect("listed").path())
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 10, "some scripts are missing");
    for path in scripts {
        let ran = goldenscript::run(&mut Script::new(), &path);
        ran.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

/// One line of a script.
#[derive(goldenscript::Command)]
enum Step {
    /// Starts nodes 1 to 3, the founders, and more nodes that are not members yet. If a leader is
    /// named, it is elected before the script continues.
    Cluster {
        #[arg(key)]
        nodes: Option<u64>,
        #[arg(key)]
        leader: Option<u64>,
    },
    /// Lets time pass for one node alone, until it stands for election.
    Campaign(u64),
    /// Lets this many milliseconds pass for all nodes; all messages arrive within 50 ms.
    Run(u64),
    /// Delivers the messages that are on the wire now, not those that they cause.
    Deliver,
    /// Delivers messages until the wire is empty.
    Stabilize,
    /// Nodes that take a command from a client each.
    Propose(Vec<u64>),
    /// Nodes that take a read from a client each.
    Read(Vec<u64>),
    /// An operator adds a node, and asks the node `via` for it.
    Add {
        node: u64,
        #[arg(key)]
        via: u64,
        #[arg(key)]
        replaces: Option<u64>,
    },
    /// An operator removes a node.
    Remove {
        node: u64,
        #[arg(key)]
        via: u64,
    },
    /// An operator makes a node the leader.
    Transfer {
        to: u64,
        #[arg(key)]
        via: u64,
    },
    /// Cuts these nodes off from all others, both ways.
    Partition(Vec<u64>),
    /// Mends all links.
    Heal,
    /// The node's disk gets stuck: appends wait for their sync.
    Stall(u64),
    /// The node's disk goes on: it writes what waited, and everything from now on.
    Unstall(u64),
    /// The node loses power: what was not synced is gone.
    Crash(u64),
    /// The node starts again from its log and from a checkpoint of what it had applied, or of this
    /// index.
    Restart {
        node: u64,
        #[arg(key)]
        checkpoint: Option<u64>,
    },
    /// The node takes a snapshot of what it has applied, and keeps the one before. What both hold
    /// is cut off its log.
    Snapshot(u64),
    /// The node finds its newest snapshot damaged.
    Damage(u64),
    /// Shows all nodes.
    Status,
    /// Shows the log of a node.
    Log(u64),
}

/// A script that runs.
struct Script {
    world: World,
    files: Files,
    /// Requests and tickets are numbered in the order in which a script asks.
    asked: u64,
    /// The index of the newest snapshot.
    snapshot: u64,
}

impl goldenscript::Runner for Script {
    type Command = Step;

    fn run(
        &mut self,
        step: &Step,
        context: &goldenscript::Context,
    ) -> Result<String, Box<dyn Error>> {
        self.trace().heartbeats = context.tags.contains("heartbeats");
        let mut out = String::new();
        match *step {
            Step::Status => out = self.status(),
            Step::Log(id) => out = self.log(id),
            Step::Cluster { nodes, leader } => self.cluster(nodes.unwrap_or(3), leader)?,
            Step::Campaign(id) => self.campaign(id)?,
            Step::Run(ms) => self.files.run_ms(&mut self.world, ms),
            Step::Deliver => self.world.deliver_round(),
            Step::Stabilize => self.files.settle(&mut self.world),
            Step::Propose(ref nodes) => {
                for id in nodes {
                    let seq = self.number();
                    self.world.propose(*id, seq);
                }
            }
            Step::Read(ref nodes) => {
                for id in nodes {
                    let (ticket, deadline_ms) = (self.number(), self.world.now_ms + PATIENCE_MS);
                    self.world.input(*id, Input::Read { ticket, deadline_ms });
                }
            }
            Step::Add { node, via, replaces } => {
                self.ask(via, Ask::Change(Change::Add(joining(node, replaces))));
            }
            Step::Remove { node, via } => self.ask(via, Ask::Change(Change::Remove(NodeId(node)))),
            Step::Transfer { to, via } => {
                let from = self.world.host(via).core.view().leader.ok_or("nobody leads")?;
                self.ask(via, Ask::Transfer { from, to: Some(NodeId(to)) });
            }
            Step::Partition(ref nodes) => self.partition(nodes),
            Step::Heal => self.world.cut.clear(),
            Step::Stall(id) => self.world.host(id).held_appends = Some(Vec::new()),
            Step::Unstall(id) => {
                self.world.release_appends(id);
            }
            Step::Crash(id) => self.crash(id),
            Step::Restart { node, checkpoint } => self.restart(node, checkpoint),
            Step::Snapshot(id) => {
                let (world, older) = (&mut self.world, self.snapshot);
                self.snapshot = self.files.take(world, id, older, SNAPSHOT_BYTES);
            }
            Step::Damage(id) => {
                self.world.input(id, Input::SnapshotLost(self.snapshot));
                self.files.settle(&mut self.world);
            }
        }
        Ok(out + &self.trace().take())
    }
}

impl Script {
    fn new() -> Script {
        let mut script =
            Script { world: World::new(), files: Files::default(), asked: 0, snapshot: 0 };
        script.world.trace = Some(Trace::default());
        script
    }

    fn trace(&mut self) -> &mut Trace {
        self.world.trace.as_mut().expect("scripts have a trace")
    }

    fn number(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }

    fn cluster(&mut self, nodes: u64, leader: Option<u64>) -> Result<(), Box<dyn Error>> {
        *self = Script { world: World::of(nodes), ..Script::new() };
        self.world.trace = Some(Trace::default());
        for host in &mut self.world.hosts {
            host.core.config.log_margin_entries = 0;
        }
        if let Some(leader) = leader {
            self.campaign(leader)?;
            self.world.deliver();
            self.trace().take();
            let leads = self.world.host(leader).core.view().leads_in_term;
            return leads.then_some(()).ok_or_else(|| format!("n{leader} does not lead").into());
        }
        Ok(())
    }

    fn campaign(&mut self, id: u64) -> Result<(), Box<dyn Error>> {
        if self.world.host(id).core.raw.raft.state != StateRole::Follower {
            return Err(format!("n{id} is not a follower").into());
        }
        for _ in 0..ELECTION_TICKS_MAX {
            self.world.now_ms += 50;
            self.world.input(id, Input::Tick);
            if self.world.host(id).core.raw.raft.state != StateRole::Follower {
                return Ok(());
            }
        }
        Err(format!("n{id} does not stand for election").into())
    }

    fn ask(&mut self, via: u64, ask: Ask) {
        let (ticket, deadline_ms) = (self.number(), self.world.now_ms + PATIENCE_MS);
        self.world.input(via, Input::Ask { ticket, ask, deadline_ms });
    }

    fn partition(&mut self, nodes: &[u64]) {
        let all = 1..=self.world.hosts.len() as u64;
        let others: Vec<u64> = all.filter(|id| !nodes.contains(id)).collect();
        for (node, other) in nodes.iter().flat_map(|node| others.iter().map(|to| (*node, *to))) {
            self.world.cut.extend([(node, other), (other, node)]);
        }
    }

    fn crash(&mut self, id: u64) {
        let host = self.world.host(id);
        host.down = true;
        host.log.crash();
        if host.held_appends.is_some() {
            host.held_appends = Some(Vec::new());
        }
    }

    fn restart(&mut self, id: u64, checkpoint: Option<u64>) {
        let host = self.world.host(id);
        let applied = checkpoint.unwrap_or(host.applied_index);
        host.boot += 1;
        host.core = new_core(id, host.boot, &Arc::clone(&host.log), applied);
        host.core.config.log_margin_entries = 0;
        host.applied_index = applied;
        host.held_appends = None;
        host.down = false;
        let last = host.log.last_index();
        self.world.note_of(id, || format!("starts with log up to {last}, applied {applied}"));
        let core = &self.world.hosts[id as usize - 1].core;
        self.world.trace.as_mut().expect("scripts have a trace").starts(id, core);
    }

    fn status(&self) -> String {
        let mut out = String::new();
        for (id, host) in (1..).zip(&self.world.hosts) {
            let (view, raft) = (host.core.view(), &host.core.raw.raft);
            let role = match raft.state {
                _ if host.down => "down".into(),
                StateRole::Leader => "leader".into(),
                StateRole::Candidate => "candidate".into(),
                StateRole::PreCandidate => "pre-candidate".into(),
                StateRole::Follower => match view.leader {
                    Some(leader) => format!("follower of n{leader}"),
                    None => "follower of nobody".into(),
                },
            };
            let (last, commit, applied) = (view.last_index, view.commit_index, host.applied_index);
            let line = format!("{role} last={last} commit={commit} applied={applied}");
            writeln!(out, "n{id}@{} {line}", view.term).expect("text");
        }
        out
    }

    fn log(&self, id: u64) -> String {
        let log = &self.world.hosts[id as usize - 1].log;
        let entries = log.entries(log.first_index(), log.last_index() + 1, u64::MAX);
        let entries = entries.unwrap_or_default();
        entries.iter().map(|entry| trace::entry(entry) + "\n").collect()
    }
}
