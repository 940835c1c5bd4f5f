//! Limits the requests per minute of each client address, customer and token.
//!
//! Each node counts by itself, in minutes that begin at the same time for all clients of a kind:
//! one map, emptied every minute. The map is bounded; when it is full, all new clients share the
//! limit of one. `service` decides which requests count.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use engine::ids::{TokenId, UserId};
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::auth::Principal;
use crate::settings::Settings;

const MINUTE: Duration = Duration::from_secs(60);

/// The most clients in the map: about 2 MiB.
const CLIENTS_MAX: usize = 1 << 16;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// Whose requests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    /// A client, by its address.
    Address(IpAddr),
    /// A customer, whatever credentials they use.
    User(UserId),
    /// A token that is limited to no customer.
    Token(TokenId),
}

impl Who {
    /// Whose a request is by its credentials. The root token has no limit.
    pub(crate) fn of(principal: &Principal) -> Option<Who> {
        match (principal.user, principal.token()) {
            (Some(user), _) => Some(Who::User(user)),
            (None, token) => token.map(Who::Token),
        }
    }
}

/// The limits of a server.
#[derive(Debug)]
pub(crate) struct Limits {
    addresses: Option<Limiter>,
    users: Option<Limiter>,
    tokens: Option<Limiter>,
}

impl Limits {
    pub(crate) fn new(settings: &Settings) -> Limits {
        Limits {
            addresses: Limiter::new(settings.rate_limit_per_minute),
            users: Limiter::new(settings.rate_limit_user_per_minute),
            tokens: Limiter::new(settings.rate_limit_token_per_minute),
        }
    }

    fn limiter(&self, who: Who) -> Option<&Limiter> {
        match who {
            Who::Address(_) => self.addresses.as_ref(),
            Who::User(_) => self.users.as_ref(),
            Who::Token(_) => self.tokens.as_ref(),
        }
    }
}

/// What one request has counted so far.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    limits: &'a Limits,
    /// Whether this request counts at all.
    is_counted: bool,
    taken: Vec<(Who, Standing)>,
}

impl<'a> Counted<'a> {
    pub(crate) fn new(limits: &'a Limits, is_counted: bool) -> Counted<'a> {
        Counted { limits, is_counted, taken: Vec::new() }
    }

    /// Counts the request for somebody, if there is a limit.
    pub(crate) fn take(&mut self, who: Who, now: Instant) {
        if let Some(limiter) = self.limits.limiter(who).filter(|_| self.is_counted) {
            self.taken.push((who, limiter.take(who, now)));
        }
    }

    /// Seconds until the client may send again, if a limit was passed.
    pub(crate) fn over_s(&self) -> Option<u64> {
        let over = self.taken.iter().filter(|(_, standing)| !standing.allowed);
        over.map(|(_, standing)| standing.reset_s).max()
    }

    /// Undoes the counts.
    pub(crate) fn give_back(&mut self) {
        for (who, standing) in &mut self.taken {
            if let Some(limiter) = self.limits.limiter(*who) {
                limiter.give_back(*who, standing);
            }
        }
    }

    /// Writes the headers of the limit that is nearest.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let nearest = self.taken.iter().min_by_key(|(_, standing)| standing.remaining);
        if let Some((_, standing)) = nearest {
            standing.write(headers);
        }
    }
}

/// Counts requests.
#[derive(Debug)]
struct Limiter {
    per_minute: u32,
    clients_max: usize,
    minute: Mutex<Minute>,
}

/// Requests since the current minute began.
#[derive(Debug)]
struct Minute {
    began: Instant,
    number: u64,
    by_client: HashMap<Who, u32>,
    by_others: u32,
}

/// The standing of a client after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    /// Whether the request was within the limit.
    allowed: bool,
    /// Seconds until the next minute, at least 1.
    reset_s: u64,
    limit: u32,
    remaining: u32,
    minute: u64,
}

impl Limiter {
    /// A limit of `per_minute` requests; `None` for 0, which means no limit.
    fn new(per_minute: u32) -> Option<Limiter> {
        let began = Instant::now();
        let (by_client, number, by_others) = (HashMap::new(), 0, 0);
        let minute = Mutex::new(Minute { began, number, by_client, by_others });
        (per_minute > 0).then_some(Limiter { per_minute, clients_max: CLIENTS_MAX, minute })
    }

