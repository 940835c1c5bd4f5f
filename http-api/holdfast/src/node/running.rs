//! A running node: replication with its payment worker, and the HTTP server in front of it.
//!
//! `dev` runs several nodes in one process, `serve` runs one. Only this file maps flags to the
//! settings of the crates below.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::ids::NodeId;
use http_api::{Gateway, Server, Settings};
use raft_node::config::memory_bytes_max;
use raft_node::payment::PaymentGateway;
use raft_node::{Config, Handle, Node, StartError, directory};
use tokio::net::TcpSocket;

use crate::exit::{CliError, chain};
use crate::gateway;
use crate::logging;
use crate::node::security;
use crate::settings::{Limits, Payments};

/// How long open requests may take to finish when the node stops.
const GRACE: Duration = Duration::from_secs(5);

/// Most connections that wait to be accepted. The system may set a lower limit.
const CONNECTIONS_WAITING_MAX: u32 = 4096;
/// Added to the slowest answer of the simulated gateway, for the timeout of a call.
const CALL_MARGIN_MS: u64 = 1_000;

/// Added to the longest call to a payment service, for the lease of a claim.
const LEASE_MARGIN_MS: u64 = 15_000;

/// What to do with a node whose data is damaged: it may have lost what it acknowledged.
const BY_HAND: &str = "; if a majority of the others runs, replace this node by a new member: \
    `holdfast serve --id NEW_ID --data EMPTY_DIR --join MEMBER --replaces THIS_ID`; without a \
    majority see `holdfast recover`; keep this directory for the investigation";

/// A running node.
pub(crate) struct Running {
    node: Node,
    server: Server,
}

impl Running {
    /// Starts replication, then serves HTTP on `port`.
    pub(crate) async fn start(
        config: Config,
        payments: &Payments,
        limits: &Limits,
        port: Port,
    ) -> Result<Running, CliError> {
        let (id, mut settings) = (config.node_id, http_settings(payments, limits)?);
        settings.insecure = security::insecure(&config.peer_security, port.address(), false);
        let node = replicate(config, gateway::of(payments)?, limits).await;
        let node = node.map_err(|error| cannot_start(id, &error))?;
        Running::serve(node, settings, port, None).await
    }

    /// Serves HTTP for a node that replicates already, perhaps with a port for operators.
    pub(crate) async fn serve(
        node: Node,
        settings: Settings,
        port: Port,
        admin: Option<Port>,
    ) -> Result<Running, CliError> {
        let address = port.address;
        let listening = port.socket.listen(CONNECTIONS_WAITING_MAX).and_then(|listener| {
            let listen = |port: Port| port.socket.listen(CONNECTIONS_WAITING_MAX);
            Ok((listener, admin.map(listen).transpose()?))
        });
        let served = listening.and_then(|(listener, admin)| {
            Server::from_listeners(listener, admin, node.handle(), settings)
        });
        match served {
            Ok(server) => Ok(Running { node, server }),
            Err(error) => {
                node.stop().await;
                Err(refused(address, &error, "clients", "--http"))
            }
        }
    }

    /// The handle of the replicated state.
    pub(crate) fn handle(&self) -> Handle {
        self.node.handle()
    }

    /// The address for clients.
    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// The address for peers.
    pub(crate) fn raft_addr(&self) -> SocketAddr {
        self.node.raft_addr()
    }

    /// Resolves when the node fails, with the reason.
    pub(crate) async fn failed(&self) -> String {
        self.node.failed().await
    }

    /// Whether it failed because its log has lost entries that it acknowledged.
    pub(crate) fn is_rolled_back(&self) -> bool {
        self.node.is_rolled_back()
    }

    /// Accepts nothing new, finishes open requests, transfers leadership, syncs and joins its
    /// threads.
    pub(crate) async fn stop(self) {
        self.server.shutdown(GRACE).await;
        self.node.stop().await;
    }
}

/// Starts replication.
pub(crate) async fn replicate(
    mut config: Config,
    gateway: Arc<dyn PaymentGateway>,
    limits: &Limits,
) -> Result<Node, StartError> {
    config.disk_reserve_bytes = limits.disk_reserve_mb << 20;
    let memory_max = limits.memory_max_mb.map(|mib| mib << 20);
    config.memory_bytes_max = memory_max.unwrap_or_else(memory_bytes_max);
    config.disk_stall_exit_ms = limits.disk_stall_exit_s * 1_000;
    config.core.outstanding_age_max_ms = limits.queue_ms_max.get();
    config.core.outstanding_max = limits.queue_max as usize;
    Node::start(config, gateway).await
}

/// The error of a node that cannot start, with what to do next.
pub(crate) fn cannot_start(id: NodeId, error: &StartError) -> CliError {
    if let StartError::Directory(directory::Error::NoPeers(dir)) = error {
        return CliError::Usage(format!(
            "{} holds no data yet: list every voter of a new cluster with --peer, this node too, \
             or name a member of a running one with --join",
            dir.display()
        ));
    }
    let by_hand = if error.is_damage() { BY_HAND } else { "" };
    CliError::Failed(format!("node {id} cannot start: {}{by_hand}", chain(error)))
}

