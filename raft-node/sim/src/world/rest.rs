//! The end of a run: the faults stop, the cluster comes to rest, and the oracle judges the result.

use engine::ids::{NodeId, OrderId};
use engine::order::Status;
use engine::refund;
use raft_node::core::Space;
use raft_node::log::LogStore;

use super::World;
use crate::coverage::Coverage;
use crate::event::Event;
use crate::faults::minority;
use crate::host::life::Crash;
use crate::host::{DISK_US_MAX, place};
use crate::look::check_all;
use crate::time::{MS, SECOND};

/// Interval between checks whether the cluster is at rest.
const SETTLED_EVERY: u64 = 500 * MS;

impl World {
    /// Ends the faults. A minority may stay down for good.
    pub(super) fn rest(&mut self) {
        let sim = &mut self.sim;
        sim.say(|| "faults end".into());
        sim.resting = true;
        self.answered_at_rest = answers(&sim.cover);
        // One call at a time takes long.
        let tasks = self.hosts.iter().filter_map(|host| host.up.as_ref());
        let tasks = tasks.map(|process| process.state.payment_tasks()).max();
        sim.plan.rest += tasks.unwrap_or(0) * SECOND / 2;
        sim.net.mend_all();
        sim.net.quality.loss_ppm = 0;
        sim.net.quality.damage_ppm = 0;
        sim.net.quality.delay_mean_us = sim.net.quality.delay_mean_us.min(5 * MS);
        // A majority may need a snapshot first: its transfer takes a second or two at most.
        sim.plan.link_bytes_per_ms = sim.plan.link_bytes_per_ms.max(100);
        sim.plan.disk.read_us_per_kib = sim.plan.disk.read_us_per_kib.min(1_000);
        sim.plan.client_loss_ppm = 0;
        sim.plan.provider.request_lost_ppm = 0;
        sim.plan.provider.answer_lost_ppm = 0;
        sim.provider.calm(sim.now);
        // A breaker that is open waits up to a minute.
        sim.plan.rest += if sim.plan.provider.has_breaker { 70 * SECOND } else { 0 };
        let mut lost = self.hosts.iter().filter(|host| host.is_lost()).count();
        for host in &mut self.hosts {
            host.disk.full = false;
            host.disk.slower = 0;
            host.disk.fail_sync = false;
            host.mend_hanging_disk(sim);
            host.judge_space(sim, Space::Ample);
            // Where members change, the operator decides which node is lost.
            let stays_down = sim.random.percent(10) && sim.plan.spares == 0;
            if stays_down && lost < minority(sim.plan.nodes) && !host.is_lost() {
                lost += 1;
                host.crash(sim, Crash::PowerCut);
                host.damaged = true;
                sim.say(|| format!("n{} stays down", host.id));
            }
        }
        self.retire();
        let nodes: Vec<NodeId> = self.hosts.iter().map(|host| host.id).collect();
        for node in nodes {
            self.host(node).paused_until = self.host(node).paused_until.map(|_| 0);
            self.resume(node);
            let sim = &mut self.sim;
            let host = &mut self.hosts[place(node)];
            if host.up.is_none() && !host.damaged {
                host.restarting = false;
                host.restart_after(sim, MS);
            }
        }
        self.sim.after(SETTLED_EVERY, Event::Settled);
    }

    /// Turns off machines that are not or no longer part of the cluster.
    fn retire(&mut self) {
        let sim = &mut self.sim;
        for host in &mut self.hosts {
            let member = sim.electorate.now().role(host.id).is_some();
            if (!member || host.wiped) && !host.damaged {
                sim.say(|| format!("n{} is turned off", host.id));
                host.crash(sim, Crash::PowerCut);
                host.damaged = true;
            }
        }
    }

    /// Ends the run when the cluster is at rest.
    pub(super) fn settled(&mut self) {
        if self.first_answer.is_none() && answers(&self.sim.cover) > self.answered_at_rest {
            self.first_answer = Some(self.sim.now - self.sim.plan.faults_until);
        }
        self.retire();
        // The answer to an earlier request may come last.
        if self.sim.oracle.model.payments_paused && self.clients.iter().all(|client| client.idle) {
            self.clients[0].wake(&mut self.sim);
        }
        match self.unrest() {
            None => {
                self.done = true;
                let judged = self.last_checks().and_then(|()| self.check_copy());
                self.sim.check(judged);
                self.sim.say(|| "at rest".into());
            }
            Some(what) => {
                let sim = &mut self.sim;
                let election = 2 * sim.plan.core.election_ticks as u64 * sim.plan.core.tick_ms * MS;
                let served = self.first_answer.is_some();
                // An operation of a slow disk that began before needs its time too.
                let patience = 5 * election + DISK_US_MAX + SECOND;
                if !served && sim.now > sim.plan.faults_until + patience {
                    sim.fail(format!(
                        "nobody leads five election timeouts after the faults: {what}"
                    ));
                }
                if sim.now > sim.plan.faults_until + sim.plan.rest {
                    sim.fail(format!("no rest after the faults: {what}"));
                }
                sim.after(SETTLED_EVERY, Event::Settled);
            }
        }
    }

