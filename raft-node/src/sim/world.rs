//! The loop: takes events in the order of time, lets a cluster live, then lets it come to rest and
//! looks at what is left.

use engine::ids::{NodeId, OrderId};
use engine::order::Status;

use super::client::Client;
use super::clock::NodeClock;
use super::coverage::Coverage;
use super::electorate::{self, Electorate};
use super::faults::{self, minority};
use super::host::{Crash, DISK_US_MAX, Duty, Host, provider_asked};
use super::net::Net;
use super::operator::{self, Operator};
use super::oracle::Oracle;
use super::plan::Plan;
use super::provider::Provider;
use super::random::Random;
use super::subscriber::Subscriber;
use super::trace::{Show, Trace};
use super::{Bug, Event, MS, Planned, Report, SECOND, Sim, Time};
use crate::core::Space;
use crate::log::LogStore;
use crate::members::Membership;

/// How often a cluster that should be at rest is looked at.
const SETTLED_EVERY: u64 = 500 * MS;

pub(super) struct World {
    seed: u64,
    sim: Sim,
    hosts: Vec<Host>,
    clients: Vec<Client>,
    subscribers: Vec<Subscriber>,
    done: bool,
    /// Requests that were answered when the faults ended, and how long the next answer took.
    answered_at_rest: u64,
    first_answer: Option<Time>,
}