/// The configuration of a node, with the flags for payments, events and snapshots applied.
pub(crate) fn node_config(
    id: u64,
    data: &std::path::Path,
    payments: &Payments,
    limits: &Limits,
) -> Config {
    let mut config = Config::new(NodeId(id), data);
    config.events_max = limits.event_retention_count;
    config.event_age_ms_max = limits.event_retention_h * 3_600_000;
    config.snapshot_log_bytes = limits.snapshot_log_mb << 20;
    let waits = &mut config.payments;
    waits.backoff_ms.clone_from(&payments.payment_backoff_ms);
    // The timeout of a call must exceed the delay of the simulated gateway, and the lease of a
    // claim must outlive the call.
    let slowest_ms = payments.payment_delay_ms.end() + CALL_MARGIN_MS;
    waits.call_timeout_ms = waits.call_timeout_ms.max(slowest_ms);
    waits.lease_ms = waits.lease_ms.max(2 * waits.call_timeout_ms);
    if payments.gateway() == Gateway::Http {
        waits.call_timeout_ms = gateway::CALL_MS_MAX;
        waits.lease_ms = gateway::CALL_MS_MAX + LEASE_MARGIN_MS;
        (waits.calls_max, waits.batch_max) = (gateway::CALLS_MAX, gateway::CALLS_MAX);
    }
    config
}

/// The settings of the HTTP server, after validation.
pub(crate) fn http_settings(payments: &Payments, limits: &Limits) -> Result<Settings, CliError> {
    let (hold_ttl_ms, hold_ttl_max_ms) = limits.holds.ttl_ms();
    let settings = Settings {
        hold_ttl_ms,
        hold_ttl_max_ms,
        http_hosts: limits.clients.http_host.clone(),
        cors_origins: limits.clients.cors_origin.clone(),
        proxies: limits.clients.proxies(),
        log_filter: logging::filter(),
        gateway: payments.gateway(),
        webhook_secrets: payments.webhooks.secrets()?,
        webhook_unsigned: payments.webhooks.unsigned,
        payment_attempts_max: payments.payment_attempts.get(),
        payment_deadline_ms: payments.deadline_ms(),
        open_orders_max: limits.open_orders_max.get(),
        open_unpaid_orders_max: limits.open_unpaid_orders_max.get(),
        require_users: limits.require_users,
        require_idempotency_key: limits.require_idempotency_key,
        unsafe_settings: security::unsafe_settings(payments, limits),
        rate_limit_per_minute: limits.rate_limit_per_minute,
        rate_limit_user_per_minute: limits.rate_limit_user_per_minute,
        rate_limit_token_per_minute: limits.rate_limit_token_per_minute,
        bodies_in_flight_bytes_max: (limits.bodies_in_flight_mb as usize) << 20,
        connections_max: limits.connections_max as usize,
        connections_per_address_max: limits.connections_per_address_max as usize,
        backups_max: usize::from(limits.backups_max),
        ..Settings::default()
    };
    // The errors name the flags. Nothing has been started yet.
    settings.validate().map_err(|error| match error.name {
        "hold_ttl_max_ms" => CliError::Usage(
            "--hold-ttl-max-s is less than --hold-ttl-s: raise the one or lower the other"
                .to_owned(),
        ),
        "proxies" => CliError::Usage(format!("--trusted-proxy: {}", error.bound)),
        "webhook_secrets" => {
            CliError::Usage(format!("--webhook-secret: secrets must be {}", error.bound))
        }
        _ => CliError::Usage(error.to_string()),
    })?;
    Ok(settings)
}

/// A bound port that does not listen yet. The system refuses connections to it, so clients try
/// another node instead of waiting for this one.
pub(crate) struct Port {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Port {
    /// Binds a port. The error names `purpose` and the `flag` that selects another port.
    pub(crate) fn take(wanted: SocketAddr, purpose: &str, flag: &str) -> Result<Port, CliError> {
        let taken = || {
            let socket = if wanted.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            // Ignore connections of an earlier process in TIME_WAIT.
            socket.set_reuseaddr(true)?;
            socket.bind(wanted)?;
            let address = socket.local_addr()?;
            Ok(Port { socket, address })
        };
        taken().map_err(|error| refused(wanted, &error, purpose, flag))
    }

