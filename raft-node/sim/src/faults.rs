//! The schedule of faults: when each one comes, what it does, and how it ends.

mod links;
mod put_back;

use raft_node::core::clock::GAP_MS;
use raft_node::core::{Input, Space};
use raft_node::log::LogStore;

use self::links::{cut, links, swizzle};
use self::put_back::may_be_put_back;
use crate::event::{Event, Mend};
use crate::host::life::Crash;
use crate::host::{Host, place};
use crate::plan::FaultKind;
use crate::sim::{Sim, Slept};
use crate::time::{MS, SECOND};

/// Checks the replicated clock against a bound: at least two nodes' clocks must have been there at
/// some time. One wrong clock must have no effect.
pub(super) fn watch_clocks(sim: &mut Sim, hosts: &[Host]) {
    let mut walls: Vec<u64> = hosts.iter().map(|host| host.clock.now(sim.now).wall_ms).collect();
    walls.sort_unstable();
    let (seen_at, furthest) = sim.clock_bound;
    // No clock runs more than a tenth too fast.
    let passed = (sim.now - seen_at) * 11 / 10 / MS + 1;
    let second = walls[walls.len() - 2];
    sim.clock_bound = (sim.now, second.max(furthest + passed));
    let clock = sim.oracle.model.clock.0;
    if clock > sim.clock_bound.1 {
        let bound = sim.clock_bound.1;
        sim.fail(format!("the replicated clock is at {clock}, all clocks but one at {bound}"));
    }
    watch_sleep(sim);
}

/// Lets all machines sleep: their monotonic clocks stand still, their wall clocks go on. Once in a
/// run, so that [`watch_sleep`] knows when the time may be taken.
fn sleep_all(sim: &mut Sim, hosts: &mut [Host]) {
    // A cluster without any entry takes any time.
    if sim.slept.is_some() || sim.oracle.model.clock.0 == 0 {
        return;
    }
    sim.cover.sleeps_of_all += 1;
    watch_clocks(sim, hosts);
    let minutes = *sim.random.pick(&[5, 60, 60, 1_800]);
    sim.say(|| format!("all machines sleep for {minutes} minutes"));
    for host in hosts {
        host.clock.jump(minutes * 60_000);
    }
    sim.slept =
        Some(Slept { at: sim.now, clock_max: sim.clock_bound.1, needs_operator: minutes > 1_440 });
}

/// Checks that the time of a sleep is not taken at once, nor ever if it was longer than a day.
fn watch_sleep(sim: &mut Sim) {
    let Some(slept) = sim.slept else { return };
    let passed = (sim.now - slept.at) / MS;
    // A monotonic clock may run a tenth too fast, and the clock is corrected by a hundredth more.
    let bound = slept.clock_max + passed * 112 / 100 + GAP_MS;
    let clock = sim.oracle.model.clock.0;
    if clock <= bound {
        return;
    }
    if slept.needs_operator || passed < 50_000 {
        return sim.fail(format!(
            "the replicated clock is at {clock}, {passed} ms after a sleep that began at {}",
            slept.clock_max
        ));
    }
    sim.cover.clock_steps += 1;
}

/// How many nodes may be lost for good.
pub(super) fn minority(nodes: usize) -> usize {
    (nodes - 1) / 2
}

/// Injects the next fault and plans the one after it.
pub(super) fn next(sim: &mut Sim, hosts: &mut [Host]) {
    if sim.resting || sim.plan.faults.is_empty() {
        return;
    }
    let kind = *sim.random.pick(&sim.plan.faults);
    sim.say(|| format!("fault: {kind:?}"));
    inject(sim, hosts, kind);
    let delay = 50 * MS + sim.random.waiting(sim.plan.fault_every_us);
    sim.after(delay, Event::Fault);
}

