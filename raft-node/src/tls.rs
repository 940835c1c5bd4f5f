//! TLS between nodes: both sides prove by a certificate which node of which cluster they are.
//!
//! The certificates come from files that operators make with `holdfast certs`. This file loads
//! them, checks them before they are used, and replaces them while the node runs. It decides
//! nothing about members: a certificate says who a node is, the membership says whether it belongs.
//! TLS 1.3 alone, without tickets or resumption, so every connection proves its certificate anew.

pub mod certificate;
mod error;
pub mod names;
pub mod stream;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use engine::ids::NodeId;
use parking_lot::RwLock;
use rustls::client::{Resumption, WebPkiServerVerifier, danger::ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use self::certificate::{Loaded, PairFiles};
pub use self::error::Error;

/// The protocol that both sides name in the handshake.
pub(crate) const PROTOCOL: &[u8] = b"holdfast-raft/1";

/// How many ids a search in a certificate tries.
const IDS_TRIED: usize = 1_000;

/// How a node treats peers without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Every link uses TLS.
    Require,
    /// Links use TLS where both sides can. For the step from a cluster without certificates.
    Migrate,
}

/// The files of a node's certificate, and of the authorities that it believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFiles {
    /// The node's certificate and its key.
    pub pair: PairFiles,
    /// Certificates of authorities, one after the other. During a rotation the old and the new one.
    pub ca: PathBuf,
}

/// Certificates of one node, which may be replaced while it runs.
pub struct PeerTls {
    files: PeerFiles,
    mode: Mode,
    node: NodeId,
    label: String,
    current: RwLock<Arc<Current>>,
}

/// What links use until the files change.
pub(crate) struct Current {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    own: CertificateDer<'static>,
    not_after_s: u64,
    changed: Vec<Option<SystemTime>>,
}

impl std::fmt::Debug for PeerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerTls").field("files", &self.files).field("mode", &self.mode).finish()
    }
}

impl PeerTls {
    /// Reads and checks the certificates of `node` in the cluster of this name.
    ///
    /// # Errors
    /// A file cannot be read or others can read the key; key and certificate do not belong
    /// together; the certificate is not of this node and cluster, not signed by an authority of the
    /// bundle, or not valid now.
    pub fn load(
        files: PeerFiles,
        mode: Mode,
        node: NodeId,
        cluster: &str,
    ) -> Result<PeerTls, Error> {
        let label = names::label(cluster);
        let current = RwLock::new(Arc::new(read(&files, node, &label)?));
        Ok(PeerTls { files, mode, node, label, current })
    }

    /// Reads the files again. New links use them; open ones go on.
    ///
    /// # Errors
    /// As for [`PeerTls::load`]; then everything stays as it was.
    pub fn reload(&self) -> Result<(), Error> {
        let new = read(&self.files, self.node, &self.label)?;
        *self.current.write() = Arc::new(new);
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

    /// How peers without TLS are treated.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The first id from `from` on that the certificate proves too, for a node that must take a new
    /// id. Looks at a thousand ids.
    pub fn id_from(&self, from: NodeId) -> Option<NodeId> {
        let current = self.current();
        (from.0..).take(IDS_TRIED).map(NodeId).find(|id| self.is_of(&current.own, *id))
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read())
    }

    /// The name that the certificate of a peer must have.
    pub(crate) fn name_of(&self, peer: NodeId) -> ServerName<'static> {
        names::server_name(peer, &self.label)
    }

    /// Whether a certificate that an authority signed is that of a peer. A wildcard
    /// does not count: it would prove every id.
    pub(crate) fn is_of(&self, certificate: &CertificateDer<'_>, peer: NodeId) -> bool {
        names_node(certificate, &names::of_node(peer, &self.label))
    }
}

impl PeerFiles {
    fn changed(&self) -> Vec<Option<SystemTime>> {
        let mut changed = self.pair.changed();
        changed.push(certificate::changed(&self.ca));
        changed
    }
}

/// The cryptography of all TLS here. It is named in every configuration, so that no other crate in
/// the program can change it.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Reads certificates of authorities.
///
/// # Errors
/// The file cannot be read, or has no certificate that can be an authority's.
pub fn authorities(path: &std::path::Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for authority in certificate::read_chain(path)? {
        roots.add(authority).map_err(|source| Error::Unusable { path: path.into(), source })?;
    }
    Ok(roots)
}

fn read(files: &PeerFiles, node: NodeId, label: &str) -> Result<Current, Error> {
    let changed = files.changed();
    let Loaded { chain, key, not_after_s } = certificate::load(&files.pair)?;
    let own = chain[0].clone();
    let roots = Arc::new(authorities(&files.ca)?);
    let provider = provider();
    let unusable = |source| Error::Unusable { path: files.pair.cert.clone(), source };
    let name = names::server_name(node, label);
    check(&chain, &roots, &name, &provider).map_err(|source| Error::Refused {
        path: files.pair.cert.clone(),
        name: name.to_str().into_owned(),
        source,
    })?;

    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(rustls::Error::General(error.to_string())))?;
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key.clone_key())
        .map_err(unusable)?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(unusable)?;
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    client.resumption = Resumption::disabled();
    Ok(Current { server: Arc::new(server), client: Arc::new(client), own, not_after_s, changed })
}

/// Whether a certificate has exactly this name, among others perhaps.
fn names_node(certificate: &CertificateDer<'_>, name: &str) -> bool {
    certificate::dns_names(certificate).iter().any(|one| one.eq_ignore_ascii_case(name))
}

/// Checks a node's own certificate as its peers will: better an error now than silence later.
fn check(
    chain: &[CertificateDer<'static>],
    roots: &Arc<RootCertStore>,
    name: &ServerName<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<(), rustls::Error> {
    let (leaf, others) = chain.split_first().expect("a chain that was read has a certificate");
    let now = UnixTime::now();
    let general = |error: rustls::server::VerifierBuilderError| {
        rustls::Error::General(format!("the authorities cannot be used: {error}"))
    };
    let as_server =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .build()
            .map_err(general)?;
    as_server.verify_server_cert(leaf, others, name, &[], now)?;
    let as_client =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(provider))
            .build()
            .map_err(general)?;
    as_client.verify_client_cert(leaf, others, now)?;
    match names_node(leaf, &name.to_str()) {
        true => Ok(()),
        false => Err(rustls::CertificateError::NotValidForName.into()),
    }
}
