//! HTTPS: the certificate that clients see, and the handshake of a connection.
//!
//! The certificate may be replaced while the server runs. HTTP/1.1 is the only protocol: all bounds
//! of connections assume one request at a time. Keep HTTP/2 outside, in a proxy.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use raft_node::tls::certificate::{self, PairFiles};
use raft_node::tls::stream::Stream;
use raft_node::tls::{Error, provider};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// The first byte of a TLS connection.
const HANDSHAKE: u8 = 0x16;

/// A certificate for clients, read from its files.
pub struct HttpTls {
    files: PairFiles,
    current: RwLock<Current>,
}

struct Current {
    server: Arc<ServerConfig>,
    not_after_s: u64,
    changed: Vec<Option<SystemTime>>,
}

impl fmt::Debug for HttpTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTls").field("files", &self.files).finish()
    }
}

impl HttpTls {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// A file cannot be read or others can read the key, or the key is that of another certificate.
    pub fn load(files: PairFiles) -> Result<HttpTls, Error> {
        let current = RwLock::new(read(&files)?);
        Ok(HttpTls { files, current })
    }

    /// Reads the files again. New connections use them; open ones go on.
    ///
    /// # Errors
    /// As for [`HttpTls::load`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), Error> {
        let new = read(&self.files)?;
        *self.current.write() = new;
        Ok(())
    }

    /// Whether a file has changed since it was read.
    pub fn has_changed(&self) -> bool {
        self.current.read().changed != self.files.changed()
    }

    /// The end of the certificate's validity, in seconds since 1970.
    pub fn not_after_s(&self) -> u64 {
        self.current.read().not_after_s
    }

    /// Takes a connection. The caller bounds its time.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.current.read().server));
        let stream = acceptor.accept(socket).await?;
        Ok(Stream::Tls(Box::new(stream.into())))
    }
}

/// Whether a connection begins as TLS does. The first byte stays in the socket.
pub(crate) async fn begins_with_tls(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    match socket.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(first[0] == HANDSHAKE),
    }
}

fn read(files: &PairFiles) -> Result<Current, Error> {
    let changed = files.changed();
    let loaded = certificate::load(files)?;
    let unusable = |source| Error::Unusable { path: files.cert.clone(), source };
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(loaded.chain, loaded.key)
        .map_err(unusable)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clients that come back need no new key exchange.
    server.ticketer = rustls::crypto::ring::Ticketer::new().map_err(unusable)?;
    Ok(Current { server: Arc::new(server), not_after_s: loaded.not_after_s, changed })
}
