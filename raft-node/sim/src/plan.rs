//! Draws what a seed decides before the run: the number of nodes and clients, the quality of
//! network and disks, the faults and their rates, and the nodes' configuration.
//!
//! Every seed draws its own subset of faults and its own rates (swarm testing). A run with
//! everything at once hides bugs that need one fault for long.

use engine::order::PaymentMethod;
use raft_node::config::{CoreConfig, Timings};
use raft_node::payment;

use super::net::Quality;
use super::random::Random;
use crate::time::{MS, SECOND, Time};

/// Kinds of faults that the schedule injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    Isolate,
    OneWay,
    Split,
    Bridge,
    Ring,
    SingleLink,
    Flap,
    Swizzle,
    Storm,
    Kill,
    PowerCut,
    CrashLeader,
    CrashAll,
    OrderlyStop,
    Pause,
    PauseLeader,
    SlowDisk,
    FullDisk,
    LowDisk,
    FailSync,
    HangDisk,
    DamageLog,
    DamageCheckpoint,
    DamageSnapshot,
    PutBack,
    MoveAddress,
    ClockJump,
    ClockDrift,
    SleepAll,
    Transfer,
}

const ALL_FAULTS: [FaultKind; 30] = [
    FaultKind::Isolate,
    FaultKind::OneWay,
    FaultKind::Split,
    FaultKind::Bridge,
    FaultKind::Ring,
    FaultKind::SingleLink,
    FaultKind::Flap,
    FaultKind::Swizzle,
    FaultKind::Storm,
    FaultKind::Kill,
    FaultKind::PowerCut,
    FaultKind::CrashLeader,
    FaultKind::CrashAll,
    FaultKind::OrderlyStop,
    FaultKind::Pause,
    FaultKind::PauseLeader,
    FaultKind::SlowDisk,
    FaultKind::FullDisk,
    FaultKind::LowDisk,
    FaultKind::FailSync,
    FaultKind::HangDisk,
    FaultKind::DamageLog,
    FaultKind::DamageCheckpoint,
    FaultKind::DamageSnapshot,
    FaultKind::PutBack,
    FaultKind::MoveAddress,
    FaultKind::ClockJump,
    FaultKind::ClockDrift,
    FaultKind::SleepAll,
    FaultKind::Transfer,
];

/// Operations of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Place,
    /// Several orders at once, atomic or not.
    Batch,
    /// The request of an earlier order again.
    Replay,
    /// Another request under an earlier order's key.
    Conflict,
    Cancel,
    SetStock,
    ChangeProduct,
    Archive,
    CreateProduct,
    CreateUser,
    ReadOrder,
    ReadProduct,
    ReadKey,
    List,
    Hold,
    /// An order that consumes a hold.
    Consume,
    Release,
    Extend,
    ReadHold,
    ReadLedger,
    ReadReport,
    /// A provider's report of a payment, for an order or before it.
    Report,
    Fence,
    Adjust,
    /// Payments are paused or resumed.
    SetPayments,
    /// A token is created or revoked, or the mode is set.
    Tokens,
    /// An operator ends an order, or makes its payment due.
    Operate,
    /// Money and units of an order go back.
    Refund,
    /// A command under a key that is in no row.
    Keyed,
}

/// The mix of client operations.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    /// Operations with their weights.
    pub(super) operations: [(Operation, u64); 29],
    pub(super) keyed_percent: u64,
    pub(super) stale_percent: u64,
    /// Weights of the payment methods mock, webhook and none.
    pub(super) methods: [u64; 3],
    pub(super) stock_max: u64,
    pub(super) quantity_max: u64,
}

/// The behaviour of the payment provider.
#[derive(Clone, Debug)]
pub(super) struct ProviderPlan {
    pub(super) success_ppm: u32,
    pub(super) error_ppm: u32,
    pub(super) delay_ms: (u64, u64),
    pub(super) request_lost_ppm: u64,
    pub(super) answer_lost_ppm: u64,
    pub(super) doubled_ppm: u64,
    /// Payments that are decided late, and how late at most.
    pub(super) pending_ppm: u64,
    pub(super) pending_ms_max: u64,
    /// The payment method of its orders.
    pub(super) method: PaymentMethod,
    /// It can be asked about a key without charging.
    pub(super) looks_up: bool,
    /// The worker guards its calls with a breaker.
    pub(super) has_breaker: bool,
}

/// The speed of the disks, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct DiskPlan {
    pub(super) write_us: u64,
    pub(super) sync_us: u64,
    pub(super) checkpoint_us: u64,
    /// Time to read a kibibyte of a snapshot.
    pub(super) read_us_per_kib: u64,
    /// Percentage of power cuts in which an unsynced record survives, drawn for each record.
    pub(super) kept_percent: u64,
}

