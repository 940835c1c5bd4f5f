//! The front door of a node: propose, read, look at its status. Cheap to clone.

pub(crate) mod backup;
pub(crate) mod ledger;
mod members;
pub(crate) mod metrics;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use engine::actor::Actor;
use engine::apply::Would;
use engine::checkpoint;
use engine::command::{Command, Envelope};
use engine::event::{Event, EventId, EventPage};
use engine::hold::Hold;
use engine::ids::{HoldId, NodeId, OrderId, Position, RefundId, RequestId, Timestamp};
use engine::level;
use engine::order::Order;
use engine::outcome::Rejection;
use engine::quota;
use engine::refund::Refund;
use engine::state::{OrderLookup, State};
use engine::tokens::Auth;
use engine::trace::TraceId;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use self::metrics::{Metrics, entries_left};
use crate::addresses;
use crate::core::clock::Behind;
use crate::core::{Request, Space};
use crate::error::{EventsError, ProposeError, ReadError, SnapshotError};
use crate::members::Role;
use crate::payment::{Answer, Charge, GatewayState};
use crate::refusals::{is_order_or_hold, may_refuse, names_holds, orders_refused, refusal};
use crate::replica::Applied;
use crate::shared::Shared;
use crate::snapshot::Meta;

/// The health of a node, read without touching its state.
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// This node.
    pub node_id: NodeId,
    /// Who leads, if known.
    pub leader_id: Option<NodeId>,
    /// Whether a leader is known, this node has applied what was committed when it started, and
    /// its disk answers and has room.
    pub ready: bool,
    /// Whether the leader, or on the leader a majority, was heard from within an election timeout.
    pub quorum: bool,
    /// Whether log and checkpoints work.
    pub storage_ok: bool,
    /// Whether the disk has more free space than its reserve. Without, writes are refused.
    pub disk_has_room: bool,
    /// Whether the disk answers: no append has waited for it for a second or longer.
    pub disk_answers: bool,
    /// Whether the payment worker runs.
    pub worker_ok: bool,
    /// Why the other members refuse this node, if they said so.
    pub unwanted: Option<&'static str>,
}

/// What a request would have come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsal {
    /// The position of the state that says so.
    pub position: Position,
    /// The cluster's level there.
    pub level: u32,
    /// What would come of it, or why it would be refused.
    pub outcome: Result<Would, Rejection>,
}

/// A node's view of its cluster.
#[derive(Clone, Debug)]
pub struct Status {
    /// The cluster's hash, as text.
    pub cluster_id: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// This node.
    pub node_id: NodeId,
    /// Who leads, if known.
    pub leader_id: Option<NodeId>,
    /// Current term.
    pub term: u64,
    /// Commit index as known here.
    pub commit_index: u64,
    /// Applied index.
    pub applied_index: u64,
    /// Digest of the state at the applied index.
    pub digest: u64,
    /// The level whose rules the cluster uses, as of the applied index.
    pub level: u32,
    /// The newest level that this node speaks.
    pub level_newest: u32,
    /// Whether payments are paused.
    pub payments_paused: bool,
    /// The member that owned this directory before its data was damaged.
    pub rebuilt_from: Option<NodeId>,
    /// The lowest id above all that members have or had, as far as this node knows.
    pub next_member_id: NodeId,
    /// See [`Handle::warnings`].
    pub warnings: Vec<String>,
    /// All members, by id.
    pub members: Vec<Member>,
}

/// A member as this node sees it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// `leader`, `follower` or `learner`; `unknown` for a voter while no leader is known.
    pub role: &'static str,
    /// Its raft address.
    pub raft_addr: String,
    /// Its HTTP address, if known.
    pub http_addr: Option<String>,
    /// For a learner, the member that it replaces.
    pub replaces: Option<NodeId>,
    /// Known to match up to this index; only the leader knows.
    pub match_index: Option<u64>,
    /// Entries that it is behind; only the leader knows.
    pub lag: Option<u64>,
    /// Whether it was heard from recently.
    pub healthy: bool,
    /// Milliseconds since it was heard; none for this node, and if it never was.
    pub last_contact_ms: Option<u64>,
    /// The newest level that it speaks; none until it said so.
    pub speaks: Option<u32>,
}

