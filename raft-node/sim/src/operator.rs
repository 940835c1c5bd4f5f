//! The operator: adds, removes and replaces members and transfers leadership amid all faults. It
//! does one thing at a time, and asks again until it is done or refused.

pub(crate) mod task;

use engine::ids::NodeId;
use engine::level::NEWEST;
use raft_node::core::Input;
use raft_node::members::{Ask, Change, Role};

use self::task::{RAISES, Task, member};
use crate::event::Event;
use crate::host::life::Crash;
use crate::host::{Host, place};
use crate::sim::Sim;
use crate::time::{MS, SECOND, Time};

/// How long an added node may take to get its vote before the operator goes on.
const PATIENCE: Time = 30 * SECOND;

/// Fewest voters left: one wrong clock needs two right ones beside it.
const VOTERS_MIN: usize = 3;

/// Continues its task, or begins one.
pub(super) fn operate(sim: &mut Sim, hosts: &mut [Host]) {
    if sim.resting {
        return;
    }
    if is_over(sim) {
        sim.operator.task = None;
    }
    if sim.operator.task.is_none() && sim.plan.spares > 0 {
        begin(sim, hosts);
    }
    ask_again(sim, hosts);
    if sim.plan.founded_at_level_0 && sim.random.percent(60) {
        sim.operator.tickets += 1;
        let ticket = RAISES + sim.operator.tickets;
        ask_some(sim, hosts, ticket, Ask::Raise { to: NEWEST });
    }
    let delay = sim.random.between(200 * MS, 3 * SECOND);
    sim.after(delay, Event::Operate);
}

fn is_over(sim: &mut Sim) -> bool {
    let members = sim.electorate.now();
    let Some(task) = &sim.operator.task else { return false };
    match &task.ask {
        Ask::Add { member, .. } => {
            let votes = members.role(member.id) == Some(Role::Voter) && !members.is_joint();
            // A lost node has to be replaced before another may be lost.
            votes || (member.replaces.is_none() && sim.now > task.since + PATIENCE)
        }
        Ask::Change(Change::Remove(id)) => {
            let gone = members.was_removed(*id);
            sim.cover.leaders_removed += u64::from(gone && task.of_leader);
            gone
        }
        Ask::Change(Change::Add(_) | Change::Promote(_) | Change::Move { .. })
        | Ask::Raise { .. } => true,
        Ask::Transfer { .. } | Ask::AcceptClock => sim.now > task.since + 5 * SECOND,
    }
}

fn begin(sim: &mut Sim, hosts: &mut [Host]) {
    let members = sim.electorate.now().clone();
    if members.is_joint() {
        return;
    }
    let leader = hosts.iter().find(|host| host.leads()).map(|host| host.id);
    let some = sim.random.pick(&members.members).id;
    let spare = hosts.iter().position(|host| !host.joined);
    let lost = hosts.iter().any(|host| host.wiped && members.role(host.id).is_some());
    let (ask, of_leader) = match sim.random.below(10) {
        0..=3 => {
            let Some(spare) = spare else { return };
            (joins(sim, &mut hosts[spare], None), false)
        }
        4..=5 if members.voters.len() > VOTERS_MIN => {
            let of_leader = sim.random.percent(40);
            let id = leader.filter(|_| of_leader).unwrap_or(some);
            (Ask::Change(Change::Remove(id)), Some(id) == leader)
        }
        6..=7 => {
            let Some(spare) = spare else { return };
            let few = members.voters.len() <= VOTERS_MIN && sim.operator.refused;
            let voter = members.role(some) == Some(Role::Voter);
            // A node that does not know that the last change is complete needs the voters before it
            // too.
            let knows = |id: NodeId| {
                let process = hosts[place(id)].up.as_ref();
                id != some && process.is_some_and(|it| it.state.applied_index() >= members.index)
            };
            let known = members.is_quorum(knows);
            if few || lost || !voter || !known || members.voters.len() < VOTERS_MIN {
                return;
            }
            sim.cover.nodes_wiped += 1;
            hosts[place(some)].wipe(sim);
            (joins(sim, &mut hosts[spare], Some(some)), false)
        }
        _ => {
            let Some(from) = leader else { return };
            let to = sim.random.percent(50).then_some(some);
            (Ask::Transfer { from, to }, false)
        }
    };
    sim.say(|| format!("the operator wants {ask:?}"));
    let (since, first) = (sim.now, sim.operator.tickets);
    sim.operator.task = Some(Task { ask, since, first, of_leader, moved: false });
}

/// Asks any node that can answer.
fn ask_again(sim: &mut Sim, hosts: &mut [Host]) {
    let Some(task) = &mut sim.operator.task else { return };
    if let Ask::Add { member, speaks } = &mut task.ask
        && *speaks < sim.oracle.model.level
    {
        // It was started with a build that may not join any more.
        let host = &mut hosts[place(member.id)];
        (*speaks, host.speaks) = (NEWEST, NEWEST);
        host.crash(sim, Crash::Kill);
        host.start(sim);
    }
    let Some(task) = &sim.operator.task else { return };
    let ask = task.ask.clone();
    sim.operator.tickets += 1;
    let ticket = sim.operator.tickets;
    ask_some(sim, hosts, ticket, ask);
}

/// A spare machine starts, perhaps in the place of a member.
fn joins(sim: &mut Sim, spare: &mut Host, replaces: Option<NodeId>) -> Ask {
    spare.speaks = spare.speaks.max(sim.oracle.model.level);
    spare.joined = true;
    spare.start(sim);
    Ask::Add { member: member(spare.id, replaces), speaks: spare.speaks }
}

fn ask_some(sim: &mut Sim, hosts: &mut [Host], ticket: u64, ask: Ask) {
    let able: Vec<usize> =
        (0..hosts.len()).filter(|at| hosts[*at].up.is_some() && !hosts[*at].wiped).collect();
    if able.is_empty() {
        return;
    }
    let host = &mut hosts[*sim.random.pick(&able)];
    let patience_ms = sim.random.between(200, 5_000);
    let deadline_ms = host.clock.now(sim.now).mono_ms + patience_ms;
    host.mail(sim, Input::Ask { ticket, ask, deadline_ms });
}
