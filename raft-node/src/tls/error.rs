//! Why certificates cannot be used.

use std::io;
use std::path::PathBuf;

/// Why certificates cannot be used. Each variant names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file is not PEM, or lacks what is needed.
    #[error("{} has no {wanted} in PEM form", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should have.
        wanted: &'static str,
    },
    /// Other users of this machine can read a key.
    #[error("every user of this machine can read {0}: `chmod o= {0}`", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// TLS cannot use the certificate, or the key is that of another one.
    #[error("the certificate {} cannot be used", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// Peers would refuse the certificate.
    #[error("the certificate {} does not prove to peers that this is {name}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// The name that it must have.
        name: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}
