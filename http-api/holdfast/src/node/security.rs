//! Who may reach a node: the flags for certificates, and what without them is refused by name.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use client::Client;
use engine::ids::NodeId;
use http_api::{CustomerKeys, Gateway, HttpTls, RootToken, SocketApp};
use raft_node::PeerSecurity;
use raft_node::tls::certificate::PairFiles;
use raft_node::tls::{Mode, PeerFiles, PeerTls};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::credentials;
use crate::exit::{CliError, chain};
use crate::remote;
use crate::settings::{Limits, Payments, secrets_of};

/// How often the files of certificates are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// A day, in seconds.
const DAY_S: u64 = 24 * 3600;
/// Before this many days a certificate that expires is logged, once for each.
const WARN_DAYS: [u64; 3] = [1, 7, 30];

/// The flags for links between nodes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS between nodes")]
pub(crate) struct Peers {
    /// Prove to the other nodes with this certificate which node this is; `holdfast certs` makes
    /// one. All links then use TLS. SIGHUP reads the files again
    #[arg(long, value_name = "FILE", requires_all = ["peer_key", "peer_ca"])]
    pub(crate) peer_cert: Option<PathBuf>,
    /// Read the key of --peer-cert from this file
    #[arg(long, value_name = "FILE", requires = "peer_cert")]
    pub(crate) peer_key: Option<PathBuf>,
    /// Believe nodes whose certificate an authority of this file signed; it may hold several
    #[arg(long, value_name = "FILE", requires = "peer_cert")]
    pub(crate) peer_ca: Option<PathBuf>,
    /// With `migrate`, take and open links without TLS too, while other nodes have no certificates
    /// yet
    #[arg(long, value_name = "MODE", value_enum, default_value = "require")]
    pub(crate) peer_tls: PeerTlsMode,
    /// Listen for other machines without certificates: everybody who reaches the raft port owns the
    /// cluster
    #[arg(long, conflicts_with = "peer_cert")]
    pub(crate) insecure_peers: bool,
}