fn inject(sim: &mut Sim, hosts: &mut [Host], kind: FaultKind) {
    let some = sim.random.index(hosts.len());
    let leader = hosts.iter().position(Host::leads);
    match kind {
        FaultKind::Isolate
        | FaultKind::OneWay
        | FaultKind::Split
        | FaultKind::Bridge
        | FaultKind::Ring
        | FaultKind::SingleLink => {
            let links = links(sim, hosts.len(), kind, leader.unwrap_or(some));
            cut(sim, &links);
            let lasts = sim.fault_lasts();
            sim.after(lasts, Event::Mend(Mend::Links(links)));
        }
        FaultKind::Flap => {
            let links = links(sim, hosts.len(), FaultKind::SingleLink, some);
            sim.cover.flaps += 1;
            let left = sim.random.between(5, 30) as u32;
            sim.after(0, Event::Mend(Mend::Flap { links, left, cut: false }));
        }
        FaultKind::Swizzle => swizzle(sim, hosts.len()),
        FaultKind::Storm => storm(sim),
        FaultKind::Kill => crash_some(sim, hosts, Crash::Kill),
        FaultKind::PowerCut => crash_some(sim, hosts, Crash::PowerCut),
        FaultKind::CrashLeader => {
            let how = any_crash(sim);
            crash(sim, &mut hosts[leader.unwrap_or(some)], how);
        }
        FaultKind::CrashAll => {
            sim.cover.crashes_of_all += 1;
            for host in hosts {
                crash(sim, host, Crash::PowerCut);
            }
        }
        FaultKind::OrderlyStop => hosts[some].stop(sim),
        FaultKind::Pause => {
            for _ in 0..sim.random.between(1, hosts.len() as u64) {
                let some = sim.random.index(hosts.len());
                pause(sim, &mut hosts[some]);
            }
        }
        FaultKind::PauseLeader => {
            sim.cover.leader_pauses += u64::from(leader.is_some());
            pause(sim, &mut hosts[leader.unwrap_or(some)]);
        }
        FaultKind::SlowDisk | FaultKind::FullDisk | FaultKind::FailSync => {
            spoil_disk(sim, &mut hosts[some], kind);
        }
        FaultKind::HangDisk => {
            // Half of the time it is the leader's.
            let place = leader.filter(|_| sim.random.percent(50)).unwrap_or(some);
            hang_disk(sim, &mut hosts[place]);
        }
        FaultKind::LowDisk => {
            // One of them, or most.
            let share = *sim.random.pick(&[0, 60, 100]);
            for (at, host) in hosts.iter_mut().enumerate() {
                if at == some || sim.random.percent(share) {
                    spoil_disk(sim, host, kind);
                }
            }
        }
        FaultKind::DamageLog => damage_log(sim, hosts, some),
        FaultKind::DamageCheckpoint => damage_checkpoint(sim, &mut hosts[some]),
        FaultKind::DamageSnapshot => {
            hosts[some].damage_snapshot(sim);
            // Half of the time the snapshot is needed at once.
            if sim.random.percent(50) {
                damage_checkpoint(sim, &mut hosts[some]);
            }
        }
        FaultKind::MoveAddress => move_addresses(sim, hosts, some),
        FaultKind::PutBack => put_back(sim, hosts, some),
        FaultKind::ClockJump => {
            // Earlier readings of the clocks count, too.
            watch_clocks(sim, hosts);
            let by = sim.random.below(sim.plan.clock_jump_ms) as i64;
            if sim.random.percent(50) {
                sim.cover.clock_jumps_forwards += 1;
                hosts[some].clock.jump(by);
            } else {
                sim.cover.clock_jumps_backwards += 1;
                hosts[some].clock.jump(-by);
            }
        }
        FaultKind::ClockDrift => {
            sim.cover.clocks_drifting += 1;
            let drift_ppm = sim.random.between(0, 200_000) as i64 - 100_000;
            hosts[some].clock.drift(sim.now, drift_ppm);
        }
        FaultKind::SleepAll => sleep_all(sim, hosts),
        FaultKind::Transfer => {
            if let Some(leader) = leader {
                sim.cover.transfers += 1;
                let to = sim.random.percent(70).then(|| hosts[some].id);
                hosts[leader].mail(sim, Input::TransferLeader(to));
            }
        }
    }
}