/// Everything that a seed decides before the run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    /// Nodes that may join.
    pub(super) spares: usize,
    pub(super) clients: usize,
    /// Number of subscribers, and the largest page that they request.
    pub(super) subscribers: usize,
    pub(super) event_page_max: u64,
    pub(super) products: u64,
    /// When faults and new requests end.
    pub(super) faults_until: Time,
    /// How long the cluster then has to come to rest.
    pub(super) rest: Time,
    pub(super) think_us: u64,
    pub(super) net: Quality,
    /// Loss between clients and nodes.
    pub(super) client_loss_ppm: u64,
    pub(super) faults: Vec<FaultKind>,
    pub(super) fault_every_us: u64,
    pub(super) fault_lasts_us: u64,
    pub(super) down_us: u64,
    /// Chance of a crash after each step of a node.
    pub(super) step_crash_ppm: u64,
    /// Chance of a crash right after a vote.
    pub(super) vote_crash_ppm: u64,
    /// Chance of a crash in the middle of an installation.
    pub(super) install_crash_ppm: u64,
    /// Chance of a crash while a checkpoint is written.
    pub(super) checkpoint_crash_ppm: u64,
    /// The longest time between an event and the step that takes it.
    pub(super) step_us_max: u64,
    /// Mean duration of applying an entry.
    pub(super) apply_us: u64,
    pub(super) clock_jump_ms: u64,
    /// Percentage of nodes whose clock is wrong from the beginning.
    pub(super) clocks_wrong_percent: u64,
    pub(super) core: CoreConfig,
    pub(super) payments: payment::Config,
    pub(super) checkpoint_interval_ms: u64,
    pub(super) resident_chunks_max: usize,
    /// Event retention: a number, and milliseconds.
    pub(super) events_kept_max: u64,
    pub(super) events_kept_ms: u64,
    pub(super) snapshot_log_bytes: u64,
    pub(super) snapshot_entries_max: u64,
    pub(super) snapshot_part_bytes: usize,
    /// Speed of a link for parts of snapshots, in bytes a millisecond.
    pub(super) link_bytes_per_ms: u64,
    pub(super) disk: DiskPlan,
    pub(super) provider: ProviderPlan,
    pub(super) mix: Mix,
    pub(super) request_timeout_ms: u64,
    pub(super) attempts_max: u32,
    pub(super) payment_attempts_max: u32,
    pub(super) payment_deadline_ms: u64,
    pub(super) open_orders_max: u64,
    pub(super) hold_ttl_max_ms: u64,
    pub(super) active_holds_max: u64,
    pub(super) park_ms: u64,
    pub(super) parked_max: u64,
    /// A build before levels founded the cluster. Its nodes get the newest build one by one, each
    /// when it starts again, and an operator asks for the newest level all the while.
    pub(super) founded_at_level_0: bool,
}