/// The flags for HTTPS.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "HTTPS")]
pub(crate) struct Https {
    /// Speak HTTPS with this certificate, and nothing else; it may be that of --peer-cert. SIGHUP
    /// reads the files again
    #[arg(long, value_name = "FILE", requires = "http_key")]
    pub(crate) http_cert: Option<PathBuf>,
    /// Read the key of --http-cert from this file
    #[arg(long, value_name = "FILE", requires = "http_cert")]
    pub(crate) http_key: Option<PathBuf>,
    /// Do everything for who sends the token in this file, and ask all others for a token of the
    /// cluster; `holdfast auth init` makes one. The file has one line of 32 or more characters.
    /// SIGHUP reads it again
    #[arg(long, value_name = "FILE")]
    pub(crate) root_token_file: Option<PathBuf>,
    /// Believe customers whose token one of the public keys in this file signed: a JSON Web Key Set
    /// with Ed25519 keys. Tokens are JWTs with `sub` (the user id), `aud` (`holdfast:CLUSTER`),
    /// `iat`, `exp` and perhaps `scope`, for an hour at most
    #[arg(long, value_name = "FILE")]
    pub(crate) customer_key_file: Option<PathBuf>,
    /// Give a WebSocket without a token the channels that an application in this file signs: lines
    /// of KEY:SECRET, two at most. The string to sign is `socket_id:channel`, as for Pusher
    #[arg(long, value_name = "FILE")]
    pub(crate) socket_app_file: Option<PathBuf>,
    /// Ask the other nodes to add this one with the token in this file, for --join and to rebuild
    /// it; its scopes are cluster:join and cluster:read [default: that of --root-token-file]
    #[arg(long, value_name = "FILE")]
    pub(crate) join_token_file: Option<PathBuf>,
    /// Ask the other nodes over HTTPS, for --join and to rebuild this node, and believe servers
    /// whose certificate an authority of this file signed
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Https {
    /// The root token, if there is one.
    ///
    /// # Errors
    /// It cannot be read or is too short.
    pub(crate) fn root_token(&self) -> Result<Option<RootToken>, CliError> {
        let Some(path) = &self.root_token_file else { return Ok(None) };
        let text = credentials::read("--root-token-file", path)?;
        let wrong = |what| CliError::Usage(format!("--root-token-file {}: {what}", path.display()));
        RootToken::new(&text).map(Some).map_err(wrong)
    }

    /// The public keys of who signs tokens of customers, if there are any.
    ///
    /// # Errors
    /// The file cannot be read, or is no set of keys.
    pub(crate) fn customer_keys(
        &self,
        cluster: &str,
    ) -> Result<Option<Arc<CustomerKeys>>, CliError> {
        let Some(path) = &self.customer_key_file else { return Ok(None) };
        let wrong = |what: &dyn std::fmt::Display| {
            CliError::Usage(format!("--customer-key-file {}: {what}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let keys = CustomerKeys::read(&text, cluster).map_err(|error| wrong(&error))?;
        Ok(Some(Arc::new(keys)))
    }

    /// The applications that sign channels of WebSockets.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no application.
    pub(crate) fn socket_apps(&self) -> Result<Vec<SocketApp>, CliError> {
        let Some(path) = &self.socket_app_file else { return Ok(Vec::new()) };
        let lines = secrets_of(path, "--socket-app-file")?;
        if lines.len() > 2 {
            let text = format!("--socket-app-file {}: has more than two lines", path.display());
            return Err(CliError::Usage(text));
        }
        let read = |(at, line): (usize, &String)| {
            let wrong = |what| format!("--socket-app-file {}: line {at} {what}", path.display());
            SocketApp::read(line).map_err(|what| CliError::Usage(wrong(what)))
        };
        (1..).zip(&lines).map(read).collect()
    }

    /// A client that asks these other nodes to add this one.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(crate) fn client(
        &self,
        addresses: &[String],
        deadline: Duration,
    ) -> Result<Client, CliError> {
        let ca_file = self.ca_file.as_deref();
        let urls = addresses.iter().map(|address| remote::base_url(address, ca_file));
        let builder = Client::builder().base_urls(urls).deadline(deadline);
        let (flag, file) = match &self.join_token_file {
            Some(file) => ("--join-token-file", Some(file)),
            None => ("--root-token-file", self.root_token_file.as_ref()),
        };
        let builder = remote::believing(builder, ca_file)?;
        let file = file.map(PathBuf::as_path);
        credentials::authorized(builder, flag, file, false)?
            .build()
            .map_err(|error| CliError::Usage(chain(&error)))
    }

    /// Whether strangers get nothing: who speaks must have a token, which nobody on the way reads.
    pub(crate) fn is_guarded(&self) -> bool {
        self.http_cert.is_some() && self.root_token_file.is_some()
    }

    /// The certificate for clients, if there is one.
    ///
    /// # Errors
    /// It cannot be used.
    pub(crate) fn certificate(&self) -> Result<Option<Arc<HttpTls>>, CliError> {
        let (Some(cert), Some(key)) = (&self.http_cert, &self.http_key) else { return Ok(None) };
        let files = PairFiles { cert: cert.clone(), key: key.clone() };
        let tls = HttpTls::load(files).map_err(|error| CliError::Usage(chain(&error)))?;
        Ok(Some(Arc::new(tls)))
    }
}

/// A certificate that may be replaced while the node runs.
trait Certificate: Send + Sync {
    fn name(&self) -> &'static str;
    fn reload(&self) -> Result<(), raft_node::tls::Error>;
    fn has_changed(&self) -> bool;
    fn not_after_s(&self) -> u64;
}

impl Certificate for PeerTls {
    fn name(&self) -> &'static str {
        "--peer-cert"
    }

    fn reload(&self) -> Result<(), raft_node::tls::Error> {
        PeerTls::reload(self)
    }

    fn has_changed(&self) -> bool {
        PeerTls::has_changed(self)
    }

    fn not_after_s(&self) -> u64 {
        PeerTls::not_after_s(self)
    }
}

impl Certificate for HttpTls {
    fn name(&self) -> &'static str {
        "--http-cert"
    }

    fn reload(&self) -> Result<(), raft_node::tls::Error> {
        HttpTls::reload(self)
    }

    fn has_changed(&self) -> bool {
        HttpTls::has_changed(self)
    }

    fn not_after_s(&self) -> u64 {
        HttpTls::not_after_s(self)
    }
}

/// What `--peer-tls` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerTlsMode {
    Require,
    Migrate,
}

