//! The metrics of `/metrics`.
//!
//! Business counters are part of the replicated state, so every node reports the same values: read
//! them from one node, or take the maximum, never the sum. Latencies belong to this node alone. No
//! label has anything that a client chooses, nor an id except that of a member.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::totals::Totals;
use hyper::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use raft_node::Handle;
use raft_node::payment::GatewayState;

use crate::events::Feed;
use crate::process::Process;
use crate::settings::Settings;
use crate::tls::HttpTls;

/// The content type of `/metrics`.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bucket bounds of latencies, in seconds.
const BUCKETS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    route: &'static str,
    status: u16,
}

/// How events reach a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// A stream of events over HTTP.
    Sse,
    /// A WebSocket.
    Websocket,
}

#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Over {
    transport: &'static str,
}

impl From<Transport> for Over {
    fn from(transport: Transport) -> Over {
        let transport = match transport {
            Transport::Sse => "sse",
            Transport::Websocket => "websocket",
        };
        Over { transport }
    }
}

/// A part of the node that anybody may use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Open {
    what: &'static str,
}

/// A flag of the node that is only for trials.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Flag {
    flag: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Anonymous {
    route: &'static str,
}

type Latencies = Family<Answered, Histogram, fn() -> Histogram>;

/// All metrics of a server.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: Latencies,
    reservations: Histogram,
    sent: Family<Over, Counter>,
    cut_off: Family<Over, Counter>,
    signatures_refused: Counter,
    anonymous: Family<Anonymous, Counter>,
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// Registers all metrics.
    pub(crate) fn new(handle: Handle, feed: Arc<Feed>, settings: &Settings) -> Metrics {
        let mut registry = Registry::default();
        let requests = Latencies::new_with_constructor(histogram);
        let reservations = histogram();
        registry.register_with_unit(
            "http_request_duration",
            "Time from reading the head of a request to its answer",
            Unit::Seconds,
            requests.clone(),
        );
        registry.register_with_unit(
            "inventory_reserve_latency",
            "Time from proposing an order to its outcome",
            Unit::Seconds,
            reservations.clone(),
        );
        let (sent, cut_off) = (Family::default(), Family::default());
        registry.register("events_sent", "Events sent to subscribers", Family::clone(&sent));
        registry.register(
            "event_subscribers_cut_off",
            "Subscribers that were closed because they read too slowly",
            Family::clone(&cut_off),
        );
        let signatures_refused = Counter::default();
        registry.register(
            "webhook_signatures_refused",
            "Payment webhooks without a signature that this node accepts",
            signatures_refused.clone(),
        );
        let anonymous = Family::default();
        registry.register(
            "holdfast_anonymous_requests",
            "Requests without credentials that the mode `required` would refuse",
            Family::clone(&anonymous),
        );
        let open: Family<Open, Gauge> = Family::default();
        let help = "1 for each part of this node that is open to everybody who reaches it";
        registry.register("holdfast_insecure", help, open.clone());
        for &what in &settings.insecure {
            open.get_or_create(&Open { what }).set(1);
        }
        let flags: Family<Flag, Gauge> = Family::default();
        let help = "1 for each flag of this node that is only for trials";
        registry.register("holdfast_unsafe_setting", help, flags.clone());
        for &flag in &settings.unsafe_settings {
            flags.get_or_create(&Flag { flag }).set(1);
        }
        registry.register_collector(Box::new(Node(handle, feed, settings.tls.clone())));
        Metrics { registry, requests, reservations, sent, cut_off, signatures_refused, anonymous }
    }

    /// Counts an answered request.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: &'static str,
        status: u16,
        took: Duration,
    ) {
        let labels = Answered { method: known(method), route, status };
        self.requests.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Counts an order that the log decided.
    pub(crate) fn reserved(&self, took: Duration) {
        self.reservations.observe(took.as_secs_f64());
    }

    /// Counts events that a subscriber's connection took.
    pub(crate) fn events_sent(&self, transport: Transport, count: u64) {
        self.sent.get_or_create(&transport.into()).inc_by(count);
    }

    /// Counts a subscriber that was disconnected because it did not read in time.
    pub(crate) fn cut_off(&self, transport: Transport) {
        self.cut_off.get_or_create(&transport.into()).inc();
    }

    /// Counts a webhook whose signature was refused.
    pub(crate) fn signature_refused(&self) {
        self.signatures_refused.inc();
    }

    /// Counts a request without credentials, while they are optional.
    pub(crate) fn anonymous(&self, route: &'static str) {
        self.anonymous.get_or_create(&Anonymous { route }).inc();
    }

    /// The text of `/metrics`.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 << 10);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// A method as a label. Clients can invent methods, so unknown ones share one label.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Metrics that are read from the node on request.
struct Node(Handle, Arc<Feed>, Option<Arc<HttpTls>>);

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Collector for Node {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (totals, open, holds, parked) = self.0.read(|state| {
            let (holds, parked) = (state.active_holds(), state.parked_webhooks());
            (state.totals().clone(), state.open_orders(), holds, parked)
        });
        let node = self.0.metrics();
        let mut writer = Writer(&mut encoder);
        writer.business(&totals, open)?;
        writer.failures(&totals, node.lacked_without_entry_total)?;
        writer.gauge("event_subscribers", "Subscribers to events", self.1.subscribers() as u64)?;
        writer.holds(&totals, holds, node.holds_refused_without_entry_total)?;
        writer.webhooks(&totals, parked)?;
        writer.links(&node)?;
        writer.expiry(&node, self.2.as_deref())?;
        writer.members(&node)?;
        writer.node(&node)
    }
}

