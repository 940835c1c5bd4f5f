//! Payment gateways: which one `--payment-gateway` names, and `holdfast gateway`.
//!
//! The contract with a payment service over HTTP is in docs/GATEWAY.md.

mod check;
mod http;
mod service;
mod sign;

use std::sync::Arc;

use clap::Subcommand;
use raft_node::payment::{NoGateway, PaymentGateway, SimulatedGateway, SimulatedSettings};

use self::http::HttpGateway;
use crate::exit::CliError;
use crate::settings::Payments;

pub(crate) use self::http::{CALL_MS_MAX, CALLS_MAX};

/// The gateway that the flags name.
pub(crate) fn of(payments: &Payments) -> Result<Arc<dyn PaymentGateway>, CliError> {
    let gateway: Arc<dyn PaymentGateway> = match payments.gateway() {
        http_api::Gateway::None => Arc::new(NoGateway),
        http_api::Gateway::Simulated => Arc::new(SimulatedGateway::new(SimulatedSettings {
            success_ppm: payments.payment_success_rate,
            error_ppm: payments.payment_error_rate,
            delay_ms: payments.payment_delay_ms.clone(),
        })),
        http_api::Gateway::Http => Arc::new(HttpGateway::new(service::target(&payments.service)?)),
    };
    if payments.gateway() != http_api::Gateway::Http && payments.service.is_some() {
        return Err(CliError::Usage(
            "--gateway-url, --gateway-secret-file and --gateway-ca-file need --payment-gateway http"
                .to_owned(),
        ));
    }
    Ok(gateway)
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