impl Peers {
    /// Whom node `id` of this cluster believes.
    ///
    /// # Errors
    /// The certificates cannot be used.
    pub(crate) fn security(&self, id: u64, cluster: &str) -> Result<PeerSecurity, CliError> {
        let Peers { peer_cert: Some(cert), peer_key: Some(key), peer_ca: Some(ca), .. } = self
        else {
            return match (self.insecure_peers, self.peer_tls) {
                (_, PeerTlsMode::Migrate) => Err(CliError::Usage(
                    "--peer-tls migrate needs --peer-cert, --peer-key and --peer-ca".to_owned(),
                )),
                (true, PeerTlsMode::Require) => Ok(PeerSecurity::Insecure),
                (false, PeerTlsMode::Require) => Ok(PeerSecurity::Loopback),
            };
        };
        let pair = PairFiles { cert: cert.clone(), key: key.clone() };
        let mode = match self.peer_tls {
            PeerTlsMode::Require => Mode::Require,
            PeerTlsMode::Migrate => Mode::Migrate,
        };
        let files = PeerFiles { pair, ca: ca.clone() };
        let tls = PeerTls::load(files, mode, NodeId(id), cluster)
            .map_err(|error| CliError::Usage(chain(&error)))?;
        Ok(PeerSecurity::Tls(Arc::new(tls)))
    }
}

/// Refuses to serve clients of other machines, unless they need credentials, or `allowed` says so.
///
/// # Errors
/// The address is not a loopback address, and not allowed.
pub(crate) fn check_http(
    http: SocketAddr,
    is_guarded: bool,
    allowed: bool,
) -> Result<(), CliError> {
    if allowed || is_guarded || http.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "--http {http} can be reached by other machines, and whoever reaches it would own the \
         cluster: give a certificate with --http-cert and --http-key, and a root token with \
         --root-token-file (`holdfast auth init`). On a network where every machine is trusted, or \
         behind a proxy that checks requests, say --insecure-http"
    )))
}

/// The parts of a node that are open to everybody who reaches them. Logged at every startup.
pub(crate) fn insecure(
    peers: &PeerSecurity,
    http: SocketAddr,
    is_guarded: bool,
) -> Vec<&'static str> {
    let mut open = Vec::new();
    if !is_guarded && !http.ip().to_canonical().is_loopback() {
        tracing::warn!(%http, "insecure: everybody who reaches the HTTP port can do everything");
        open.push("http");
    }
    match peers {
        PeerSecurity::Loopback => {}
        PeerSecurity::Insecure => {
            tracing::warn!("insecure: everybody who reaches the raft port owns the cluster");
            open.push("peers");
        }
        PeerSecurity::Tls(tls) if tls.mode() == Mode::Migrate => {
            tracing::warn!("insecure: links without TLS are taken until --peer-tls is require");
            open.push("peers_migrate");
        }
        PeerSecurity::Tls(_) => {}
    }
    open
}

/// The flags of a node that are only for trials.
pub(crate) fn unsafe_settings(payments: &Payments, limits: &Limits) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if limits.disk_reserve_mb == 0 {
        flags.push("--disk-reserve-mb 0");
    }
    if limits.disk_stall_exit_s == 0 {
        flags.push("--disk-stall-exit-s 0");
    }
    if payments.gateway() == Gateway::Simulated {
        flags.push("--payment-gateway simulated");
    }
    if payments.webhooks.unsigned {
        flags.push("unsigned webhooks");
    }
    flags
}

