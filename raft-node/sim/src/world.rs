//! The loop: takes events in the order of simulated time. `rest` ends the run.

mod copy;
mod rest;

use engine::ids::NodeId;
use engine::level::NEWEST;
use raft_node::members::Membership;
use raft_node::simulation::Bug;

use super::client::Client;
use super::clock::NodeClock;
use super::coverage::Coverage;
use super::electorate::{Electorate, judge};
use super::event::Duty;
use super::faults;
use super::host::payments::provider_asked;
use super::host::{Host, place};
use super::net::Net;
use super::operator;
use super::operator::task::{Operator, member};
use super::oracle::Oracle;
use super::plan::Plan;
use super::provider::Provider;
use super::random::Random;
use super::subscriber::Subscriber;
use super::trace::{Show, Trace};
use crate::event::{Event, Planned};
use crate::report::Report;
use crate::sim::Sim;
use crate::time::{SECOND, Time};

pub(super) struct World {
    seed: u64,
    sim: Sim,
    hosts: Vec<Host>,
    clients: Vec<Client>,
    subscribers: Vec<Subscriber>,
    done: bool,
    /// Number of requests answered when the faults ended, and the time until the next answer.
    answered_at_rest: u64,
    first_answer: Option<Time>,
}

impl World {
    /// `change` adapts what the seed drew.
    pub(super) fn new(
        seed: u64,
        bug: Option<Bug>,
        show: Show,
        change: impl FnOnce(&mut Plan),
    ) -> World {
        let mut random = Random::new(seed);
        let mut plan = Plan::draw(&mut random);
        change(&mut plan);
        let voters: Vec<NodeId> = (1..=plan.nodes as u64).map(NodeId).collect();
        let all = (1..=(plan.nodes + plan.spares) as u64).map(NodeId);
        let addresses = all.clone().map(|id| (id, member(id, None).raft_addr)).collect();
        let founders = voters.iter().map(|id| member(*id, None)).collect();
        let hosts = all
            .map(|id| {
                // Machines that join later may have either build.
                let is_old =
                    plan.founded_at_level_0 && (id.0 as usize <= plan.nodes || random.percent(50));
                let speaks = if is_old { 0 } else { NEWEST };
                let drift_ppm = random.between(0, 400) as i64 - 200;
                let wrong = random.percent(plan.clocks_wrong_percent);
                let error_ms = if wrong { plan.clock_jump_ms } else { 500 };
                let offset_ms = random.between(0, 2 * error_ms) as i64 - error_ms as i64;
                Host::new(id, voters.clone(), NodeClock::new(drift_ppm, offset_ms), speaks)
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
            addresses,
            provider: Provider::new(&plan.provider),
            bug,
            clock_bound: (0, 0),
            slept: None,
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

    /// Runs until the end.
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
        sim.cover.runs_founded_at_level_0 += u64::from(sim.plan.founded_at_level_0);
        if sim.plan.spares > 0 || sim.plan.founded_at_level_0 {
            sim.after(3 * SECOND, Event::Operate);
        }
        sim.after(sim.plan.faults_until, Event::Rest);
    }

    fn host(&mut self, id: NodeId) -> &mut Host {
        &mut self.hosts[place(id)]
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
                // A node without its disk does not pass the hello.
                let stranger = [from, to].iter().any(|id| self.hosts[place(*id)].wiped);
                sim.cover.frames_of_strangers += u64::from(stranger);
                if stranger && !sim.planted(Bug::WipedNodeBelieved) {
                    return;
                }
                let speaks = self.hosts[place(from)].speaks;
                let address = &sim.addresses[&from];
                self.hosts[place(to)].is_told(from, address);
                self.hosts[place(to)].frame(sim, from, speaks, &bytes);
            }
            Event::LinkBroke { node, peer } => {
                let host = &mut self.hosts[place(node)];
                if host.up.is_some() {
                    sim.cover.links_broken += 1;
                    host.mail(sim, raft_node::core::Input::Unreachable(peer));
                }
            }
            Event::Node { node, life, duty } => {
                let host = &mut self.hosts[place(node)];
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
                self.hosts[place(node)].asked(sim, client, attempt, ask);
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
                self.hosts[place(node)].followed(sim, wanted);
            }
            Event::Told { subscriber, attempt, heard } => {
                self.subscribers[subscriber].heard(sim, attempt, heard);
            }
            Event::Forsaken { subscriber, attempt } => {
                self.subscribers[subscriber].forsaken(sim, attempt);
            }
            Event::ProviderAsked { call } => provider_asked(sim, call),
            Event::Restart { node } => self.hosts[place(node)].start(sim),
            Event::Resume { node } => self.resume(node),
            Event::WatchClocks => {
                faults::watch_clocks(sim, &self.hosts);
                self.hosts.iter().for_each(|host| host.watch_hanging_disk(sim));
                sim.after(SECOND, Event::WatchClocks);
            }
            Event::Operate => operator::operate(sim, &mut self.hosts),
            Event::Fault => faults::next(sim, &mut self.hosts),
            Event::Mend(mend) => faults::mend(sim, &mut self.hosts, mend),
            Event::Rest => self.rest(),
            Event::Settled => self.settled(),
        }
        judge::judge(&mut self.sim, &self.hosts);
    }

    fn resume(&mut self, node: NodeId) {
        let sim = &mut self.sim;
        let host = &mut self.hosts[place(node)];
        if host.paused_until.is_none_or(|until| until > sim.now) {
            return;
        }
        host.paused_until = None;
        host.awake_since = sim.now;
        sim.say(|| format!("n{node} goes on"));
        // In order, and before all later events.
        for event in std::mem::take(&mut host.held) {
            sim.after(0, event);
        }
    }
}