    /// The address, with the port that the system chose for port 0.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

fn refused(address: SocketAddr, error: &io::Error, purpose: &str, flag: &str) -> CliError {
    let reason = match error.kind() {
        io::ErrorKind::AddrInUse => "another process uses the port",
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address",
        io::ErrorKind::PermissionDenied => "this user has no permission for the port",
        _ => return CliError::because(format!("cannot listen on {address} for {purpose}"), error),
    };
    CliError::Failed(format!(
        "cannot listen on {address} for {purpose}: {reason}; select another one with {flag}"
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use clap::Parser;

    /// The flags that `serve` and `dev` share.
    #[derive(Debug, Parser)]
    struct Flags {
        #[command(flatten)]
        payments: Payments,
        #[command(flatten)]
        limits: Limits,
    }

    fn flags(words: &[&str]) -> Flags {
        Flags::parse_from([&["holdfast"], words].concat())
    }

    #[tokio::test]
    async fn a_bound_port_refuses_connections_and_the_error_names_a_port_in_use() {
        let port = Port::take("127.0.0.1:0".parse().unwrap(), "clients", "--http").unwrap();
        let address = port.address();
        assert_ne!(address.port(), 0);
        assert!(std::net::TcpStream::connect(address).is_err(), "it does not listen yet");
        let _listener = port.socket.listen(1).unwrap();
        let error = Port::take(address, "clients", "--http").err().unwrap().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("another process") && error.contains("--http"), "{error}");
    }

    #[test]
    fn timeouts_exceed_the_delay_of_the_gateway() {
        let config = |delay: &str| {
            let options = flags(&["--payment-delay-ms", delay]);
            node_config(1, "d".as_ref(), &options.payments, &options.limits).payments
        };
        let waits = config("50-200");
        assert_eq!((waits.call_timeout_ms, waits.lease_ms), (5_000, 10_000));
        let waits = config("1-60000");
        assert_eq!((waits.call_timeout_ms, waits.lease_ms), (61_000, 122_000));
        assert_eq!(waits.validate(), Ok(()));
    }

    #[test]
    fn limits_and_checks_become_server_settings() {
        let settings = |words: &[&str]| {
            let options = flags(words);
            http_settings(&options.payments, &options.limits)
        };
        let usual = settings(&[]).unwrap();
        assert_eq!(usual.rate_limit_per_minute, 0);
        let of_library = Settings::default();
        assert_eq!(usual.connections_max, of_library.connections_max);
        assert_eq!(usual.bodies_in_flight_bytes_max, of_library.bodies_in_flight_bytes_max);
        assert_eq!(usual.connections_per_address_max, of_library.connections_per_address_max);
        assert_eq!(usual.backups_max, of_library.backups_max);
        assert_eq!((usual.hold_ttl_ms, usual.hold_ttl_max_ms), (120_000, 3_600_000));
        assert_eq!((usual.payment_deadline_ms, usual.webhook_secrets.len()), (900_000, 0));
        let options = flags(&["--event-retention-h", "2"]);
        let config = node_config(1, "d".as_ref(), &options.payments, &options.limits);
        assert_eq!((config.event_age_ms_max, config.events_max), (7_200_000, 4_194_304));
        let some = settings(&["--rate-limit-per-minute", "60", "--require-users"]).unwrap();
        assert_eq!((some.rate_limit_per_minute, some.require_users), (60, true));
        let words = ["--connections-max", "70", "--connections-per-address-max", "7"];
        let some = settings(&words).unwrap();
        assert_eq!((some.connections_max, some.connections_per_address_max), (70, 7));
        let some = settings(&["--hold-ttl-s", "5", "--hold-ttl-max-s", "9"]).unwrap();
        assert_eq!((some.hold_ttl_ms, some.hold_ttl_max_ms), (5_000, 9_000));
        let wrong = settings(&["--hold-ttl-s", "3601"]).err().unwrap().to_string();
        assert!(wrong.contains("--hold-ttl-max-s"), "{wrong}");
    }

    #[test]
    fn secrets_come_from_flags_or_a_file_and_errors_do_not_quote_them() {
        let secrets = |words: &[&str]| {
            let options = flags(words);
            assert!(!format!("{options:?}").contains("0123456789"), "{options:?}");
            http_settings(&options.payments, &options.limits).map(|some| some.webhook_secrets)
        };
        let (one, other) = ("0123456789abcdef", "0123456789ABCDEF");
        let both = format!("{one},{other}");
        assert_eq!(secrets(&["--webhook-secret", &both]).unwrap().len(), 2);
        let twice = ["--webhook-secret", one, "--webhook-secret", other];
        assert_eq!(secrets(&twice).unwrap().len(), 2);
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let refused = |words: &[&str]| secrets(words).err().unwrap().to_string();
        assert!(refused(&["--webhook-secret-file", path]).contains("no secret"));
        std::fs::write(path, format!("{one}\n\n  {other}  \n")).unwrap();
        assert_eq!(secrets(&["--webhook-secret-file", path]).unwrap().len(), 2);
        assert!(refused(&["--webhook-secret-file", "/nowhere/at/all"]).contains("/nowhere"));
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode(0o644)).unwrap();
        assert!(refused(&["--webhook-secret-file", path]).contains("chmod"));
        std::fs::set_permissions(path, mode(0o440)).unwrap();
        assert_eq!(secrets(&["--webhook-secret-file", path]).unwrap().len(), 2);
        let short = refused(&["--webhook-secret", "012345678"]);
        assert!(short.contains("16 to 255") && !short.contains("012345678"), "{short}");
    }
}
