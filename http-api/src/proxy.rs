//! The address of a client behind a reverse proxy.
//!
//! A proxy that the operator trusts says in a header for whom it asks. The header of anybody else
//! is ignored, since every client can send one. It is read from the right, where the last proxy
//! wrote: the first address that is no trusted proxy is the client's. What cannot be read counts as
//! coming from the proxy itself.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The most addresses of one header that are looked at.
const HOPS_MAX: usize = 32;

/// Addresses with a common prefix: `10.0.0.0/8`, or a single one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong =
            || format!("`{text}` is no network: expected one such as 10.0.0.0/8, or an IP address");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let is_plain = |prefix: &&str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            None => bits,
            Some(prefix) => {
                let prefix = Some(prefix).filter(is_plain).and_then(|it| it.parse().ok());
                prefix.filter(|prefix| *prefix <= bits).ok_or_else(wrong)?
            }
        };
        let network = Network { address, prefix };
        match network.host_bits() {
            0 => Ok(network),
            _ => Err(format!("`{text}` has bits behind its prefix: write the first address")),
        }
    }
}

impl Network {
    /// Whether the address is in the network.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let network = self.address.to_canonical();
        let shift = |bits: u32| bits - self.prefix.min(bits);
        match (network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The bits of the address behind the prefix.
    fn host_bits(&self) -> u128 {
        let (bits, value) = match self.address {
            IpAddr::V4(address) => (32, u128::from(address.to_bits())),
            IpAddr::V6(address) => (128, address.to_bits()),
        };
        let kept = bits - self.prefix;
        if kept == 128 { value } else { value & ((1 << kept) - 1) }
    }
}

/// The header in which proxies say for whom they ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Their addresses.
    pub trusted: Vec<Network>,
    /// Where they say for whom they ask.
    pub header: ProxyHeader,
}

impl Proxies {
    /// Whether a peer is a trusted proxy.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(peer))
    }

    /// The client of a request that came from a peer.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => FORWARDED,
        };
        // Several headers are one list.
        let mut hops: Vec<&str> = Vec::new();
        for value in headers.get_all(name) {
            let Ok(text) = value.to_str() else { return peer };
            hops.extend(text.split(','));
        }
        let mut client = peer;
        for hop in hops.iter().rev().take(HOPS_MAX) {
            let address = match self.header {
                ProxyHeader::XForwardedFor => address_of(hop.trim()),
                ProxyHeader::Forwarded => forwarded_for(hop).and_then(address_of),
            };
            let Some(address) = address else { return client };
            client = address;
            if !self.trusts(address) {
                return client;
            }
        }
        client
    }
}

/// The address of an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for"));
    let (_, value) = named.next()?;
    Some(value.trim_matches('"'))
}

/// An address, with or without a port; IPv6 addresses with a port are in brackets.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None if text.matches(':').count() == 1 => text.split_once(':')?.0,
        None => text,
    };
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_has_their_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("::/0", "fe00::1", "1.2.3.4"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(ip(inside)), "{network:?} {inside}");
            assert!(!network.contains(ip(outside)), "{network:?} {outside}");
        }
        for wrong in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/", "10.0.0.0/+8", "a/8", "::1/64"]
        {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    fn client(header: ProxyHeader, peer: &str, values: &[&str]) -> String {
        let trusted = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let proxies = Proxies { trusted, header };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(X_FORWARDED_FOR, value.parse().unwrap());
            headers.append(FORWARDED, value.parse().unwrap());
        }
        proxies.client(ip(peer), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxy_counts() {
        let of = |peer: &str, values: &[&str]| client(ProxyHeader::XForwardedFor, peer, values);
        // Anybody else's header is ignored.
        assert_eq!(of("9.9.9.9", &["1.1.1.1"]), "9.9.9.9");
        assert_eq!(of("10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
        // The client wrote the first one.
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.1.1.1, 10.2.2.2"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.1.1.1:80", "10.2.2.2"]), "1.1.1.1");
        assert_eq!(of("10.0.0.1", &["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["::ffff:1.1.1.1"]), "1.1.1.1");
        assert_eq!(of("fd00::1", &["2001:db8::1"]), "2001:db8::1");
        // All of them are proxies, or there is nothing to read.
        assert_eq!(of("10.0.0.1", &["10.3.3.3, 10.2.2.2"]), "10.3.3.3");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        for garbage in ["", "unknown", "1.1.1.1, x", "1.1.1", "[::1", ","] {
            assert_eq!(of("10.0.0.1", &[garbage]), "10.0.0.1", "{garbage}");
        }
        assert_eq!(of("10.0.0.1", &["1.1.1.1, x, 10.2.2.2"]), "10.2.2.2");
    }

    #[test]
    fn the_standard_header_is_read_too() {
        let of = |values: &[&str]| client(ProxyHeader::Forwarded, "10.0.0.1", values);
        assert_eq!(of(&["for=1.1.1.1"]), "1.1.1.1");
        assert_eq!(of(&["for=6.6.6.6, proto=http;For=\"1.1.1.1:80\";by=10.0.0.1"]), "1.1.1.1");
        assert_eq!(of(&["for=\"[2001:db8::1]:80\""]), "2001:db8::1");
        assert_eq!(of(&["for=_hidden"]), "10.0.0.1");
        assert_eq!(of(&["1.1.1.1"]), "10.0.0.1");
    }
}