impl Plan {
    pub(super) fn draw(random: &mut Random) -> Plan {
        let nodes = *random.pick(&[3, 3, 3, 4, 5, 5, 6, 7]);
        let faults_until = random.between(30, 240) * SECOND;
        let clients = random.between(1, 20) as usize;
        // Few clients pause only briefly, so a run has some hundred to two thousand requests.
        let requests = random.between(200, 2_500);
        let think_us = faults_until * clients as u64 / requests;
        let spares = *random.pick(&[0, 0, 0, 2, 4]);
        let founded_at_level_0 = random.percent(40);
        Plan {
            nodes,
            spares,
            clients,
            subscribers: random.between(1, 3) as usize,
            event_page_max: *random.pick(&[1, 10, 100, 1_000]),
            products: random.between(2, 10),
            faults_until,
            rest: 45 * SECOND,
            think_us,
            net: quality(random),
            client_loss_ppm: *random.pick(&[0, 0, 2_000, 20_000]),
            faults: faults(random),
            fault_every_us: random.between(500, 8_000) * MS,
            fault_lasts_us: random.between(200, 8_000) * MS,
            down_us: random.between(50, 6_000) * MS,
            step_crash_ppm: *random.pick(&[0, 0, 20, 100, 300]),
            vote_crash_ppm: *random.pick(&[0, 0, 300_000, 1_000_000]),
            install_crash_ppm: *random.pick(&[0, 300_000]),
            checkpoint_crash_ppm: *random.pick(&[0, 0, 20_000]),
            step_us_max: *random.pick(&[50, 300, 2_000, 30_000]),
            apply_us: *random.pick(&[50, 50, 500, 2_000]),
            clock_jump_ms: *random.pick(&[100, 5_000, 3_600_000, 3_600_000]),
            clocks_wrong_percent: *random.pick(&[0, 0, 30, 60]),
            core: core(random),
            payments: payments(random),
            checkpoint_interval_ms: *random.pick(&[100, 300, 1_000, 5_000]),
            resident_chunks_max: *random.pick(&[1, 2, 1_000]),
            events_kept_max: *random.pick(&[0, 300, 1_000, 1 << 22]),
            events_kept_ms: *random.pick(&[1_000, 20_000, 604_800_000, 604_800_000]),
            snapshot_log_bytes: *random.pick(&[u64::MAX, 20_000, 100_000]),
            snapshot_entries_max: *random.pick(&[0, 10, 50, 50, 100]),
            snapshot_part_bytes: *random.pick(&[500, 2_000, 20_000]),
            link_bytes_per_ms: *random.pick(&[u64::MAX, 100, 20, 5]),
            disk: DiskPlan {
                write_us: random.between(10, 300),
                sync_us: random.between(100, 10_000),
                checkpoint_us: random.between(1_000, 100_000),
                read_us_per_kib: *random.pick(&[0, 0, 1_000, 20_000]),
                kept_percent: *random.pick(&[0, 50, 90]),
            },
            provider: provider(random, founded_at_level_0),
            mix: mix(random),
            request_timeout_ms: random.between(500, 5_000),
            attempts_max: random.between(1, 6) as u32,
            payment_attempts_max: random.between(1, 3) as u32,
            payment_deadline_ms: random.between(500, 15_000),
            open_orders_max: *random.pick(&[5, 50, 1_000_000, 1_000_000]),
            hold_ttl_max_ms: random.between(200, 10_000),
            active_holds_max: *random.pick(&[3, 1_000_000]),
            park_ms: random.between(100, 15_000),
            parked_max: *random.pick(&[2, 1_000]),
            founded_at_level_0,
        }
    }
}

impl Plan {
    /// Puts five nodes far apart, with the timings for that.
    pub(super) fn widen(&mut self, round_trip_ms: u64, timings: Timings, quiet: bool) {
        (self.nodes, self.spares) = (5, 0);
        self.core = CoreConfig::default().with_timings(timings);
        self.net = Quality {
            delay_min_us: round_trip_ms * MS / 2,
            delay_mean_us: round_trip_ms * MS / 20,
            loss_ppm: self.net.loss_ppm.min(10_000),
            ..self.net.clone()
        };
        self.request_timeout_ms = 5_000;
        self.rest = 120 * SECOND;
        if quiet {
            self.faults.clear();
            self.net.loss_ppm = 0;
            (self.step_crash_ppm, self.vote_crash_ppm) = (0, 0);
            (self.install_crash_ppm, self.checkpoint_crash_ppm) = (0, 0);
        }
    }
}

fn faults(random: &mut Random) -> Vec<FaultKind> {
    // One seed in ten has no scheduled fault at all: its failures need none.
    if random.percent(10) {
        return Vec::new();
    }
    let share = *random.pick(&[15, 30, 60, 100]);
    ALL_FAULTS.into_iter().filter(|_| random.percent(share)).collect()
}

fn quality(random: &mut Random) -> Quality {
    Quality {
        loss_ppm: *random.pick(&[0, 0, 1_000, 10_000, 50_000, 300_000]),
        duplicate_ppm: *random.pick(&[0, 0, 5_000, 50_000]),
        damage_ppm: *random.pick(&[0, 0, 1_000]),
        delay_min_us: random.between(50, 500),
        delay_mean_us: *random.pick(&[100, 1_000, 5_000, 20_000]),
        reorders: random.percent(50),
    }
}