    /// Why the cluster is not at rest yet.
    fn unrest(&mut self) -> Option<String> {
        if let Some(busy) = self.clients.iter().position(|client| !client.idle) {
            return Some(format!("client {busy} has no answer"));
        }
        let told = self.sim.oracle.events.len();
        if let Some(late) = self.subscribers.iter().position(|one| one.heard < told) {
            let heard = self.subscribers[late].heard;
            return Some(format!("subscriber {late} has heard {heard} events of {told}"));
        }
        let sim = &self.sim;
        let last = sim.oracle.last_index();
        for host in &mut self.hosts {
            let Some(process) = &mut host.up else {
                match host.damaged {
                    true => continue,
                    false => return Some(format!("node {} is down", host.id)),
                }
            };
            let member = sim.electorate.now().member(host.id);
            if sim.oracle.model.level > 0
                && member.is_some_and(|member| member.raft_addr != sim.addresses[&host.id])
            {
                return Some(format!("node {} is at {}", host.id, sim.addresses[&host.id]));
            }
            let state = &process.state;
            if state.applied_index() != last {
                let at = state.applied_index();
                return Some(format!("node {} is at index {at} of {last}", host.id));
            }
            if state.open_refunds() > 0 {
                return Some(format!("{} refunds are open", state.open_refunds()));
            }
            if state.payment_tasks() > 0 || state.next_deadline().is_some() {
                let (clock, due) = (state.clock(), state.next_payment_due());
                let tasks = state.payment_tasks();
                return Some(format!(
                    "{tasks} payments are open, the next is due at {due:?}, the next deadline is \
                     {:?}, the clock is {clock:?}",
                    state.next_deadline()
                ));
            }
        }
        None
    }

    fn last_checks(&mut self) -> Result<(), String> {
        let sim = &mut self.sim;
        let mut digests = Vec::new();
        for host in &mut self.hosts {
            let Some(process) = &mut host.up else { continue };
            let checked = check_all(&sim.oracle, &process.state, &*host.store);
            checked.map_err(|what| format!("n{}: {what}", host.id))?;
            digests.push(process.state.digest());
            for index in host.log.compacted().0 + 1..=sim.oracle.last_index() {
                if host.log.term(index) != sim.oracle.term(index) {
                    return Err(format!("node {} has another entry {index}", host.id));
                }
            }
        }
        let hosts = &self.hosts;
        let up = |id: NodeId| hosts[place(id)].up.is_some();
        if !sim.electorate.now().is_quorum(up) {
            return Err("a majority is not there".into());
        }
        if digests.windows(2).any(|pair| pair[0] != pair[1]) {
            return Err(format!("the nodes have the digests {digests:?}"));
        }
        if sim.oracle.floor().index() > sim.oracle.last_index() {
            return Err("an acknowledged write is not there".into());
        }
        for (id, order) in (1..).map(OrderId).zip(&sim.oracle.model.orders) {
            let (charged, _) = sim.provider.of(id);
            let status = order.progress.now().status;
            let refunds = sim.oracle.model.refunds.iter().filter(|refund| refund.order == id);
            let given = refunds.filter(|refund| refund.status == refund::Status::Succeeded);
            let given: i64 = given.map(|refund| refund.amount.0).sum();
            let has_worker = order.request.method.has_worker();
            if has_worker && given != sim.provider.refunded(id) {
                let of_provider = sim.provider.refunded(id);
                return Err(format!(
                    "order {id}: {given} given back, {of_provider} by the provider"
                ));
            }
            // An operator may have been wrong about the provider.
            if order.settled_by_operator {
                continue;
            }
            // The worker must not have charged what a provider reported.
            let by_worker = status == Status::Paid && !order.reported;
            if charged != usize::from(by_worker) {
                return Err(format!("order {id} is {status} and was charged {charged} times"));
            }
        }
        // A run in which nothing happened proves nothing.
        let cover = &sim.cover;
        let done = [cover.elections, cover.entries_committed, cover.answered + cover.reads];
        if done.contains(&0) {
            return Err(format!("next to nothing happened: {done:?}"));
        }
        let (applied, lost) = sim.oracle.doubts();
        sim.cover.unknown_but_applied += applied;
        sim.cover.unknown_and_lost += lost;
        sim.cover.runs_with_minority_down +=
            u64::from(digests.len() < sim.electorate.now().members.len());
        Ok(())
    }
}

/// The number of answers that needed a leader.
fn answers(cover: &Coverage) -> u64 {
    cover.answered + cover.reads + cover.refused_without_entry
}