/// Added to the deadline of a request. After that it times out even if the core is stuck.
const GRACE: Duration = Duration::from_millis(500);

/// Most attempts to read a chunk of events that was removed after it was found.
const STORED_LOOKS_MAX: usize = 8;

/// The front door of a node.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
    election_timeout_ms: u64,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>, election_timeout_ms: u64) -> Handle {
        Handle { shared, election_timeout_ms }
    }

    /// This node.
    pub fn node_id(&self) -> NodeId {
        self.shared.node()
    }

    /// Replicates a command of this node itself and waits until this node has applied it.
    ///
    /// # Errors
    /// As [`Handle::propose_as`].
    pub async fn propose(
        &self,
        command: Command,
        trace: TraceId,
        deadline: Instant,
    ) -> Result<Applied, ProposeError> {
        self.propose_as(Actor::System, command, trace, deadline).await
    }

    /// Replicates a command that somebody asked for and waits until this node has applied it.
    ///
    /// # Errors
    /// See [`ProposeError`]; only [`ProposeError::TimedOut`] leaves the outcome open.
    pub async fn propose_as(
        &self,
        actor: Actor,
        command: Command,
        trace: TraceId,
        deadline: Instant,
    ) -> Result<Applied, ProposeError> {
        let shared = &self.shared;
        shared.counters.proposals.add(1);
        if shared.stopping.load(Ordering::Relaxed) || shared.failure.borrow().is_some() {
            return Err(ProposeError::Stopping);
        }
        let (needed, mut level) = (command.level(), shared.level.load(Ordering::Relaxed));
        if needed > level {
            // Others may have raised the level already.
            let _ = self.barrier(deadline).await;
            level = shared.level.load(Ordering::Relaxed);
        }
        if needed > level {
            shared.counters.proposals_refused.add(1);
            return Err(ProposeError::LevelTooLow { needed, level });
        }
        let adds_rows = command.adds_rows();
        if adds_rows && shared.memory_full.load(Ordering::Relaxed) {
            shared.counters.proposals_refused.add(1);
            return Err(ProposeError::MemoryFull);
        }
        if let Some(kind) = self.used_up(&command) {
            shared.counters.proposals_refused.add(1);
            return Err(ProposeError::ShareFull(kind));
        }
        // Whose a hold is decides the log.
        let is_plain = !(names_holds(&command) && self.is_bound(actor));
        if is_plain && let Some(refused) = self.refuse_without_entry(&command, deadline).await {
            return Ok(refused);
        }
        let (seq, answer) = shared
            .await_answer(deadline.into_std() + GRACE, adds_rows)
            .inspect_err(|_| shared.counters.proposals_refused.add(1))?;
        let request = RequestId { node: shared.node(), boot: shared.identity.boot(), seq };
        let envelope = Envelope { request, trace, actor, command };
        let envelope = envelope.encode_at(shared.level.load(Ordering::Relaxed)).into();
        let deadline_ms = shared.mono_ms(deadline.into_std());
        shared.send(crate::core::Input::Propose(Request { seq, envelope, adds_rows, deadline_ms }));
        // Every proposer gets an answer while the node exists: its command may be in the log.
        answer.await.unwrap_or(Err(ProposeError::TimedOut))
    }

    /// The kind of the rows that a command adds, if they have used up their share of the memory.
    fn used_up(&self, command: &Command) -> Option<&'static str> {
        let kind = quota::Kind::of(command)?;
        let bytes_max = self.shared.counters.memory_max_bytes.get();
        let used = self.shared.state.read().bytes_of(kind);
        (bytes_max > 0 && used >= kind.share(bytes_max)).then(|| kind.as_str())
    }

    /// Whether somebody is limited to the rows of a user.
    fn is_bound(&self, actor: Actor) -> bool {
        match actor {
            Actor::Customer { .. } => true,
            Actor::Token(id) => {
                let auth = self.shared.auth.borrow();
                auth.token(id).is_some_and(|token| token.user.is_some())
            }
            Actor::Nobody | Actor::System | Actor::Root(_) => false,
        }
    }

    /// Refuses orders or a hold without an entry, as a linearizable read: for lack of stock, or
    /// because a sale is not open. A sale that is sold out, or about to open, then costs no disk.
    /// `None` when the log has to decide.
    ///
    /// The look before the barrier only spares requests that can be filled the wait. The look after
    /// it decides: by then this node has applied every write that was acknowledged before the
    /// request arrived. A decision before the barrier would be wrong: another node may have
    /// acknowledged a cancel that this node has not applied yet. The leader's clock, which comes
    /// with the barrier, is within the request, so the log stood there.
    async fn refuse_without_entry(&self, command: &Command, deadline: Instant) -> Option<Applied> {
        let shared = &self.shared;
        if !is_order_or_hold(command) {
            return None;
        }
        // While the applier works, the log decides: an order must not wait for the lock to be
        // refused.
        {
            let state = shared.state.try_read()?;
            if !may_refuse(&state, command) {
                return None;
            }
            refusal(&state, command, Timestamp(0))?;
        }
        let now = self.clock_barrier(deadline).await.ok()??;
        let state = shared.state.read();
        let outcome = refusal(&state, command, now)?;
        let counters = &shared.counters;
        match command {
            Command::CreateHold(_) => counters.holds_refused_without_entry.add(1),
            _ => {
                let (refused, lacked) = orders_refused(&outcome);
                counters.refused_without_entry.add(refused);
                counters.lacked_without_entry.add(lacked);
            }
        }
        Some(Applied {
            position: state.position(),
            clock: state.clock(),
            outcome,
            order: None,
            orders: Vec::new(),
            product: None,
            hold: None,
        })
    }

    /// Says what an order, a batch or a hold would come to, without doing it. Like a linearizable
    /// read, it writes nothing.
    ///
    /// # Errors
    /// As [`Handle::barrier`].
    ///
    /// # Panics
    /// When the command is another one.
    pub async fn rehearse(
        &self,
        actor: Actor,
        command: &Command,
        deadline: Instant,
    ) -> Result<Rehearsal, ReadError> {
        let now = self.clock_barrier(deadline).await?;
        Ok(self.read(|state| Rehearsal {
            position: state.position(),
            level: state.level(),
            outcome: state
                .rehearse(command, actor, now.unwrap_or_default())
                .expect("an order, a batch or a hold"),
        }))
    }

    /// Waits until a read of the local state sees every write that was acknowledged anywhere before
    /// this call.
    ///
    /// # Errors
    /// [`ReadError::NotInTime`] at the deadline, or why it cannot wait.
    pub async fn barrier(&self, deadline: Instant) -> Result<(), ReadError> {
        self.clock_barrier(deadline).await.map(|_| ())
    }

    /// Like [`Handle::barrier`], and says the leader's clock at a moment after this call: no entry
    /// before had a later one, except those that the state has applied when this returns. `None` if
    /// the leader does not say it.
    pub(crate) async fn clock_barrier(
        &self,
        deadline: Instant,
    ) -> Result<Option<Timestamp>, ReadError> {
        if self.shared.failure.borrow().is_some() {
            return Err(ReadError::Stopping);
        }
        let (ticket, ready) =
            self.shared.await_barrier(deadline.into_std()).ok_or(ReadError::Overloaded)?;
        match timeout_at(deadline, ready).await {
            Ok(Ok(ready)) => ready,
            Ok(Err(_)) => Err(ReadError::Stopping),
            Err(_) => {
                self.shared.forget_reader(ticket);
                Err(ReadError::NotInTime)
            }
        }
    }

    /// Waits until this node has applied the command at `position`.
    ///
    /// # Errors
    /// [`ReadError::NotInTime`] at the deadline.
    pub async fn wait_for(&self, position: Position, deadline: Instant) -> Result<(), ReadError> {
        match timeout_at(deadline, self.shared.await_applied(position.index())).await {
            Ok(Ok(reached)) => reached.map(|_| ()),
            Ok(Err(_)) => Err(ReadError::Stopping),
            Err(_) => Err(ReadError::NotInTime),
        }
    }

    /// Looks at the local state. The closure holds up the applier, so it must be short.
    pub fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.shared.state.read())
    }

    /// Reads orders from this node, in the order of `ids`; absent ones are left out. Old orders are
    /// read from the checkpoint.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when a stored row cannot be read.
    pub async fn orders(&self, ids: &[OrderId]) -> Result<Vec<Order>, ReadError> {
        let mut found: Vec<Option<Order>> = Vec::with_capacity(ids.len());
        let mut stored = Vec::new();
        {
            let state = self.shared.state.read();
            for (at, id) in ids.iter().enumerate() {
                found.push(match state.order(*id) {
                    OrderLookup::Resident(order) => Some(order.into_owned()),
                    OrderLookup::Absent => None,
                    OrderLookup::Stored => {
                        stored.push((at, *id));
                        None
                    }
                });
            }
        }
        if !stored.is_empty() {
            let store = self.shared.store();
            let read = tokio::task::spawn_blocking(move || {
                let read = |(at, id)| Ok((at, checkpoint::read_order(&*store, id)?));
                stored.into_iter().map(read).collect::<Result<Vec<_>, engine::store::Error>>()
            });
            let read = read.await.map_err(|error| ReadError::Storage(error.to_string()))?;
            for (at, order) in read.map_err(|error| ReadError::Storage(error.to_string()))? {
                found[at] = order;
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// The next events after `id`: at most `limit` from memory, or the rest of one stored chunk.
    /// Empty when there are none yet. `id` need not be that of an event.
    ///
    /// # Errors
    /// See [`EventsError`].
    pub async fn events_after(&self, id: EventId, limit: usize) -> Result<Vec<Event>, EventsError> {
        // A chunk may be removed between the two looks; then there is a new floor.
        for _ in 0..STORED_LOOKS_MAX {
            let chunk = match self.read(|state| state.events_after(id, limit)) {
                EventPage::Events(events) => return Ok(events),
                EventPage::Gone { floor } => return Err(EventsError::Gone { floor }),
                EventPage::Stored { chunk } => chunk,
            };
            let store = self.shared.store();
            let read = move || checkpoint::read_events(&*store, chunk);
            let read = tokio::task::spawn_blocking(read).await;
            let read = read.map_err(|error| EventsError::Storage(error.to_string()))?;
            match read.map_err(|error| EventsError::Storage(error.to_string()))? {
                Some(mut events) => {
                    events.drain(..events.partition_point(|event| event.id() <= id));
                    return Ok(events);
                }
                None => tokio::task::yield_now().await,
            }
        }
        Err(EventsError::Storage("a retained chunk of events is missing".into()))
    }

    /// The name of the cluster.
    pub fn cluster_name(&self) -> &str {
        &self.shared.cluster_name
    }

    /// Asks this node's gateway to make sure that the current payment attempt of an order takes no
    /// money any more. `None` when the order has no attempt, or another gateway's.
    pub async fn cancel_payment(&self, order: OrderId) -> Option<Answer> {
        let gateway = &self.shared.payer;
        let charge = self.read(|state| {
            let OrderLookup::Resident(row) = state.order(order) else { return None };
            let task = row.task.filter(|_| row.payment_method == gateway.method())?;
            let (keys, epoch) = (state.payment_keys(), state.payment_epoch(order));
            Some(Charge {
                key: keys.attempt(&self.shared.cluster_name, epoch, order, task.attempt),
                order,
                attempt: task.attempt,
                unanswered: task.unanswered,
                amount: row.total,
                trace: row.trace.clone(),
                look_up_first: false,
                may_charge: false,
            })
        })?;
        Some(gateway.cancel(&charge).await)
    }

    /// Follows the newest event: it changes when there are new ones to be read. Events themselves
    /// are not kept for a subscriber that waits here, so waiting costs nothing.
    pub fn watch_events(&self) -> watch::Receiver<EventId> {
        self.shared.told.subscribe()
    }

    /// The mode and the tokens as of the applied state. Does not look at the state.
    pub fn auth(&self) -> Auth {
        self.shared.auth.borrow().clone()
    }

    /// Follows the mode and the tokens.
    pub fn watch_auth(&self) -> watch::Receiver<Auth> {
        self.shared.auth.subscribe()
    }

    /// A hold that [`State::hold`] reports as stored, read from the checkpoint.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when it cannot be read.
    pub async fn stored_hold(&self, id: HoldId) -> Result<Option<Hold>, ReadError> {
        let store = self.shared.store();
        let read = tokio::task::spawn_blocking(move || checkpoint::read_hold(&*store, id));
        let storage = |error: &dyn std::fmt::Display| ReadError::Storage(error.to_string());
        read.await.map_err(|error| storage(&error))?.map_err(|error| storage(&error))
    }

    /// A refund that [`State::refund`] reports as stored, read from the checkpoint.
    ///
    /// # Errors
    /// [`ReadError::Storage`] when it cannot be read.
    pub async fn stored_refund(&self, id: RefundId) -> Result<Option<Refund>, ReadError> {
        let store = self.shared.store();
        let read = tokio::task::spawn_blocking(move || checkpoint::read_refund(&*store, id));
        let storage = |error: &dyn std::fmt::Display| ReadError::Storage(error.to_string());
        read.await.map_err(|error| storage(&error))?.map_err(|error| storage(&error))
    }

    /// Whether this node works. Cheap: for probes.
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let disk_has_room = *shared.space.read() == Space::Ample;
        let view = shared.view.read();
        Health {
            node_id: shared.node(),
            leader_id: view.leader,
            ready: view.leader.is_some()
                && shared.caught_up.load(Ordering::Relaxed)
                && disk_has_room
                && !view.is_stalled
                && !view.removed
                && !shared.stopping.load(Ordering::Relaxed),
            quorum: view.leader.is_some() && view.quorum_heard_ms_ago <= self.election_timeout_ms,
            storage_ok: shared.failure.borrow().is_none(),
            disk_has_room,
            disk_answers: !view.is_stalled,
            worker_ok: shared.worker_alive.load(Ordering::Relaxed),
            unwanted: *shared.unwanted.lock(),
        }
    }

    /// What an operator should look at, as sentences. The node still works. Cheap: for probes.
    pub fn warnings(&self) -> Vec<String> {
        let view = self.shared.view.read();
        let clock = view.clock_behind.map(|(ms, why)| clock_warning(ms, why));
        let gateway = match self.shared.gateway.state() {
            GatewayState::Closed => None,
            _ => Some(gateway_warning(self.shared.gateway.fault().as_deref())),
        };
        let members = self.shared.members.borrow();
        let listed = addresses::difference(&self.shared.listed, &members);
        let end = end_warning(view.commit_index);
        let memory = view.is_memory_full.then(memory_warning);
        let cluster = clock.into_iter().chain(listed).chain(self.shared.foreign());
        cluster.chain(end).chain(memory).chain(gateway).collect()
    }

    /// The cluster as this node sees it, with or without a majority. Brings the digest up to date,
    /// so it takes the state's write lock.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let view = shared.view.read().clone();
        let (applied_index, digest, payments_paused, level) = {
            let mut state = shared.hashed_state();
            let (digest, paused) = (state.digest(), state.payments_paused());
            (state.applied_index(), digest, paused, state.level())
        };
        let membership = shared.members.borrow().clone();
        let members = membership.members.iter().map(|member| {
            let own = member.id == shared.node();
            let (mut raft_addr, mut http_addr) =
                (member.raft_addr.clone(), member.http_addr.clone());
            if own && !shared.advertised.raft.is_empty() {
                raft_addr.clone_from(&shared.advertised.raft);
            }
            if own && !shared.advertised.http.is_empty() {
                http_addr = Some(shared.advertised.http.clone());
            }
            let heard = view.heard.iter().find(|(id, _)| *id == member.id);
            let matched =
                view.matched.iter().find(|(id, ..)| *id == member.id).map(|found| found.1);
            Member {
                id: member.id,
                role: match (membership.role(member.id), view.leader) {
                    (Some(Role::Learner), _) => "learner",
                    (_, None) => "unknown",
                    (_, Some(leader)) if leader == member.id => "leader",
                    (_, Some(_)) => "follower",
                },
                raft_addr,
                http_addr,
                replaces: member.replaces,
                match_index: matched,
                lag: matched.map(|matched| view.last_index.saturating_sub(matched)),
                // Idle links carry a frame a second, so three seconds of silence mean trouble.
                healthy: own
                    || (heard.is_some_and(|(_, ms_ago)| *ms_ago <= 3_000)
                        && shared.linked.lock().contains(&member.id)),
                last_contact_ms: heard.filter(|_| !own).map(|(_, ms_ago)| *ms_ago),
                speaks: match own {
                    true => Some(level::NEWEST),
                    false => view.speaks.iter().find(|(id, _)| *id == member.id).map(|(_, to)| *to),
                },
            }
        });
        Status {
            cluster_id: shared.identity.cluster_id(),
            cluster_name: shared.cluster_name.clone(),
            node_id: shared.node(),
            leader_id: view.leader,
            term: view.term,
            commit_index: view.commit_index.max(applied_index),
            applied_index,
            digest,
            level,
            level_newest: level::NEWEST,
            payments_paused,
            rebuilt_from: shared.identity.rebuilt().last().map(|rebuilt| rebuilt.from),
            next_member_id: membership.next_id(),
            warnings: self.warnings(),
            members: members.collect(),
        }
    }

    /// Takes a snapshot of at least what this node has applied by now, and waits until the file is
    /// complete. If one of that index exists, returns it.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub async fn take_snapshot(&self, deadline: Instant) -> Result<Meta, SnapshotError> {
        if self.shared.failure.borrow().is_some() {
            return Err(SnapshotError::Stopping);
        }
        let (asker, answer) = oneshot::channel();
        self.shared.snapshot_askers.lock().push(asker);
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer.map_err(SnapshotError::Failed),
            Ok(Err(_)) => Err(SnapshotError::Stopping),
            Err(_) => Err(SnapshotError::NotInTime),
        }
    }

    /// Numbers for a metrics page.
    pub fn metrics(&self) -> Metrics {
        let warnings = self.warnings().len() as u64;
        Metrics { warnings, ..metrics::metrics(&self.shared) }
    }
}