/// Production's settings, with some bounds so small that runs reach them.
fn core(random: &mut Random) -> CoreConfig {
    let mut config = CoreConfig::default();
    if random.percent(35) {
        // Elections come soon, and candidates often stand at the same time.
        config.heartbeat_ticks = 1;
        config.election_ticks = random.between(2, 5) as usize;
    }
    if random.percent(25) {
        config.batch_commands_max = random.between(1, 4) as usize;
    }
    if random.percent(25) {
        config.batch_bytes_max = random.between(64, 512) as usize;
    }
    if random.percent(25) {
        config.append_message_bytes_max = random.between(0, 500);
        config.append_messages_in_flight_max = random.between(1, 4) as usize;
    }
    if random.percent(25) {
        config.uncommitted_bytes_max = random.between(200, 2_000);
        config.append_message_bytes_max =
            config.append_message_bytes_max.min(config.uncommitted_bytes_max);
    }
    if random.percent(25) {
        config.committed_bytes_per_ready_max = random.between(1, 500);
    }
    if random.percent(25) {
        config.entry_cache_bytes = random.between(1, 2_000) as usize;
    }
    config.promote_lag_entries_max = *random.pick(&[1, 16, 128]);
    if random.percent(25) {
        config.appends_in_flight_max = random.between(1, 8) as usize;
    }
    if random.percent(25) {
        config.outstanding_max = random.between(1, 4) as usize;
    }
    if random.percent(25) {
        config.forwarded_max = random.between(1, 4) as usize;
    }
    if random.percent(25) {
        config.resend_after_ms = random.between(50, 300);
    }
    if random.percent(25) {
        config.read_retry_after_ms = random.between(50, 100);
    }
    config.log_margin_entries = *random.pick(&[0, 0, 5, 1_000]);
    if random.percent(25) {
        config.handed_out_bytes_max = random.between(0, 2_000) as usize;
    }
    if random.percent(10) {
        config.apply_lag_entries_max = random.between(1, 10);
    }
    config
}

fn payments(random: &mut Random) -> payment::Config {
    let call_timeout_ms = random.between(100, 3_000);
    payment::Config {
        backoff_ms: vec![random.between(10, 300), random.between(100, 1_000)],
        look_up_waits_ms: vec![random.between(10, 300), random.between(100, 3_000)],
        lease_ms: call_timeout_ms + random.between(1, 3_000),
        call_timeout_ms,
        calls_max: *random.pick(&[1, 4, 10_000]),
        batch_max: *random.pick(&[1, 3, 1_000]),
        poll_ms: random.between(20, 100),
    }
}

fn provider(random: &mut Random, founded_at_level_0: bool) -> ProviderPlan {
    let low = random.between(1, 200);
    ProviderPlan {
        success_ppm: *random.pick(&[0, 300_000, 800_000, 1_000_000]),
        error_ppm: *random.pick(&[0, 0, 200_000]),
        delay_ms: (low, low + random.between(0, 2_000)),
        request_lost_ppm: *random.pick(&[0, 20_000, 200_000]),
        answer_lost_ppm: *random.pick(&[0, 20_000, 200_000]),
        doubled_ppm: *random.pick(&[0, 50_000]),
        pending_ppm: *random.pick(&[0, 100_000, 500_000]),
        pending_ms_max: *random.pick(&[50, 1_000, 20_000]),
        // Level 0 knows no other method.
        method: match founded_at_level_0 || random.percent(30) {
            true => PaymentMethod::Mock,
            false => PaymentMethod::Gateway,
        },
        looks_up: random.percent(70),
        has_breaker: random.percent(40),
    }
}

fn mix(random: &mut Random) -> Mix {
    let mut weight = |from: u64, to: u64| random.between(from, to);
    Mix {
        operations: [
            (Operation::Place, weight(20, 60)),
            (Operation::Batch, weight(0, 10)),
            (Operation::Replay, weight(0, 10)),
            (Operation::Conflict, weight(0, 4)),
            (Operation::Cancel, weight(0, 20)),
            (Operation::SetStock, weight(0, 6)),
            (Operation::ChangeProduct, weight(0, 4)),
            (Operation::Archive, weight(0, 1)),
            (Operation::CreateProduct, weight(0, 2)),
            (Operation::CreateUser, weight(0, 2)),
            (Operation::ReadOrder, weight(5, 30)),
            (Operation::ReadProduct, weight(5, 30)),
            (Operation::ReadKey, weight(0, 15)),
            (Operation::List, weight(0, 8)),
            (Operation::Hold, weight(0, 20)),
            (Operation::Consume, weight(0, 15)),
            (Operation::Release, weight(0, 5)),
            (Operation::Extend, weight(0, 5)),
            (Operation::ReadHold, weight(0, 8)),
            (Operation::ReadLedger, weight(0, 8)),
            (Operation::ReadReport, weight(0, 4)),
            (Operation::Report, weight(0, 20)),
            (Operation::Fence, weight(0, 4)),
            (Operation::Adjust, weight(0, 8)),
            (Operation::SetPayments, weight(0, 2)),
            (Operation::Tokens, weight(0, 4)),
            (Operation::Operate, weight(0, 4)),
            (Operation::Refund, weight(0, 6)),
            (Operation::Keyed, weight(0, 8)),
        ],
        keyed_percent: weight(50, 100),
        stale_percent: weight(0, 50),
        methods: [weight(1, 8), weight(0, 4), weight(0, 4)],
        stock_max: weight(5, 300),
        quantity_max: weight(1, 6),
    }
}
