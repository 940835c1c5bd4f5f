//! Payment gateways: which one `--payment-gateway` names, and `holdfast gateway`.
//!
//! The contract with a payment service over HTTP is in docs/GATEWAY.md.

mod check;
mod http;
mod sign;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use raft_node::payment::{NoGateway, PaymentGateway, SimulatedGateway, SimulatedSettings};
use rustls::RootCertStore;

use self::http::{HttpGateway, Target};
use crate::exit::CliError;
use crate::settings::{self, Payments};

pub(crate) use self::http::{CALL_MS_MAX, CALLS_MAX};

/// Where Linux distributions keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The flags for a payment service over HTTP.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Payments")]
pub(crate) struct Flags {
    /// Send payments to the payment service at this URL, with `--payment-gateway http`. Plain
    /// `http` is for services on this machine only
    #[arg(long, value_name = "URL")]
    pub(crate) gateway_url: Option<String>,
    /// Sign requests to the payment service with the secrets of this file, one per line, two while
    /// you rotate them
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway_secret_file: Option<PathBuf>,
    /// Believe the payment service if an authority of this file signed its certificate, instead of
    /// the authorities that the system trusts
    #[arg(long, value_name = "FILE")]
    pub(crate) gateway_ca_file: Option<PathBuf>,
}

impl Flags {
    /// Whether any of them is given.
    pub(crate) fn is_some(&self) -> bool {
        self.gateway_url.is_some()
            || self.gateway_secret_file.is_some()
            || self.gateway_ca_file.is_some()
    }

    /// The service with its secrets and authorities.
    fn target(&self) -> Result<Target, CliError> {
        let missing = |flag: &str| CliError::Usage(format!("the payment service needs {flag}"));
        let url = self.gateway_url.as_deref().ok_or_else(|| missing("--gateway-url"))?;
        let file = self.gateway_secret_file.as_deref();
        let file = file.ok_or_else(|| missing("--gateway-secret-file"))?;
        let secrets = settings::secrets_of(file, "--gateway-secret-file")?;
        if let Some(short) = secrets.iter().map(String::len).find(|length| *length < 16) {
            return Err(CliError::Usage(format!(
                "--gateway-secret-file {} has a secret of {short} bytes: expected at least 16",
                file.display()
            )));
        }
        let target = Target::new(url, secrets, || roots(self.gateway_ca_file.as_deref()));
        target.map_err(CliError::Usage)
    }
}

/// The gateway that the flags name.
pub(crate) fn of(payments: &Payments) -> Result<Arc<dyn PaymentGateway>, CliError> {
    let gateway: Arc<dyn PaymentGateway> = match payments.gateway() {
        http_api::Gateway::None => Arc::new(NoGateway),
        http_api::Gateway::Simulated => Arc::new(SimulatedGateway::new(SimulatedSettings {
            success_ppm: payments.payment_success_rate,
            error_ppm: payments.payment_error_rate,
            delay_ms: payments.payment_delay_ms.clone(),
        })),
        http_api::Gateway::Http => Arc::new(HttpGateway::new(payments.service.target()?)),
    };
    if payments.gateway() != http_api::Gateway::Http && payments.service.is_some() {
        return Err(CliError::Usage(
            "--gateway-url, --gateway-secret-file and --gateway-ca-file need --payment-gateway http"
                .to_owned(),
        ));
    }
    Ok(gateway)
}

/// The authorities of a file, or those that the system trusts.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let path = ca_file.or_else(system).ok_or_else(|| {
        "this system has no file of trusted authorities: name one with --gateway-ca-file".to_owned()
    })?;
    raft_node::tls::authorities(path).map_err(|error| crate::exit::chain(&error))
}

/// The subcommands of `gateway`.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Check that a payment service keeps the contract. It charges small amounts: point it at a
    /// service in test mode
    Check(Box<check::Options>),
}

/// Runs a subcommand.
pub(crate) fn run(command: &Command) -> Result<(), CliError> {
    match command {
        Command::Check(options) => check::run(options),
    }
}
