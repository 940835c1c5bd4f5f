//! A whole node: opens its data directory, and runs its threads and tasks.

pub(crate) mod error;
mod links;
pub(crate) mod open;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::level;
use engine::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::error::StartError;
use self::links::LinkRuntime;
use self::open::{Opened, open};
use crate::addresses;
use crate::config::Config;
use crate::core::{Core, Input, Start};
use crate::driver::{self, Settings, Threads};
use crate::handle::Handle;
use crate::log::LogStore;
use crate::payment::PaymentGateway;
use crate::shared::{Advertised, Parts, Shared};
use crate::transport;

/// A running node.
pub struct Node {
    shared: Arc<Shared>,
    handle: Handle,
    threads: Threads,
    tasks: JoinSet<()>,
    _links: LinkRuntime,
    raft_addr: SocketAddr,
    failure: watch::Receiver<Option<String>>,
    election_timeout: Duration,
}

impl Node {
    /// Opens the data directory and starts everything. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(
        config: Config,
        gateway: Arc<dyn PaymentGateway>,
    ) -> Result<Node, StartError> {
        config.validate()?;
        let runtime = LinkRuntime::start(config.node_id.0).map_err(StartError::Thread)?;
        let listen_failed = |source| StartError::Listen { addr: config.raft_addr, source };
        let listener = TcpListener::bind(config.raft_addr).await.map_err(listen_failed)?;
        let raft_addr = listener.local_addr().map_err(listen_failed)?;
        let listener = {
            let _entered = runtime.handle().enter();
            listener.into_std().and_then(TcpListener::from_std).map_err(listen_failed)?
        };
        let opening = config.clone();
        let opened = tokio::task::spawn_blocking(move || open(&opening, raft_addr))
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let Opened { identity, log, store, mut state, members, snapshots, found, schedule } =
            opened;
        let event_retention = (config.events_max, config.event_age_ms_max);
        state.set_event_retention(event_retention.0, event_retention.1);

        // Addresses are useful before the changes that brought them are replayed.
        let newest = log.members_at(u64::MAX).unwrap_or_else(|| members.clone());
        let listed = newest.member(identity.node()).map(|member| member.raft_addr.clone());
        let raft = match config.advertise_raft.is_empty() {
            true => listed.unwrap_or_else(|| raft_addr.to_string()),
            false => config.advertise_raft.clone(),
        };
        if let Some(difference) = addresses::difference(&config.peers, &newest) {
            tracing::warn!(
                node = identity.node().0,
                difference,
                "the --peer list is not in effect"
            );
        }
        let http = Some(config.advertise_http.clone()).filter(|http| !http.is_empty());
        let start = Start {
            node: identity.node(),
            boot: identity.boot(),
            run: rand::random(),
            members,
            applied_index: state.applied_index(),
            clock: state.clock(),
            level: state.level(),
            addresses: Some((raft.clone(), http)),
            speaks: level::NEWEST,
            secret: Secret(rand::random()),
            snapshots: found,
            // Any number works in production; it only has to differ between boots and nodes.
            seed: identity.incarnation() ^ identity.boot().rotate_left(32),
        };
        let (applied_index, next_deadline) = (state.applied_index(), state.next_deadline());
        let core = Core::new(start, config.core.clone(), Arc::clone(&log) as Arc<dyn LogStore>)?;
        let (shared, mailbox) = Shared::new(Parts {
            identity,
            cluster_name: config.cluster_name.clone(),
            advertised: Advertised { raft, http: config.advertise_http.clone() },
            listed: config.peers.clone(),
            peer_security: config.peer_security.clone(),
            state,
            members: newest,
            store,
            data_dir: config.data_dir.clone(),
            snapshots,
            event_retention,
            outstanding_max: config.core.outstanding_max,
            reads_max: config.reads_max,
            payer: Arc::clone(&gateway),
        });
        shared.counters.checkpoint_index.set(applied_index);
        shared.send(Input::NextDeadline(next_deadline));

        let mut tasks = JoinSet::new();
        let queue_messages = config.peer_queue_messages;
        let links =
            transport::start(&shared, listener, queue_messages, &mut tasks, runtime.handle());
        let settings = Settings {
            tick: Duration::from_millis(config.core.tick_ms),
            disk_stall_exit_ms: config.disk_stall_exit_ms,
            checkpoint: Duration::from_millis(config.checkpoint_interval_ms),
            schedule,
            part_bytes: config.snapshot_part_bytes,
        };
        let threads = driver::start(&shared, core, mailbox, log, links, settings)
            .map_err(StartError::Thread)?;
        let election_ms = config.core.tick_ms * config.core.election_ticks as u64;
        let handle = Handle::new(Arc::clone(&shared), election_ms);
        tasks.spawn(driver::payments::run(
            Arc::clone(&shared),
            handle.clone(),
            config.payments.clone(),
            gateway,
        ));
        tasks.spawn(driver::watch_readiness(handle.clone(), Arc::clone(&shared)));
        tasks.spawn(driver::sweep_answers(Arc::clone(&shared)));
        tasks.spawn(driver::disk::watch(
            Arc::clone(&shared),
            config.data_dir.clone(),
            config.disk_reserve_bytes,
        ));
        tasks.spawn(driver::memory_full::watch(Arc::clone(&shared), config.memory_bytes_max));
        let failure = shared.failure.subscribe();
        let election_timeout = Duration::from_millis(election_ms);
        Ok(Node {
            shared,
            handle,
            threads,
            tasks,
            _links: runtime,
            raft_addr,
            failure,
            election_timeout,
        })
    }

    /// The front door.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where the raft port listens.
    pub fn raft_addr(&self) -> SocketAddr {
        self.raft_addr
    }

    /// Whether this node stopped because its log has lost entries that it acknowledged. Its data
    /// counts as damaged at the next startup; see [`StartError::is_damage`].
    pub fn is_rolled_back(&self) -> bool {
        self.shared.rolled_back.load(Ordering::Relaxed)
    }

    /// Waits until a fatal error has stopped the node, and returns its reason.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().expect("waited for a reason"),
            // The sender lives in `shared`, which this node holds.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops in order: transfers leadership, accepts nothing new, finishes open work, writes a last
    /// checkpoint, joins its threads. If the disk hangs, it leaves the threads behind: end the
    /// process. The data directory stays locked until the last handle is
    /// dropped.
    pub async fn stop(mut self) {
        self.hand_over().await;
        self.shared.stopping.store(true, Ordering::Relaxed);
        // The worker and the links end first, so nothing new reaches the core.
        self.tasks.shutdown().await;
        if self.shared.hung.load(Ordering::Relaxed) {
            // Its threads wait for the disk, perhaps for good. Nothing is lost by leaving them:
            // what is not synced was promised to nobody.
            return;
        }
        let shared = Arc::clone(&self.shared);
        let threads = self.threads;
        let stopped = tokio::task::spawn_blocking(move || threads.stop(&shared)).await;
        if let Err(error) = stopped {
            tracing::error!(%error, "the node did not stop cleanly");
        }
    }

    /// Transfers leadership, if this node leads and another voter can lead. Waits at most two
    /// election timeouts.
    async fn hand_over(&self) {
        if !self.shared.view.read().is_leader || self.shared.members.borrow().voters.len() < 2 {
            return;
        }
        self.shared.send(Input::TransferLeader(None));
        // It is not enough that this node no longer leads: its vote must still reach the successor.
        let own = Some(self.shared.node());
        let handed_over = || {
            let leader = self.shared.view.read().leader;
            leader.is_some() && leader != own
        };
        let deadline = tokio::time::Instant::now() + 2 * self.election_timeout;
        while !handed_over() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