impl World {
    pub(super) fn new(seed: u64, bug: Option<Bug>, show: Show) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let voters: Vec<NodeId> = (1..=plan.nodes as u64).map(NodeId).collect();
        let all = (1..=(plan.nodes + plan.spares) as u64).map(NodeId);
        let founders = voters.iter().map(|id| operator::member(*id, None)).collect();
        let hosts = all
            .map(|id| {
                let drift_ppm = random.between(0, 400) as i64 - 200;
                let wrong = random.percent(plan.clocks_wrong_percent);
                let error_ms = if wrong { plan.clock_jump_ms } else { 500 };
                let offset_ms = random.between(0, 2 * error_ms) as i64 - error_ms as i64;
                Host::new(id, voters.clone(), NodeClock::new(drift_ppm, offset_ms))
            })
            .collect();
        let clients = (0..plan.clients).map(Client::new).collect();
        let subscribers = (0..plan.subscribers).map(Subscriber::new).collect();
        let sim = Sim {
            now: 0,
            queue: std::collections::BinaryHeap::new(),
            planned: 0,
            trace: Trace::new(show),
            cover: Coverage::default(),
            net: Net::new(plan.nodes + plan.spares, plan.net.clone()),
            oracle: Oracle::default(),
            electorate: Electorate::new(Membership::founded(founders)),
            operator: Operator::default(),
            provider: Provider::new(&plan.provider),
            bug,
            clock_bound: (0, 0),
            resting: false,
            failure: None,
            random,
            plan,
        };
        World {
            seed,
            sim,
            hosts,
            clients,
            subscribers,
            done: false,
            answered_at_rest: 0,
            first_answer: None,
        }
    }

    /// Lives until the end.
    pub(super) fn run(mut self) -> Report {
        self.begin();
        while !self.done && self.sim.failure.is_none() {
            let Some(std::cmp::Reverse(Planned { at, event, .. })) = self.sim.queue.pop() else {
                self.sim.fail("nothing is left to happen");
                break;
            };
            self.sim.now = at;
            let (kind, place) = event.kind();
            self.sim.trace.event(at, kind, place);
            self.take(event);
        }
        let sim = self.sim;
        Report {
            seed: self.seed,
            first_answer: self.first_answer.unwrap_or_default(),
            rest: sim.now.saturating_sub(sim.plan.faults_until),
            failure: sim.failure,
            trace_hash: sim.trace.hash(),
            events: sim.trace.events(),
            time: sim.now,
            coverage: sim.cover,
            tail: sim.trace.into_tail(),
        }
    }

    fn begin(&mut self) {
        let sim = &mut self.sim;
        let plan = format!("{:#?}", sim.plan);
        sim.say(|| plan);
        match sim.plan.nodes {
            3 => sim.cover.runs_of_three += 1,
            even if even.is_multiple_of(2) => sim.cover.runs_of_even += 1,
            _ => sim.cover.runs_of_more += 1,
        }
        for host in &mut self.hosts {
            host.start(sim);
        }
        for client in 0..self.clients.len() {
            let delay = SECOND + sim.random.below(SECOND);
            sim.after(delay, Event::Act { client });
        }
        for subscriber in 0..self.subscribers.len() {
            let delay = SECOND + sim.random.below(SECOND);
            sim.after(delay, Event::Follow { subscriber });
        }
        sim.after(0, Event::WatchClocks);
        sim.after(2 * SECOND, Event::Fault);
        if sim.plan.spares > 0 {
            sim.after(3 * SECOND, Event::Operate);
        }
        sim.after(sim.plan.faults_until, Event::Rest);
    }

    fn host(&mut self, id: NodeId) -> &mut Host {
        &mut self.hosts[id.0 as usize - 1]
    }

    fn take(&mut self, event: Event) {
        if let Some(id) = event.needs() {
            let host = self.host(id);
            if host.is_paused() {
                return host.held.push(event);
            }
        }
        let sim = &mut self.sim;
        match event {
            Event::Frame { from, to, bytes } => {
                sim.trace.mix(xxhash_rust::xxh3::xxh3_64(&bytes));
                // A node without its disk does not get past the hello.
                let stranger = [from, to].iter().any(|id| self.hosts[id.0 as usize - 1].wiped);
                sim.cover.frames_of_strangers += u64::from(stranger);
                if stranger && !sim.planted(Bug::WipedNodeBelieved) {
                    return;
                }
                self.hosts[to.0 as usize - 1].frame(sim, from, &bytes);
            }
            Event::LinkBroke { node, peer } => {
                let host = &mut self.hosts[node.0 as usize - 1];
                if host.up.is_some() {
                    sim.cover.links_broken += 1;
                    host.mail(sim, crate::core::Input::Unreachable(peer));
                }
            }
            Event::Node { node, life, duty } => {
                let host = &mut self.hosts[node.0 as usize - 1];
                if host.life == life && host.up.is_some() {
                    let freezes = matches!(duty, Duty::Freeze);
                    host.on(sim, duty);
                    let voted = host.has_voted() && sim.random.ppm(sim.plan.vote_crash_ppm);
                    let installs =
                        host.has_begun_to_install() && sim.random.ppm(sim.plan.install_crash_ppm);
                    let writes = freezes
                        && host.is_writing_checkpoint()
                        && sim.random.ppm(sim.plan.checkpoint_crash_ppm);
                    let any = sim.random.ppm(sim.plan.step_crash_ppm);
                    if !sim.resting && (voted || installs || writes || any) {
                        faults::crash_at_a_step(sim, host);
                    }
                }
            }
            Event::Asked { node, client, attempt, ask } => {
                self.hosts[node.0 as usize - 1].asked(sim, client, attempt, ask);
            }
            Event::Answered { client, attempt, reply } => {
                self.clients[client].answered(sim, attempt, Some(reply));
            }
            Event::GivenUp { client, attempt } => {
                self.clients[client].answered(sim, attempt, None);
            }
            Event::Act { client } => self.clients[client].act(sim),
            Event::Follow { subscriber } => self.subscribers[subscriber].ask(sim),
            Event::Followed { node, wanted } => {
                self.hosts[node.0 as usize - 1].followed(sim, wanted);
            }
            Event::Told { subscriber, attempt, heard } => {
                self.subscribers[subscriber].heard(sim, attempt, heard);
            }
            Event::Forsaken { subscriber, attempt } => {
                self.subscribers[subscriber].forsaken(sim, attempt);
            }
            Event::ProviderAsked { call } => provider_asked(sim, call),
            Event::Restart { node } => self.hosts[node.0 as usize - 1].start(sim),
            Event::Resume { node } => self.resume(node),
            Event::WatchClocks => {
                faults::watch_clocks(sim, &self.hosts);
                sim.after(SECOND, Event::WatchClocks);
            }
            Event::Operate => operator::operate(sim, &mut self.hosts),
            Event::Fault => faults::next(sim, &mut self.hosts),
            Event::Mend(mend) => faults::mend(sim, &mut self.hosts, mend),
            Event::Rest => self.rest(),
            Event::Settled => self.settled(),
        }
        electorate::judge(&mut self.sim, &self.hosts);
    }

    fn resume(&mut self, node: NodeId) {
        let sim = &mut self.sim;
        let host = &mut self.hosts[node.0 as usize - 1];
        if host.paused_until.is_none_or(|until| until > sim.now) {
            return;
        }
        host.paused_until = None;
        sim.say(|| format!("n{node} goes on"));
        // In the order in which it happened, and before anything that happens later.
        for event in std::mem::take(&mut host.held) {
            sim.after(0, event);
        }
    }

    /// Faults end. A minority may stay down for good.
    fn rest(&mut self) {
        let sim = &mut self.sim;
        sim.say(|| "faults end".into());
        sim.resting = true;
        self.answered_at_rest = answers(&sim.cover);
        // One call at a time takes its time.
        let tasks = self.hosts.iter().filter_map(|host| host.up.as_ref());
        let tasks = tasks.map(|process| process.state.payment_tasks()).max();
        sim.plan.rest += tasks.unwrap_or(0) * SECOND / 2;
        sim.net.mend_all();
        sim.net.quality.loss_ppm = 0;
        sim.net.quality.damage_ppm = 0;
        sim.net.quality.delay_mean_us = sim.net.quality.delay_mean_us.min(5 * MS);
        sim.plan.client_loss_ppm = 0;
        sim.plan.provider.request_lost_ppm = 0;
        sim.plan.provider.answer_lost_ppm = 0;
        sim.provider.calm();
        let mut lost = self.hosts.iter().filter(|host| host.log_damaged || host.damaged).count();
        for host in &mut self.hosts {
            host.disk.full = false;
            host.disk.slower = 0;
            host.disk.fail_sync = false;
            host.judge_space(sim, Space::Ample);
            // Where members change, the operator decides who is lost.
            let stays_down = sim.random.percent(10) && sim.plan.spares == 0;
            if stays_down && lost < minority(sim.plan.nodes) && !host.log_damaged && !host.damaged {
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
            let host = &mut self.hosts[node.0 as usize - 1];
            if host.up.is_none() && !host.damaged {
                host.restarting = false;
                host.restart_after(sim, MS);
            }
        }
        self.sim.after(SETTLED_EVERY, Event::Settled);
    }

    /// Machines that are no part of the cluster, or not any more, are turned off.
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
    fn settled(&mut self) {
        if self.first_answer.is_none() && answers(&self.sim.cover) > self.answered_at_rest {
            self.first_answer = Some(self.sim.now - self.sim.plan.faults_until);
        }
        self.retire();
        match self.unrest() {
            None => {
                self.done = true;
                let judged = self.last_checks();
                self.sim.check(judged);
                self.sim.say(|| "at rest".into());
            }
            Some(what) => {
                let sim = &mut self.sim;
                let election = 2 * sim.plan.core.election_ticks as u64 * sim.plan.core.tick_ms * MS;
                let served = self.first_answer.is_some();
                // An operation of a slow disk that began before has its time, too.
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
        let last = self.sim.oracle.last_index();
        for host in &mut self.hosts {
            let Some(process) = &mut host.up else {
                match host.damaged {
                    true => continue,
                    false => return Some(format!("node {} is down", host.id)),
                }
            };
            let state = &process.state;
            if state.applied_index() != last {
                let at = state.applied_index();
                return Some(format!("node {} is at index {at} of {last}", host.id));
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
            let checked = sim.oracle.check_all(&process.state, &*host.store);
            checked.map_err(|what| format!("n{}: {what}", host.id))?;
            digests.push(process.state.digest());
            for index in host.log.compacted().0 + 1..=sim.oracle.last_index() {
                if host.log.term(index) != sim.oracle.term(index) {
                    return Err(format!("node {} has another entry {index}", host.id));
                }
            }
        }
        let hosts = &self.hosts;
        let up = |id: NodeId| hosts[id.0 as usize - 1].up.is_some();
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
            // What a provider reported, the worker must not have charged as well.
            let by_worker = status == Status::Paid && !order.reported;
            if charged != usize::from(by_worker) {
                return Err(format!("order {id} is {status} and was charged {charged} times"));
            }
        }
        // A life in which nothing happened proves nothing.
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

/// Answers that needed a leader.
fn answers(cover: &Coverage) -> u64 {
    cover.answered + cover.reads + cover.refused_without_entry
}
