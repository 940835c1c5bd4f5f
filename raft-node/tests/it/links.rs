//! Links with TLS: who gets in, who gets nothing, and certificates that change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use engine::ids::NodeId;
use raft_node::message::{Hello, HelloVerdict};
use raft_node::tls::certificate::PairFiles;
use raft_node::tls::{Error, Mode, PeerFiles, PeerTls, names, provider};
use raft_node::{Config, Handle, Node, PeerSecurity};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{configs, product, propose, ready, start, until};

const CLUSTER: &str = "holdfast";

/// Certificates are written, read and used as they should be.
const SOUND: &str = "a sound certificate, file or connection";

/// An authority with its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate with its key.
struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new([names::of_authority(CLUSTER)]).expect(SOUND);
        params.distinguished_name.push(DnType::CommonName, "authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect(SOUND);
        let certificate = params.self_signed(&key).expect(SOUND);
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// Signs a certificate that is valid until the beginning of this year.
    fn sign(&self, name: &str, until_year: i32) -> Pair {
        let mut params = CertificateParams::new([name.to_owned()]).expect(SOUND);
        params.not_after = rcgen::date_time_ymd(until_year, 1, 1);
        let key = KeyPair::generate().expect(SOUND);
        Pair { certificate: params.signed_by(&key, &self.issuer).expect(SOUND), key }
    }

    fn node(&self, id: u64) -> Pair {
        self.sign(&names::of_node(NodeId(id), &names::label(CLUSTER)), 2090)
    }
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;

    let path = dir.join(name);
    std::fs::write(&path, text).expect(SOUND);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect(SOUND);
    // Each write is a minute later than the one before, however coarse the file system's clock is.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let minutes = WRITES.fetch_add(1, Ordering::Relaxed);
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(60 * minutes);
    let file = std::fs::File::options().append(true).open(&path).expect(SOUND);
    file.set_modified(changed).expect(SOUND);
    path
}

fn files(dir: &Path, id: u64, authority: &Authority, pair: &Pair) -> PeerFiles {
    let cert = write(dir, &format!("{id}.crt"), &pair.certificate.pem());
    let key = write(dir, &format!("{id}.key"), &pair.key.serialize_pem());
    let ca = write(dir, "ca.crt", &authority.certificate.pem());
    PeerFiles { pair: PairFiles { cert, key }, ca }
}

/// Three nodes with certificates, running.
async fn cluster(dir: &Path, authority: &Authority) -> (Vec<Config>, Vec<Node>, Vec<Handle>) {
    let mut configs = configs(dir, 3);
    for (id, config) in (1..).zip(&mut configs) {
        let files = files(dir, id, authority, &authority.node(id));
        let tls = PeerTls::load(files, Mode::Require, NodeId(id), CLUSTER).expect(SOUND);
        config.peer_security = PeerSecurity::Tls(Arc::new(tls));
    }
    let mut nodes = Vec::new();
    for config in &configs {
        nodes.push(start(config).await);
    }
    let handles: Vec<Handle> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    (configs, nodes, handles)
}