/// Warns when nine tenths of the log's indexes are used: nothing can be written after the last one.
fn end_warning(commit_index: u64) -> Option<String> {
    let left = entries_left(commit_index);
    (left < Position::INDEX_MAX / 10).then(|| {
        format!(
            "the log can take {left} more entries, of {} in all: move to a new cluster with `holdfast \
             export` and `holdfast import` before it is full",
            Position::INDEX_MAX
        )
    })
}

fn memory_warning() -> String {
    "the memory of this node, or of too many others, is nearly used up: orders, holds and other new \
     rows are refused; give the nodes more memory and raise --memory-max-mb"
        .to_owned()
}

fn clock_warning(behind_ms: u64, why: Behind) -> String {
    let action = match why {
        Behind::Waits => {
            "it takes their time within a minute, so that requests that waited come first"
        }
        Behind::Disagreed => {
            "most clocks are not within 5 s of each other: set the clocks of the machines"
        }
        Behind::NeedsOperator => {
            "it does not take more than a day by itself: check the clocks, then run `holdfast clock \
             accept`"
        }
    };
    let seconds = behind_ms / 1_000;
    format!("the cluster's clock is {seconds} s behind the clocks of its machines: {action}")
}

fn gateway_warning(fault: Option<&str>) -> String {
    match fault {
        Some(fault) => format!("the payment gateway refuses this node: {fault}"),
        None => "the payment gateway does not answer: few or no orders are charged until it does; \
                 look at it and at the network"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_nears_its_last_index_is_warned_of() {
        assert_eq!(end_warning(0), None);
        assert_eq!(end_warning(Position::INDEX_MAX / 10 * 9), None);
        let text = end_warning(Position::INDEX_MAX - 5).expect("it is nearly full");
        assert!(text.contains("5 more entries"), "{text}");
        assert!(end_warning(u64::MAX).is_some());
    }
}
