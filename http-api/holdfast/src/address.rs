//! Addresses as people type them: peers, base URLs, ranges.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The longest host name, per RFC 1035.
const HOST_BYTES_MAX: usize = 253;

/// One voter of a new cluster: `ID=RAFT_ADDR[,HTTP_ADDR]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The voter's id, from 1.
    pub(crate) id: u64,
    /// Where the other voters reach it.
    pub(crate) raft: String,
    /// Where clients reach it, when that is known.
    pub(crate) http: Option<String>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Peer, String> {
        let (id, addresses) = text
            .split_once('=')
            .ok_or("expected ID=RAFT_ADDR[,HTTP_ADDR], such as 1=127.0.0.1:7001")?;
        let id = node_id(id)?;
        let (raft, http) = match addresses.split_once(',') {
            Some((raft, http)) => (raft, Some(http)),
            None => (addresses, None),
        };
        Ok(Peer { id, raft: host_port(raft)?, http: http.map(host_port).transpose()? })
    }
}

/// Reads a node's id.
pub(crate) fn node_id(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(id) if id >= 1 => Ok(id),
        _ => Err(format!("`{text}` is no node id: expected a whole number from 1")),
    }
}

/// Reads `HOST:PORT` for others to connect to: a name or an address, and a port that is not 0.
pub(crate) fn host_port(text: &str) -> Result<String, String> {
    let (host, port) =
        text.rsplit_once(':').ok_or_else(|| format!("`{text}` is not of the form HOST:PORT"))?;
    match port.parse::<u16>() {
        Ok(0) => return Err(format!("the port of `{text}` must not be 0: others connect to it")),
        Ok(_) => {}
        Err(_) => return Err(format!("`{port}` is no port")),
    }
    if host.starts_with('[') {
        // An IPv6 address; the standard library knows their grammar.
        text.parse::<SocketAddr>().map_err(|_| format!("`{text}` is no IPv6 address and port"))?;
        return Ok(text.to_owned());
    }
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(sound) {
        return Err(format!("`{host}` is no host name or address"));
    }
    Ok(text.to_owned())
}

/// The `HOST:PORT` of a base URL such as `http://127.0.0.1:8080`; the port defaults to 80.
pub(crate) fn authority(url: &str) -> Result<String, String> {
    let rest =
        url.strip_prefix("http://").ok_or_else(|| format!("`{url}` must begin with http://"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains(['/', '?', '#', '@']) {
        return Err(format!("`{url}` must be a scheme, a host and a port, nothing more"));
    }
    let has_port = host.rfind(':') > host.rfind(']');
    host_port(&if has_port { host.to_owned() } else { format!("{host}:80") })
}

/// Reads a range of milliseconds: `50-200`, or `100` for always the same.
pub(crate) fn milliseconds(text: &str) -> Result<RangeInclusive<u64>, String> {
    const MS_MAX: u64 = 600_000;

    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |part: &str| {
        part.parse::<u64>().map_err(|_| format!("`{text}` is no range of milliseconds like 50-200"))
    };
    let (low, high) = (number(low)?, number(high)?);
    if low > high {
        return Err(format!("the range {text} ends before it begins"));
    }
    if high > MS_MAX {
        return Err(format!("{high} is more than {MS_MAX} milliseconds"));
    }
    Ok(low..=high)
}

/// Reads a reserve of disk space in MiB: 0 for none, or enough to be of use.
pub(crate) fn disk_reserve(text: &str) -> Result<u64, String> {
    const MIB_MIN: u64 = raft_node::disk::RESERVE_BYTES_MIN >> 20;
    const MIB_MAX: u64 = 1 << 24;

    match text.parse::<u64>() {
        Ok(0) => Ok(0),
        Ok(mib) if (MIB_MIN..=MIB_MAX).contains(&mib) => Ok(mib),
        _ => Err(format!("`{text}` must be 0 or a number of MiB from {MIB_MIN} to {MIB_MAX}")),
    }
}

/// Reads a share between 0 and 1 as parts per million, exactly as typed.
pub(crate) fn parts_per_million(text: &str) -> Result<u32, String> {
    let wrong = || format!("`{text}` must be a decimal number from 0 to 1 with at most six places");
    let (whole, places) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || places.len() > 6 {
        return Err(wrong());
    }
    if !places.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let parts = format!("{whole}{places:0<6}").parse::<u32>().map_err(|_| wrong())?;
    if parts > 1_000_000 { Err(wrong()) } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_read_with_and_without_an_http_address() {
        let peer: Peer = "2=10.0.0.2:7002,shop-2.internal:8080".parse().unwrap();
        assert_eq!(peer.id, 2);
        assert_eq!(peer.raft, "10.0.0.2:7002");
        assert_eq!(peer.http.as_deref(), Some("shop-2.internal:8080"));
        let peer: Peer = "1=[::1]:7001".parse().unwrap();
        assert_eq!((peer.raft.as_str(), peer.http), ("[::1]:7001", None));
    }

    #[test]
    fn what_is_no_peer_is_refused() {
        for text in [
            "",
            "1",
            "=127.0.0.1:1",
            "0=127.0.0.1:1",
            "x=127.0.0.1:1",
            "-1=127.0.0.1:1",
            "1=",
            "1=127.0.0.1",
            "1=127.0.0.1:",
            "1=127.0.0.1:0",
            "1=127.0.0.1:65536",
            "1=:7001",
            "1=a b:7001",
            "1=::1:7001",
            "1=[::1:7001",
            "1=127.0.0.1:7001,",
            "1=127.0.0.1:7001,h:1,h:2",
            "1=http://127.0.0.1:7001",
        ] {
            assert!(text.parse::<Peer>().is_err(), "{text:?} was accepted");
        }
        assert!(format!("1={}:1", "h".repeat(254)).parse::<Peer>().is_err());
    }

    #[test]
    fn a_base_url_is_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:8080").unwrap(), "127.0.0.1:8080");
        assert_eq!(authority("http://shop/").unwrap(), "shop:80");
        assert_eq!(authority("http://[::1]").unwrap(), "[::1]:80");
        assert_eq!(authority("http://[::1]:81/").unwrap(), "[::1]:81");
        for url in ["https://h", "h:1", "http://h/api", "http://u@h", "http://", "http://h:0"] {
            assert!(authority(url).is_err(), "{url} was accepted");
        }
    }

    #[test]
    fn ranges_of_milliseconds() {
        assert_eq!(milliseconds("50-200").unwrap(), 50..=200);
        assert_eq!(milliseconds("0").unwrap(), 0..=0);
        for text in ["", "-", "1-", "-1", "200-50", "1-2-3", "1.5", "1-600001"] {
            assert!(milliseconds(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn shares_are_exact() {
        for (text, parts) in
            [("0", 0), ("1", 1_000_000), ("0.8", 800_000), ("1.0", 1_000_000), ("0.000001", 1)]
        {
            assert_eq!(parts_per_million(text).unwrap(), parts, "{text}");
        }
        for text in ["", ".5", "1.1", "2", "-0.1", "0.0000001", "0.x", "NaN", "1e-1", "0.+1"] {
            assert!(parts_per_million(text).is_err(), "{text:?} was accepted");
        }
    }
}
