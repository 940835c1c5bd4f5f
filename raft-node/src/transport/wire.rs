//! One connection between nodes, plain or with TLS: dialling, accepting, and who is at the end.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use engine::ids::NodeId;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::config::PeerSecurity;
use crate::tls::stream::Stream;
use crate::tls::{self, Mode};

/// A peer whose machine does not acknowledge bytes for this long is unreachable, and the link
/// connects again. Otherwise the kernel would keep a connection for a quarter of an hour that a
/// firewall forgot, or wait as long after a partition as the partition took.
const ACKNOWLEDGED_MAX: Duration = Duration::from_secs(3);
/// A node that migrates dials a peer without TLS for this long before it tries TLS again.
const PLAIN_FOR: Duration = Duration::from_secs(60);
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 0x16;

/// Which way to dial a peer, while this node migrates to TLS.
#[derive(Debug, Default)]
pub(super) struct Route {
    plain_until: Option<Instant>,
}

/// Connects to a peer, and proves that it is the one.
pub(super) async fn dial(
    security: &PeerSecurity,
    route: &mut Route,
    peer: NodeId,
    raft_addr: &str,
) -> io::Result<Stream> {
    let is_only_loopback = matches!(security, PeerSecurity::Loopback);
    let tls = match security {
        PeerSecurity::Loopback | PeerSecurity::Insecure => None,
        PeerSecurity::Tls(tls) => Some(tls),
    };
    let Some(tls) = tls else {
        return Ok(Stream::Plain(connect(raft_addr, is_only_loopback).await?));
    };
    let migrates = tls.mode() == Mode::Migrate;
    // Taken: if the plain way fails too, the next attempt uses TLS again.
    if let Some(until) = route.plain_until.take()
        && migrates
        && Instant::now() < until
    {
        let stream = connect(raft_addr, false).await?;
        route.plain_until = Some(until);
        return Ok(Stream::Plain(stream));
    }
    let stream = connect(raft_addr, false).await?;
    let connector = TlsConnector::from(tls.current().client.clone());
    match connector.connect(tls.name_of(peer), stream).await {
        Ok(stream) => {
            let stream = checked(stream.into())?;
            // TLS would take a wildcard.
            match proves(&stream, security, peer) {
                true => Ok(stream),
                false => Err(io::Error::other("the certificate is not that of the peer alone")),
            }
        }
        Err(error) if migrates && is_no_tls(&error) => {
            let stream = connect(raft_addr, false).await?;
            route.plain_until = Some(Instant::now() + PLAIN_FOR);
            Ok(Stream::Plain(stream))
        }
        Err(error) => Err(error),
    }
}

/// Takes a connection. Without a handshake, nothing is sent: a stranger that does not speak TLS
/// learns nothing.
pub(super) async fn accept(security: &PeerSecurity, stream: TcpStream) -> io::Result<Stream> {
    stream.set_nodelay(true)?;
    let PeerSecurity::Tls(tls) = security else { return Ok(Stream::Plain(stream)) };
    let mut first = [0];
    // The first byte stays in the socket.
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != TLS_HANDSHAKE {
        return match tls.mode() {
            Mode::Migrate => Ok(Stream::Plain(stream)),
            Mode::Require => Err(io::Error::other("a peer without TLS was refused")),
        };
    }
    let acceptor = TlsAcceptor::from(tls.current().server.clone());
    checked(acceptor.accept(stream).await?.into())
}

fn checked(stream: TlsStream<TcpStream>) -> io::Result<Stream> {
    // Without this, a client that names no protocol would pass.
    match stream.get_ref().1.alpn_protocol() {
        Some(tls::PROTOCOL) => Ok(Stream::Tls(Box::new(stream))),
        _ => Err(io::Error::other("the other end did not ask for the protocol of nodes")),
    }
}

/// Whether the node at the other end is `peer`, as far as its certificate says so. A plain
/// connection proves nothing and passes.
pub(super) fn proves(stream: &Stream, security: &PeerSecurity, peer: NodeId) -> bool {
    match (stream, security) {
        (Stream::Tls(stream), PeerSecurity::Tls(tls)) => {
            let certificates = stream.get_ref().1.peer_certificates();
            certificates.and_then(<[_]>::first).is_some_and(|own| tls.is_of(own, peer))
        }
        (Stream::Tls(_), _) => false,
        (Stream::Plain(_), _) => true,
    }
}

/// Whether connections from this address may be taken.
pub(super) fn may_come_from(security: &PeerSecurity, source: SocketAddr) -> bool {
    match security {
        PeerSecurity::Loopback => source.ip().to_canonical().is_loopback(),
        PeerSecurity::Insecure | PeerSecurity::Tls(_) => true,
    }
}

/// Whether a handshake failed because the other end does not speak TLS, rather than because it
/// refused us or proved nothing. A node without TLS closes at once.
fn is_no_tls(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe)
}

async fn connect(raft_addr: &str, is_only_loopback: bool) -> io::Result<TcpStream> {
    let stream = if is_only_loopback {
        let mut found = lookup_host(raft_addr).await?;
        let address = found.find(|address| address.ip().to_canonical().is_loopback());
        let far = || {
            io::Error::other(format!(
                "{raft_addr} is not a loopback address, and this node has no certificates for \
                 peers (--peer-cert)"
            ))
        };
        TcpStream::connect(address.ok_or_else(far)?).await?
    } else {
        TcpStream::connect(raft_addr).await?
    };
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let limit_ms = u32::try_from(ACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
        rustix::net::sockopt::set_tcp_user_timeout(&stream, limit_ms)?;
    }
    Ok(stream)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// The fault `half-open` of the jepsen crate shows why; it needs a packet filter.
    #[tokio::test]
    async fn a_link_whose_bytes_nobody_acknowledges_is_given_up_soon() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(&listener.local_addr().unwrap().to_string(), true).await.unwrap();
        let limit_ms = rustix::net::sockopt::tcp_user_timeout(&stream).unwrap();
        assert_eq!(Duration::from_millis(u64::from(limit_ms)), ACKNOWLEDGED_MAX);
    }

    #[tokio::test]
    async fn without_certificates_only_loopback_addresses_are_dialled_and_accepted() {
        let error = connect("192.0.2.1:7", true).await.unwrap_err();
        assert!(error.to_string().contains("--peer-cert"), "{error}");
        for (source, here) in
            [("127.0.0.1:5", true), ("[::ffff:127.0.0.1]:5", true), ("192.0.2.1:5", false)]
        {
            let source = source.parse().unwrap();
            assert_eq!(may_come_from(&PeerSecurity::Loopback, source), here);
            assert!(may_come_from(&PeerSecurity::Insecure, source));
        }
    }
}