/// Writes single metrics.
struct Writer<'w, 'e>(&'w mut DescriptorEncoder<'e>);

impl Writer<'_, '_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let encoder = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn durations(
        &mut self,
        name: &str,
        help: &str,
        histogram: &raft_node::Histogram,
    ) -> fmt::Result {
        let unit = Some(&Unit::Seconds);
        let mut encoder = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        let count = histogram.buckets.iter().map(|(_, count)| count).sum();
        encoder.encode_histogram::<NoLabelSet>(histogram.sum, count, &histogram.buckets, None)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        // Gauges are signed; no value comes near the limit.
        ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder)
    }

    fn business(&mut self, totals: &Totals, open: u64) -> fmt::Result {
        self.counter("orders_created", "Orders placed", totals.orders_created)?;
        // Placing an order reserves its units, so both counters are equal.
        self.counter("orders_reserved", "Orders that reserved units", totals.orders_created)?;
        self.counter("orders_paid", "Orders paid", totals.orders_paid)?;
        self.counter("orders_cancelled", "Orders that were cancelled", totals.orders_cancelled)?;
        self.counter(
            "orders_replayed",
            "Order requests answered from their key",
            totals.orders_replayed,
        )?;
        self.counter(
            "payment_success",
            "Payment attempts that succeeded",
            totals.payment_successes,
        )?;
        self.counter(
            "payment_declined",
            "Payment attempts that were declined",
            totals.payment_declines,
        )?;
        self.counter(
            "payment_no_answer",
            "Gateway calls without an answer",
            totals.payment_no_answers,
        )?;
        self.counter("units_sold", "Units in paid orders", totals.units_sold)?;
        self.counter("products_created", "Products created", totals.products_created)?;
        self.counter("users_created", "Users created", totals.users_created)?;
        self.gauge("orders_open", "Orders that are not final", open)
    }

    /// Most refusals for lack of stock never reach the log, so each node adds those that it
    /// answered.
    fn failures(&mut self, totals: &Totals, refused_here: u64) -> fmt::Result {
        let name = "orders_failed";
        let help = "Orders that failed or were refused, by reason; of those that lacked stock, the \
                    ones in the log and the ones that this node refused by a read since it started";
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (reason, count) in [
            ("payment_declined", totals.orders_failed),
            ("payment_timeout", totals.orders_timed_out),
            ("insufficient_stock", totals.rejected_insufficient_stock + refused_here),
            ("purchase_limit_exceeded", totals.rejected_purchase_limit),
            ("too_many_open_orders", totals.rejected_open_orders),
            ("idempotency_key_reused", totals.rejected_key_reused),
        ] {
            let labels = [("reason", reason)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// As with orders, each node adds the refusals that never reached the log.
    fn holds(&mut self, totals: &Totals, active: u64, refused_here: u64) -> fmt::Result {
        self.gauge("holds_active", "Holds that are active", active)?;
        self.counter("holds_created", "Holds made", totals.holds_created)?;
        self.counter("holds_consumed", "Holds that became an order", totals.holds_consumed)?;
        self.counter("holds_expired", "Holds whose deadline passed", totals.holds_expired)?;
        self.counter("holds_released", "Holds that were released", totals.holds_released)?;
        self.counter(
            "holds_replayed",
            "Hold requests answered from their key",
            totals.holds_replayed,
        )?;
        let help = "Requests for a hold that were refused: the ones in the log, and the ones that \
                    this node refused by a read since it started";
        self.counter("holds_rejected", help, totals.holds_rejected + refused_here)
    }

    fn webhooks(&mut self, totals: &Totals, parked: u64) -> fmt::Result {
        self.gauge("webhooks_parked", "Payment results that wait for their order", parked)?;
        let (name, help) = ("webhooks", "Payment results recorded, by result");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (result, count) in [
            ("applied", totals.webhooks_applied),
            ("duplicate", totals.webhooks_duplicate),
            ("conflict", totals.payment_conflicts),
            ("unmatched", totals.webhooks_unmatched),
        ] {
            let labels = [("result", result)];
            ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn refused_messages(&mut self, refused: &[(String, &'static str, u64)]) -> fmt::Result {
        let (name, help) = ("peer_messages_refused", "Peer messages refused, by kind and reason");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, why, count) in refused {
            let labels = [("kind", kind.as_str()), ("why", why)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gateway_answers(&mut self, answers: &[(&'static str, u64)]) -> fmt::Result {
        let (name, help) = ("payment_answers", "Answers of the payment gateway, by kind");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (kind, count) in answers {
            let labels = [("kind", *kind)];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn links(&mut self, node: &raft_node::Metrics) -> fmt::Result {
        let (name, help) = ("holdfast_peer_links", "Open links to and from peers");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (tls, links) in [("yes", node.peer_links_tls), ("no", node.peer_links_plain)] {
            let labels = [("tls", tls)];
            let links = i64::try_from(links).unwrap_or(i64::MAX);
            ConstGauge::new(links).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// The build of this node, and what it knows of the other members.
    fn members(&mut self, node: &raft_node::Metrics) -> fmt::Result {
        let (name, help) = ("holdfast_build", "1, with the version of the program");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)?;
        let contact = "Milliseconds since this node heard from another member";
        let lag = "Entries that another member is behind, shown by the leader";
        let of_contact = |peer: &raft_node::PeerMetrics| peer.last_contact_ms;
        let of_lag = |peer: &raft_node::PeerMetrics| peer.lag;
        self.of_peers(node, "peer_last_contact_ms", contact, of_contact)?;
        self.of_peers(node, "peer_lag_entries", lag, of_lag)
    }

    fn of_peers(
        &mut self,
        node: &raft_node::Metrics,
        name: &str,
        help: &str,
        value: impl Fn(&raft_node::PeerMetrics) -> Option<u64>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for peer in &node.peers {
            let Some(value) = value(peer) else { continue };
            let labels = [("peer", peer.id.0)];
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn expiry(&mut self, node: &raft_node::Metrics, http: Option<&HttpTls>) -> fmt::Result {
        let http = http.map(HttpTls::not_after_s);
        let (name, help) =
            ("holdfast_tls_not_after_seconds", "When a certificate expires, since 1970");
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (which, not_after_s) in [("peer", node.peer_tls_not_after_s), ("http", http)] {
            let Some(not_after_s) = not_after_s else { continue };
            let labels = [("which", which)];
            let not_after_s = i64::try_from(not_after_s).unwrap_or(i64::MAX);
            ConstGauge::new(not_after_s).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn node(&mut self, node: &raft_node::Metrics) -> fmt::Result {
        self.refused_messages(&node.peer_messages_refused)?;
        self.gateway_answers(&node.payment_answers)?;
        for (name, help, value) in [
            ("raft_term", "Current term", node.term),
            ("raft_is_leader", "1 on the leader, else 0", node.is_leader),
            ("raft_commit_index", "Commit index as known here", node.commit_index),
            ("raft_applied_index", "Applied index", node.applied_index),
            ("raft_last_index", "Last index of the log", node.last_index),
            ("proposals_pending", "Requests whose outcome is open", node.proposals_pending),
            ("batch_pending", "Commands that wait for their entry", node.batch_pending),
            ("reads_pending", "Reads that wait for their barrier", node.reads_pending),
            ("checkpoint_index", "Applied index of the last checkpoint", node.checkpoint_index),
            ("snapshot_index", "Applied index of the newest snapshot", node.snapshot_index),
            ("snapshot_bytes", "Size of the newest snapshot", node.snapshot_bytes),
            ("snapshots_sending", "Peers that receive a snapshot now", node.snapshots_sending),
            ("warnings", "Warnings of this node, which GET /cluster shows", node.warnings),
            ("rebuilds", "Times this node set damaged data aside and was rebuilt", node.rebuilds),
            ("compacted_index", "Last index that was truncated from the log", node.compacted_index),
            ("log_bytes", "Size of the log's files", node.log_bytes),
            ("payment_calls_in_flight", "Gateway calls under way", node.payment_calls_in_flight),
            (
                "payment_gateway_state",
                "Calls to the payment gateway: 0 go through, 1 a few, 2 none",
                match node.gateway_state {
                    GatewayState::Closed => 0,
                    GatewayState::HalfOpen => 1,
                    GatewayState::Open => 2,
                },
            ),
            (
                "disk_free_bytes",
                "Free bytes on the disk of the data directory",
                node.disk_free_bytes,
            ),
            (
                "disk_reserve_bytes",
                "The node refuses writes while less than this is free",
                node.disk_reserve_bytes,
            ),
            ("cluster_level", "The level whose rules the cluster uses", node.level.into()),
            (
                "log_entries_left",
                "Entries that the log can still take in the cluster's life",
                node.log_entries_left,
            ),
            ("writes_refused", "1 while the disks take no writes, else 0", node.writes_refused),
            (
                "memory_full",
                "1 while too little memory is left for writes that add rows, else 0",
                node.memory_full,
            ),
            (
                "memory_max_bytes",
                "Memory of the process from which on it counts as full; 0 without a bound",
                node.memory_max_bytes,
            ),
            ("uptime_seconds", "Seconds since the node started", node.uptime_seconds),
            (
                "clock_behind_seconds",
                "Seconds that the leader's clock is behind the clocks of the nodes",
                node.clock_behind_ms / 1_000,
            ),
            (
                "disk_stalled_ms",
                "Milliseconds that the oldest waiting sync, or write to the checkpoint, has taken",
                node.disk_stalled_ms,
            ),
        ] {
            self.gauge(name, help, value)?;
        }
        let process = Process::now();
        for (name, help, value) in [
            ("memory_bytes", "Resident memory of the process", process.memory_bytes),
            (
                "memory_limit_bytes",
                "Memory that the process may use, of its control group or of the machine",
                process.memory_limit_bytes,
            ),
            ("files_open", "Open files and connections of the process", process.files_open),
            ("files_max", "Files and connections that it may have open", process.files_max),
        ] {
            // Without a limit there is no value.
            if let Some(value) = value {
                self.gauge(name, help, value)?;
            }
        }
        for (name, help, value) in [
            ("raft_elections", "Elections since the process started", node.elections_total),
            ("proposals", "Commands proposed by clients of this node", node.proposals_total),
            (
                "proposals_refused",
                "Commands refused before they were sent to a leader",
                node.proposals_refused_total,
            ),
            ("commands_forwarded", "Commands forwarded to a leader", node.forwarded_total),
            ("entries_proposed", "Entries proposed as leader", node.entries_proposed_total),
            ("entries_appended", "Entries appended to the log", node.entries_appended_total),
            ("entries_applied", "Entries applied", node.entries_applied_total),
            ("commands_applied", "Commands applied", node.commands_applied_total),
            (
                "commands_undecodable",
                "Committed commands left out because their bytes encode none",
                node.commands_undecodable_total,
            ),
            ("log_syncs", "Log syncs", node.syncs_total),
            ("reads", "Reads that got their barrier", node.reads_total),
            (
                "orders_refused_without_entry",
                "Orders refused by a read, for lack of stock or because a sale is not open",
                node.refused_without_entry_total,
            ),
            ("checkpoints", "Checkpoints written", node.checkpoints_total),
            ("snapshots", "Snapshots taken", node.snapshots_total),
            ("snapshots_installed", "Snapshots installed", node.snapshots_installed_total),
            (
                "peer_messages_dropped",
                "Messages to peers dropped",
                node.peer_messages_dropped_total,
            ),
            ("peer_frames_dropped", "Frames from peers dropped", node.peer_frames_dropped_total),
            ("payment_calls", "Gateway calls made", node.payment_calls_total),
        ] {
            self.counter(name, help, value)?;
        }
        let help = "Time from learning that an entry is committed to applying it";
        self.durations("apply_wait", help, &node.apply_waits)?;
        for (name, help, value) in [
            ("apply", "Time spent applying", node.apply_seconds_total),
            ("log_sync", "Time spent in log writes and syncs", node.sync_seconds_total),
            (
                "checkpoint",
                "Time spent writing checkpoints, pauses included",
                node.checkpoint_seconds_total,
            ),
            ("snapshot", "Time spent taking snapshots", node.snapshot_seconds_total),
        ] {
            self.seconds(name, help, value)?;
        }
        Ok(())
    }
}