fn storm(sim: &mut Sim) {
    sim.cover.storms += 1;
    let before = sim.net.quality.clone();
    let quality = &mut sim.net.quality;
    quality.loss_ppm = sim.random.below(500_000);
    quality.duplicate_ppm = sim.random.below(50_000);
    let delay_ms_max = *sim.random.pick(&[20, 500, 2_000]);
    quality.delay_mean_us = sim.random.below(delay_ms_max * MS);
    quality.reorders = true;
    let lasts = sim.fault_lasts();
    sim.after(lasts, Event::Mend(Mend::Quality(Box::new(before))));
}

fn any_crash(sim: &mut Sim) -> Crash {
    match sim.random.percent(50) {
        true => Crash::Kill,
        false => Crash::PowerCut,
    }
}

/// Crashes a node and plans its restart.
pub(super) fn crash(sim: &mut Sim, host: &mut Host, how: Crash) {
    if host.up.is_some() {
        host.crash(sim, how);
        let delay = sim.random.between(MS, sim.plan.down_us + MS);
        host.restart_after(sim, delay);
    }
}

/// Crashes a node right after a step.
pub(super) fn crash_at_a_step(sim: &mut Sim, host: &mut Host) {
    sim.cover.crashes_at_a_step += 1;
    let how = any_crash(sim);
    if sim.random.percent(50) {
        // It restarts at once, while its messages are still on their way.
        host.crash(sim, how);
        let delay = 1 + sim.random.waiting(2 * MS);
        return host.restart_after(sim, delay);
    }
    crash(sim, host, how);
}

fn crash_some(sim: &mut Sim, hosts: &mut [Host], how: Crash) {
    let count = sim.random.between(1, hosts.len() as u64 - 1);
    for _ in 0..count {
        let some = sim.random.index(hosts.len());
        crash(sim, &mut hosts[some], how);
    }
}

fn pause(sim: &mut Sim, host: &mut Host) {
    if host.up.is_none() || host.is_paused() {
        return;
    }
    sim.cover.pauses += 1;
    let lasts = sim.random.between(10 * MS, 20 * SECOND).min(10 * sim.plan.fault_lasts_us);
    sim.say(|| format!("n{} pauses for {} ms", host.id, lasts / MS));
    host.paused_until = Some(sim.now + lasts);
    sim.after(lasts, Event::Resume { node: host.id });
}

fn spoil_disk(sim: &mut Sim, host: &mut Host, kind: FaultKind) {
    let lasts = sim.fault_lasts();
    match kind {
        FaultKind::SlowDisk => {
            sim.cover.disks_slow += 1;
            host.disk.slower = sim.random.between(5, 500);
            sim.after(lasts, Event::Mend(Mend::SlowDisk(host.id)));
        }
        FaultKind::FullDisk => {
            host.disk.full = true;
            if sim.random.percent(50) {
                host.want_snapshot();
            }
            sim.after(lasts, Event::Mend(Mend::FullDisk(host.id)));
        }
        FaultKind::LowDisk => {
            let space = *sim.random.pick(&[Space::Low, Space::Exhausted]);
            sim.cover.disks_low += u64::from(space == Space::Low);
            sim.cover.disks_exhausted += u64::from(space == Space::Exhausted);
            host.judge_space(sim, space);
            sim.after(lasts, Event::Mend(Mend::LowDisk(host.id)));
        }
        _ => host.disk.fail_sync = true,
    }
}

fn hang_disk(sim: &mut Sim, host: &mut Host) {
    if host.disk.hangs {
        return;
    }
    sim.cover.disks_hung += 1;
    // Some hang until the node gives its disk up.
    let lasts = sim.fault_lasts() * *sim.random.pick(&[1, 1, 10]);
    host.hang_disk(sim);
    sim.after(lasts, Event::Mend(Mend::HungDisk(host.id)));
}