    /// Counts a request, unless its client has none left.
    fn take(&self, who: Who, now: Instant) -> Standing {
        let mut minute = self.minute.lock();
        // A request that waited for the lock may be older than the minute.
        let mut age = now.saturating_duration_since(minute.began);
        if age >= MINUTE {
            minute.by_client.clear();
            (minute.began, minute.by_others) = (now, 0);
            minute.number += 1;
            age = Duration::ZERO;
        }
        let number = minute.number;
        let used = minute.used(who, self.clients_max);
        let allowed = *used < self.per_minute;
        *used += u32::from(allowed);
        Standing {
            allowed,
            reset_s: (MINUTE - age).as_secs_f64().ceil() as u64,
            limit: self.per_minute,
            remaining: self.per_minute - *used,
            minute: number,
        }
    }

    /// Undoes the count of a request.
    fn give_back(&self, who: Who, standing: &mut Standing) {
        let mut minute = self.minute.lock();
        if standing.allowed && standing.minute == minute.number {
            let used = minute.used(who, self.clients_max);
            *used = used.saturating_sub(1);
            standing.remaining = self.per_minute - *used;
        }
    }
}

impl Minute {
    /// The count of a client, or the shared one when the map is full.
    fn used(&mut self, who: Who, clients_max: usize) -> &mut u32 {
        let who = match who {
            Who::Address(address) => Who::Address(one_client(address)),
            Who::User(_) | Who::Token(_) => who,
        };
        if self.by_client.len() >= clients_max && !self.by_client.contains_key(&who) {
            return &mut self.by_others;
        }
        self.by_client.entry(who).or_insert(0)
    }
}

impl Standing {
    /// Writes the headers.
    fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset_s));
    }
}

/// One client: an IPv4 address, or an IPv6 network of 2^64 addresses, as one customer gets it.
fn one_client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn each_address_has_its_own_minute() {
        assert!(Limiter::new(0).is_none());
        let limiter = Limiter::new(3).unwrap();
        let began = Instant::now();
        let at = |address: IpAddr, ms| {
            limiter.take(Who::Address(address), began + Duration::from_millis(ms))
        };
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = at(one, 0);
        assert_eq!((first.allowed, first.remaining, first.limit), (true, 2, 3));
        assert_eq!((at(one, 1).remaining, at(one, 2).remaining), (1, 0));
        for ms in [3, 1_000, 59_000] {
            let refused = at(one, ms);
            assert_eq!((refused.allowed, refused.remaining), (false, 0));
        }
        assert!(at(other, 4).allowed);
        assert!(at(one, 61_000).allowed, "a new minute");
        assert!(at(one, 60_000).allowed, "a request that was overtaken counts where it arrives");
    }

    #[test]
    fn the_time_until_the_next_minute_is_never_too_short() {
        let limiter = Limiter::new(1).unwrap();
        let began = limiter.minute.lock().began;
        for (ms, reset_s) in [(0, 60), (1, 60), (999, 60), (1_001, 59), (30_500, 30), (59_999, 1)] {
            let standing =
                limiter.take(Who::Address(address("::1")), began + Duration::from_millis(ms));
            assert_eq!(standing.reset_s, reset_s, "after {ms} ms");
            assert!(standing.reset_s * 1000 >= 60_000 - ms);
        }
    }

    #[test]
    fn a_free_request_is_uncounted_within_its_minute() {
        let limiter = Limiter::new(2).unwrap();
        let (one, now) = (Who::Address(address("192.0.2.1")), Instant::now());
        let mut standing = limiter.take(one, now);
        assert_eq!(standing.remaining, 1);
        limiter.give_back(one, &mut standing);
        assert_eq!(standing.remaining, 2);
        let mut last = limiter.take(one, now);
        assert!(limiter.take(one, now).allowed);
        let mut refused = limiter.take(one, now);
        limiter.give_back(one, &mut refused);
        assert!(!limiter.take(one, now).allowed, "a refused request has nothing to give back");
        let later = now + Duration::from_secs(61);
        assert_eq!(limiter.take(one, later).remaining, 1);
        limiter.give_back(one, &mut last);
        assert_eq!(limiter.take(one, later).remaining, 0, "that was another minute");
    }

    #[test]
    fn memory_is_bounded_and_new_addresses_share_the_rest() {
        let limiter = Limiter { clients_max: 3, ..Limiter::new(2).unwrap() };
        let now = Instant::now();
        let client = |last: u8| Who::Address(IpAddr::from([192, 0, 2, last]));
        let take = |last: u8| limiter.take(client(last), now).allowed;
        assert!([1, 2, 3].into_iter().all(take));
        assert_eq!([take(4), take(5), take(6)], [true, true, false]);
        assert_eq!([take(1), take(1)], [true, false], "known ones keep their own");
        assert_eq!(limiter.minute.lock().by_client.len(), 3);
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let same = |a, b| one_client(address(a)) == one_client(address(b));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
    }
}