/// Reads certificates again on SIGHUP and when their files change, and warns before they expire.
/// SIGHUP reads the root token again, too.
/// The task ends when the handle is aborted.
pub(crate) fn keep_fresh(
    peers: &PeerSecurity,
    http: Option<&Arc<HttpTls>>,
    root: Option<(RootToken, PathBuf)>,
) -> JoinHandle<()> {
    let mut certificates: Vec<(Arc<dyn Certificate>, Option<u64>)> = Vec::new();
    if let PeerSecurity::Tls(tls) = peers {
        certificates.push((Arc::clone(tls) as Arc<dyn Certificate>, None));
    }
    if let Some(tls) = http {
        certificates.push((Arc::clone(tls) as Arc<dyn Certificate>, None));
    }
    tokio::spawn(async move {
        // Without a handler, SIGHUP would end the process.
        let Ok(mut asked) = signal(SignalKind::hangup()) else { return };
        loop {
            for (certificate, warned) in &mut certificates {
                warn_of_expiry(&**certificate, warned);
            }
            let by_signal = tokio::select! {
                _ = asked.recv() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            if let Some((root, path)) = root.as_ref().filter(|_| by_signal) {
                reload_root(root, path);
            }
            for (certificate, warned) in &mut certificates {
                if by_signal || certificate.has_changed() {
                    *warned = None;
                    reload(&**certificate);
                }
            }
        }
    })
}

fn reload_root(root: &RootToken, path: &Path) {
    let read = credentials::read("--root-token-file", path).map_err(|error| error.to_string());
    match read.and_then(|text| root.replace(&text).map_err(str::to_owned)) {
        Ok(differs) => tracing::info!(differs, "read the root token again"),
        Err(error) => {
            tracing::error!(error, "the new root token cannot be used; the old one stays");
        }
    }
}

fn reload(certificate: &dyn Certificate) {
    let which = certificate.name();
    match certificate.reload() {
        Ok(()) => tracing::info!(
            which,
            not_after_s = certificate.not_after_s(),
            "read the certificate again"
        ),
        Err(error) => {
            let error = chain(&error);
            tracing::error!(which, error, "the new certificate cannot be used; the old one stays");
        }
    }
}

/// Logs that a certificate expires, once for each of [`WARN_DAYS`].
fn warn_of_expiry(certificate: &dyn Certificate, warned: &mut Option<u64>) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left_days = certificate.not_after_s().saturating_sub(now.as_secs()) / DAY_S;
    let Some(bound) = bound(left_days) else { return };
    if *warned != Some(bound) {
        *warned = Some(bound);
        let hint =
            "replace the files, for example by `holdfast certs create-node`, and send SIGHUP";
        let which = certificate.name();
        tracing::warn!(which, left_days, hint, "a certificate expires soon");
    }
}

/// The smallest of [`WARN_DAYS`] that is not below `left_days`.
fn bound(left_days: u64) -> Option<u64> {
    WARN_DAYS.into_iter().find(|bound| left_days <= *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_served_only_by_name() {
        for (http, near) in [("127.0.0.1:80", true), ("[::1]:80", true), ("0.0.0.0:80", false)] {
            let http: SocketAddr = http.parse().unwrap();
            assert_eq!(check_http(http, false, false).is_ok(), near, "{http}");
            assert!(check_http(http, false, true).is_ok() && check_http(http, true, false).is_ok());
            let expected: &[&str] = if near { &[] } else { &["http"] };
            assert_eq!(insecure(&PeerSecurity::Loopback, http, false), expected);
        }
        let near = "127.0.0.1:80".parse().unwrap();
        assert_eq!(insecure(&PeerSecurity::Insecure, near, false), ["peers"]);
    }

    #[test]
    fn each_warning_of_expiry_comes_once() {
        for (left_days, expected) in
            [(0, Some(1)), (1, Some(1)), (2, Some(7)), (30, Some(30)), (31, None)]
        {
            assert_eq!(bound(left_days), expected, "{left_days}");
        }
    }
}
