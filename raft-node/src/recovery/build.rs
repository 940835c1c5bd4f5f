//! Makes the parts of a new data directory: identity, log, and a snapshot beside the state.

use std::path::Path;
use std::sync::Arc;

use engine::actor::Actor;
use engine::command::{BeginCluster, Command, Envelope, RaiseLevel};
use engine::entry::Builder;
use engine::ids::{NodeId, RequestId};
use engine::level;
use engine::secret::Secret;
use engine::state::State;
use engine::store::sled::SledStore;
use engine::trace::TraceId;
use raft::eraftpb::{Entry, HardState};

use super::error::{Begun, Error, at};
use crate::causes::chain;
use crate::directory::identity;
use crate::log::LogStore;
use crate::log::engine::EngineLog;
use crate::members::{Member, Membership};
use crate::node::error::StartError;
use crate::snapshot::Snapshots;
use crate::snapshot::files::DirectoryFiles;

/// The node that asks for the entry that begins a cluster. No real node has this number.
const NOBODY: NodeId = NodeId(0);

/// The parameters of a new cluster.
pub(super) struct Founding<'a> {
    pub(super) cluster_name: &'a str,
    /// Its only member.
    pub(super) member: Member,
    /// Ids of former members, which are never used again.
    pub(super) removed: Vec<NodeId>,
    /// The boot number of the directory.
    pub(super) boot: u64,
    /// The highest term that this node has seen.
    pub(super) term: u64,
    pub(super) pause_payments: bool,
}

/// Makes everything but the state, which is in `dir` already and published in its store.
pub(super) fn build(
    dir: &Path,
    founding: &Founding<'_>,
    store: SledStore,
    mut state: State,
) -> Result<Begun, Error> {
    let (index, term) = (state.applied_index(), state.applied_term());
    let incarnation = rand::random();
    let member = Member { incarnation: Some(incarnation), ..founding.member.clone() };
    let cluster: [u8; 16] = rand::random();
    let members = Membership {
        index,
        removed: founding.removed.clone(),
        ..Membership::founded(vec![member.clone()])
    };
    let snapshots_dir = dir.join("snapshots");
    let files = DirectoryFiles::open(&snapshots_dir).map_err(at(&snapshots_dir))?;
    let snapshots = Snapshots::open(Arc::new(files), cluster)?.named(founding.cluster_name);
    let nothing = || Error::State { path: dir.join("state"), reason: "it is empty".into() };
    let draft = snapshots.begin(&store, |_| members.clone())?.ok_or_else(nothing)?;
    snapshots.finish(draft, &store)?;
    // A term that nobody has been in, so votes of the old cluster mean nothing here.
    let new_term = founding.term.max(term) + 1;
    write_log(dir, &members, (index, term), new_term, entry(founding, &state, index + 1, new_term))
        .map_err(StartError::from)?;
    identity::begin(
        dir,
        identity::Beginning {
            cluster_name: founding.cluster_name,
            cluster,
            node: member.id,
            incarnation,
            raft_addr: &member.raft_addr,
            http_addr: member.http_addr.as_deref(),
            boot: founding.boot,
        },
    )?;
    let totals = state.totals();
    let (orders, products) = (totals.orders_created, totals.products_created);
    let digest = state.digest();
    state
        .check_invariants()
        .map_err(|violation| Error::State { path: dir.join("state"), reason: chain(&violation) })?;
    Ok(Begun {
        cluster_id: identity::text_of(&cluster),
        cluster_name: founding.cluster_name.into(),
        node: member.id,
        index,
        digest,
        orders,
        products,
        aside: None,
    })
}

/// The first entry of the new cluster, which uses the newest level.
fn entry(founding: &Founding<'_>, state: &State, index: u64, term: u64) -> Entry {
    let command = Command::BeginCluster(BeginCluster { pause_payments: founding.pause_payments });
    let raise = RaiseLevel { to: level::NEWEST, secret: Secret(rand::random()) };
    let mut builder = Builder::new(state.clock());
    for (seq, command) in [(1, Command::RaiseLevel(raise)), (2, command)] {
        // Later new clusters count as later boots of nobody.
        let request = RequestId { node: NOBODY, boot: index, seq };
        builder.push(
            &Envelope { request, trace: TraceId::NONE, actor: Actor::System, command }.encode(),
        );
    }
    Entry { index, term, data: builder.finish().into(), ..Entry::default() }
}

/// Makes a log that begins after the state, with one entry.
fn write_log(
    dir: &Path,
    members: &Membership,
    (index, term): (u64, u64),
    new_term: u64,
    first: Entry,
) -> Result<(), crate::log::Error> {
    let log = EngineLog::open(&dir.join("raft"), false)?;
    let hard_state = HardState { term: new_term, commit: index, ..HardState::default() };
    log.install(index, term, Some(&hard_state), members)?;
    log.append(&[first], None)?;
    log.mark(index, term)
}
