//! Parsers for the values of flags: ids, addresses, base URLs, ranges, shares.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Longest host name, in bytes (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// One voter of a new cluster: `ID=RAFT_ADDR[,HTTP_ADDR]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    /// The voter's id, from 1.
    pub(crate) id: u64,
    /// Address for the other voters.
    pub(crate) raft: String,
    /// Address for clients, if it is known.
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

/// Parses the id of a row, such as an order, a hold or a product.
pub(crate) fn row_id(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "expected an id: a whole number such as 42".to_owned())
}

/// Parses the id of a node: a whole number from 1.
pub(crate) fn node_id(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(id) if id >= 1 => Ok(id),
        _ => Err(format!("`{text}` is not a node id: expected a whole number from 1")),
    }
}

/// Whether a host of a URL is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Parses `HOST:PORT` that others connect to: a name or an IP address, and a port above 0.
pub(crate) fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("`{text}` is not an address: expected HOST:PORT"))?;
    match port.parse::<u16>() {
        Ok(0) => {
            return Err(format!(
                "the port of `{text}` is 0: expected a port from 1 to 65535 that others connect to"
            ));
        }
        Ok(_) => {}
        Err(_) => return Err(format!("`{port}` is not a port: expected a number from 1 to 65535")),
    }
    if host.starts_with('[') {
        // An IPv6 address: the standard library has the grammar.
        text.parse::<SocketAddr>().map_err(|_| {
            format!("`{text}` is not an IPv6 address and port: expected [ADDRESS]:PORT")
        })?;
        return Ok(text.to_owned());
    }
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.bytes().all(sound) {
        return Err(format!("`{host}` is not a host name or IP address"));
    }
    Ok(text.to_owned())
}

/// Parses a base URL such as `http://127.0.0.1:8080` into `HOST:PORT`. The port defaults to 80.
pub(crate) fn authority(url: &str) -> Result<String, String> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| format!("`{url}` is not a base URL: expected http://HOST:PORT"))?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    if host.contains(['/', '?', '#', '@']) {
        return Err(format!("`{url}` has more than a host and a port: expected http://HOST:PORT"));
    }
    let has_port = host.rfind(':') > host.rfind(']');
    host_port(&if has_port { host.to_owned() } else { format!("{host}:80") })
}

/// Parses a range of milliseconds such as `50-200`, or a constant such as `100`.
pub(crate) fn milliseconds(text: &str) -> Result<RangeInclusive<u64>, String> {
    const MS_MAX: u64 = 600_000;

    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let number = |part: &str| {
        part.parse::<u64>().map_err(|_| {
            format!("`{text}` is not a range of milliseconds: expected FROM-TO, as in 50-200")
        })
    };
    let (low, high) = (number(low)?, number(high)?);
    if low > high {
        return Err(format!("`{text}` ends before it begins: expected FROM-TO, as in 50-200"));
    }
    if high > MS_MAX {
        return Err(format!("{high} ms is too long: expected at most {MS_MAX}"));
    }
    Ok(low..=high)
}

/// Parses a bound of memory in MiB: 0 for none, or a size within the bounds.
pub(crate) fn memory_max(text: &str) -> Result<u64, String> {
    const MIB_MIN: u64 = raft_node::config::MEMORY_BYTES_MIN >> 20;
    const MIB_MAX: u64 = 1 << 24;

    match text.parse::<u64>() {
        Ok(0) => Ok(0),
        Ok(mib) if (MIB_MIN..=MIB_MAX).contains(&mib) => Ok(mib),
        _ => Err(format!("`{text}` is no bound: expected 0, or {MIB_MIN} to {MIB_MAX} MiB")),
    }
}

/// Parses a disk reserve in MiB: 0 for none, or a size within the bounds.
pub(crate) fn disk_reserve(text: &str) -> Result<u64, String> {
    const MIB_MIN: u64 = raft_node::config::RESERVE_BYTES_MIN >> 20;
    const MIB_MAX: u64 = 1 << 24;

    match text.parse::<u64>() {
        Ok(0) => Ok(0),
        Ok(mib) if (MIB_MIN..=MIB_MAX).contains(&mib) => Ok(mib),
        _ => Err(format!("`{text}` is not a reserve: expected 0, or {MIB_MIN} to {MIB_MAX} MiB")),
    }
}

/// Parses after how many seconds a node whose disk hangs ends: 0 for never, or within the bounds.
pub(crate) fn disk_stall_exit(text: &str) -> Result<u64, String> {
    const S_MIN: u64 = raft_node::config::DISK_STALL_EXIT_MS_MIN / 1_000;
    const S_MAX: u64 = 86_400;

    match text.parse::<u64>() {
        Ok(0) => Ok(0),
        Ok(seconds) if (S_MIN..=S_MAX).contains(&seconds) => Ok(seconds),
        _ => Err(format!("`{text}` is not a time: expected 0, or {S_MIN} to {S_MAX} seconds")),
    }
}

/// Parses a decimal share from 0 to 1 into parts per million, without rounding.
pub(crate) fn parts_per_million(text: &str) -> Result<u32, String> {
    let wrong = || {
        format!(
            "`{text}` is not a share: expected a decimal number from 0 to 1 with at most six places"
        )
    };
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
    fn a_peer_may_omit_its_http_address() {
        let peer: Peer = "2=10.0.0.2:7002,shop-2.internal:8080".parse().unwrap();
        assert_eq!(peer.id, 2);
        assert_eq!(peer.raft, "10.0.0.2:7002");
        assert_eq!(peer.http.as_deref(), Some("shop-2.internal:8080"));
        let peer: Peer = "1=[::1]:7001".parse().unwrap();
        assert_eq!((peer.raft.as_str(), peer.http), ("[::1]:7001", None));
    }

    #[test]
    fn malformed_peers_are_refused() {
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
    fn milliseconds_are_a_range_or_a_constant() {
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