/// Flips a bit in a part of the log that the watermark covers, of a minority of the nodes.
fn damage_log(sim: &mut Sim, hosts: &mut [Host], some: usize) {
    let lost = hosts.iter().filter(|host| host.is_lost()).count();
    let host = &mut hosts[some];
    let marked = host.log.marked();
    let first = host.log.first_index();
    // Where members change, the operator decides which node is lost.
    if sim.plan.spares > 0 || lost >= minority(sim.plan.nodes) || host.log_damaged || marked < first
    {
        return;
    }
    host.log_damaged = true;
    let at = sim.random.between(first, marked);
    sim.say(|| format!("n{}: entry {at} is damaged", host.id));
    host.log.damage(at);
    if sim.random.percent(70) {
        crash(sim, host, Crash::Kill);
    }
}

/// Lets nodes come back at other addresses: one of them, or most at once.
fn move_addresses(sim: &mut Sim, hosts: &mut [Host], some: usize) {
    // An operator who adds a node says where it is, and would have to be told.
    if sim.plan.spares > 0 {
        return;
    }
    let share = *sim.random.pick(&[0, 0, 60]);
    for (at, host) in hosts.iter_mut().enumerate() {
        if at == some || sim.random.percent(share) {
            let how = any_crash(sim);
            crash(sim, host, how);
            host.move_address(sim);
        }
    }
}

/// Copies the directory of a node, or puts a copy back.
fn put_back(sim: &mut Sim, hosts: &mut [Host], some: usize) {
    // Where members change, the operator decides which node is lost.
    if sim.plan.spares > 0 || hosts[some].is_lost() {
        return;
    }
    let found = may_be_put_back(hosts, minority(sim.plan.nodes));
    if found.is_empty() || sim.random.percent(20) {
        crash(sim, &mut hosts[some], Crash::Kill);
        return hosts[some].copy_directory(sim);
    }
    let victim = &mut hosts[*sim.random.pick(&found)];
    crash(sim, victim, Crash::Kill);
    victim.put_copy_back(sim);
}

/// Flips a bit in a row of the checkpoint, while the node is down.
fn damage_checkpoint(sim: &mut Sim, host: &mut Host) {
    crash(sim, host, Crash::Kill);
    let keys = host.store.keys();
    if keys.is_empty() || host.up.is_some() {
        return;
    }
    let key = sim.random.pick(&keys).clone();
    let bit = sim.random.next();
    host.disk.checkpoint_damaged = host.store.damage(&key, |value| {
        if !value.is_empty() {
            let bit = bit % (value.len() as u64 * 8);
            value[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    });
}

/// Ends a fault, or continues it.
pub(super) fn mend(sim: &mut Sim, hosts: &mut [Host], mend: Mend) {
    // At rest everything has been mended already.
    if sim.resting {
        return;
    }
    match mend {
        Mend::Links(links) => {
            for (from, to) in links {
                sim.net.mend(from, to);
            }
        }
        Mend::Cut(links) => cut(sim, &links),
        Mend::Flap { links, left, cut: is_cut } => {
            for (from, to) in &links {
                match is_cut {
                    true => sim.net.mend(*from, *to),
                    false => sim.net.cut(*from, *to),
                }
            }
            if left > 0 || !is_cut {
                let left = left.saturating_sub(1);
                let event = Event::Mend(Mend::Flap { links, left, cut: !is_cut });
                sim.after(200 * MS, event);
            }
        }
        Mend::Quality(quality) => sim.net.quality = *quality,
        Mend::SlowDisk(node) => hosts[place(node)].disk.slower = 0,
        Mend::HungDisk(node) => hosts[place(node)].mend_hanging_disk(sim),
        Mend::LowDisk(node) => hosts[place(node)].judge_space(sim, Space::Ample),
        Mend::FullDisk(node) => hosts[place(node)].disk.full = false,
    }
}