/// Everything that comes until the other end closes.
async fn read_all(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let limit = Duration::from_secs(8);
    let read = tokio::time::timeout(limit, stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection stays open");
    bytes
}

/// Connects with TLS as a stranger with this certificate, says this hello, and returns what the
/// node says over TLS.
async fn say(raft: &str, believed: &Authority, own: Option<&Pair>, hello: &Hello) -> Vec<u8> {
    let mut roots = RootCertStore::empty();
    roots.add(believed.certificate.der().clone()).expect(SOUND);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect(SOUND)
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(Pair { certificate, key }) => {
            let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
            let key = PrivateKeyDer::try_from(key.serialize_der()).expect(SOUND);
            builder.with_client_auth_cert(chain, key).expect(SOUND)
        }
    };
    config.alpn_protocols = vec![b"holdfast-raft/1".to_vec()];
    let name = names::of_node(hello.to, &names::label(CLUSTER));
    let stream = TcpStream::connect(raft).await.expect(SOUND);
    let connector = TlsConnector::from(Arc::new(config));
    let connected = connector.connect(ServerName::try_from(name).expect(SOUND), stream).await;
    let mut stream = connected.expect("the node shows its certificate first");
    let _ = stream.write_all(&hello.encode()).await;
    let mut bytes = Vec::new();
    let limit = Duration::from_secs(2);
    // Ends with an alert, with a close, or not at all if the hello is welcome.
    let _ = tokio::time::timeout(limit, stream.read_to_end(&mut bytes)).await;
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn only_nodes_with_certificates_of_this_cluster_get_an_answer() {
    let dir = tempfile::tempdir().expect(SOUND);
    let authority = Authority::new();
    let (configs, nodes, handles) = cluster(dir.path(), &authority).await;
    propose(&handles[0], product(5)).await;
    until("all links use TLS", || handles.iter().all(|it| it.metrics().peer_links_tls == 4)).await;
    assert!(handles.iter().all(|it| it.metrics().peer_links_plain == 0));

    let raft = configs[0].peers[0].raft_addr.clone();
    // A hello as a member would send it: the cluster id is the only secret in it.
    let hello = Hello {
        verdict: HelloVerdict::Welcome,
        cluster: [7; 16],
        from: NodeId(2),
        to: NodeId(1),
        incarnation: 1,
        speaks: engine::level::NEWEST,
        raft_addr: "127.0.0.1:9".to_owned(),
    };
    for bytes in [&hello.encode()[..], b"GET / HTTP/1.1\r\n\r\n", b"x", b"\x15\x03\x03", b""] {
        let mut stream = TcpStream::connect(&raft).await.expect(SOUND);
        stream.write_all(bytes).await.expect(SOUND);
        let heard = read_all(&mut stream).await;
        assert_eq!(heard, b"", "a stranger that sent {bytes:?}");
    }

    let other = Authority::new();
    let foreign = authority.sign(&names::of_node(NodeId(2), "other"), 2090);
    let expired = authority.sign(&names::of_node(NodeId(2), CLUSTER), 2020);
    let wildcard = authority.sign(&format!("*.node.{CLUSTER}.holdfast.internal"), 2090);
    let client = authority.sign("shop.example", 2090);
    for (who, own) in [
        ("nobody", None),
        ("another authority", Some(&other.node(2))),
        ("another node", Some(&authority.node(3))),
        ("another cluster", Some(&foreign)),
        ("expired", Some(&expired)),
        ("a wildcard", Some(&wildcard)),
        ("a client", Some(&client)),
    ] {
        assert_eq!(say(&raft, &authority, own, &hello).await, b"", "{who}");
    }
    let answer = say(&raft, &authority, Some(&authority.node(2)), &hello).await;
    let answer = Hello::decode(&answer).expect("a node that proves its id gets an answer");
    assert_eq!(answer.verdict, HelloVerdict::Cluster);
    assert_eq!((answer.cluster, answer.incarnation, &*answer.raft_addr), ([0; 16], 0, ""));

    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_only_hold_connections_keep_no_node_out() {
    let dir = tempfile::tempdir().expect(SOUND);
    let authority = Authority::new();
    let (configs, mut nodes, handles) = cluster(dir.path(), &authority).await;
    let raft = configs[0].peers[0].raft_addr.clone();
    // Holds all seats for those that have not said who they are, all the time.
    let opened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&opened);
    let occupying = tokio::spawn(async move {
        let mut held = std::collections::VecDeque::new();
        loop {
            if let Ok(stream) = TcpStream::connect(&raft).await {
                held.push_back(stream);
                counted.fetch_add(1, Ordering::Relaxed);
            }
            if held.len() > 64 {
                held.pop_front();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    until("all seats are taken", || opened.load(Ordering::Relaxed) > 64).await;
    let last = nodes.pop().expect(SOUND);
    drop(handles);
    last.stop().await;
    nodes.push(start(&configs[2]).await);
    let handles: Vec<Handle> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    until("links are back", || handles.iter().all(|it| it.metrics().peer_links_tls == 4)).await;
    occupying.abort();
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_change_while_nodes_run_and_bad_ones_are_not_used() {
    let dir = tempfile::tempdir().expect(SOUND);
    let authority = Authority::new();
    let (configs, nodes, handles) = cluster(dir.path(), &authority).await;
    let PeerSecurity::Tls(tls) = &configs[0].peer_security else { panic!("it has certificates") };
    // The files of the other nodes were written after this one had read the authority's.
    tls.reload().expect("it is the same authority");
    assert!(!tls.has_changed());
    let before = tls.not_after_s();

    // Another node's certificate, then a key of another one, then garbage.
    for (cert, key) in [
        (authority.node(2).certificate.pem(), authority.node(2).key.serialize_pem()),
        (authority.node(1).certificate.pem(), authority.node(1).key.serialize_pem()),
        ("garbage".to_owned(), "garbage".to_owned()),
    ] {
        write(dir.path(), "1.crt", &cert);
        write(dir.path(), "1.key", &key);
        assert!(tls.has_changed());
        assert!(tls.reload().is_err());
        assert_eq!(tls.not_after_s(), before);
    }
    // A new authority beside the old one, and a certificate that the new one signed.
    let new = Authority::new();
    let both = format!("{}{}", authority.certificate.pem(), new.certificate.pem());
    let pair = new.sign(&names::of_node(NodeId(1), CLUSTER), 2080);
    files(dir.path(), 1, &authority, &pair);
    assert!(matches!(tls.reload(), Err(Error::Refused { .. })), "nobody believes the new one yet");
    write(dir.path(), "ca.crt", &both);
    for config in &configs {
        let PeerSecurity::Tls(tls) = &config.peer_security else { panic!("certificates") };
        tls.reload().expect(SOUND);
        assert!(!tls.has_changed());
    }
    assert_ne!(tls.not_after_s(), before);
    // Links that are opened from now on use it.
    let mut nodes = nodes;
    drop(handles);
    let last = nodes.pop().expect(SOUND);
    last.stop().await;
    nodes.push(start(&configs[2]).await);
    let handles: Vec<Handle> = nodes.iter().map(Node::handle).collect();
    ready(&handles).await;
    until("links are back", || handles.iter().all(|it| it.metrics().peer_links_tls == 4)).await;
    for node in nodes {
        node.stop().await;
    }
}
