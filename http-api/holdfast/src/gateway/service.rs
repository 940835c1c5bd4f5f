//! The payment service that flags name: its address, secrets and authorities.

use std::path::Path;

use rustls::RootCertStore;

use super::http::Target;
use crate::exit::CliError;
use crate::settings::{self, ServiceFlags};

/// Where Linux distributions keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// The service with its secrets and authorities.
pub(super) fn target(flags: &ServiceFlags) -> Result<Target, CliError> {
    let missing = |flag: &str| CliError::Usage(format!("the payment service needs {flag}"));
    let url = flags.gateway_url.as_deref().ok_or_else(|| missing("--gateway-url"))?;
    let file = flags.gateway_secret_file.as_deref();
    let file = file.ok_or_else(|| missing("--gateway-secret-file"))?;
    let secrets = settings::secrets_of(file, "--gateway-secret-file")?;
    if let Some(short) = secrets.iter().map(String::len).find(|length| *length < 16) {
        return Err(CliError::Usage(format!(
            "--gateway-secret-file {} has a secret of {short} bytes: expected at least 16",
            file.display()
        )));
    }
    let target = Target::new(url, secrets, || roots(flags.gateway_ca_file.as_deref()));
    target.map_err(CliError::Usage)
}

/// The authorities of a file, or those that the system trusts.
fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
    let path = ca_file.or_else(system).ok_or_else(|| {
        "this system has no file of trusted authorities: name one with --gateway-ca-file".to_owned()
    })?;
    raft_node::tls::authorities(path).map_err(|error| crate::exit::chain(&error))
}
