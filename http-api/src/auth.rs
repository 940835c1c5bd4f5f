//! Who sent a request, and what they may do.
//!
//! Credentials are a bearer token: the root token of this node, from a file, a token of the
//! cluster, of which the replicated state has a hash, or one that a shop signed for its customer.
//! This file decides by what this node has applied. Apply decides once more for writes, and reads
//! look again after their barrier, so a revoked token counts for nothing from its position in the
//! log on, also on a node that lags.

mod base64url;
pub(crate) mod customers;
pub(crate) mod jwt;
pub(crate) mod secret;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use client::wire::ErrorCode;
use engine::actor::Actor;
use engine::auth::{Mode, Scope, Scopes};
use engine::ids::{Timestamp, TokenId, UserId};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use parking_lot::Mutex;
use raft_node::Handle;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::jwt::{CustomerKeys, Refusal};
use self::secret::Secret;
use crate::failure::Failure;

/// The longest wait for the end of a token's life; then its stream looks again.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// The root token of a node, hashed. Who has it may do everything here. Clones share it, so that it
/// can be replaced while the node runs.
#[derive(Clone)]
pub struct RootToken(Arc<Mutex<Root>>);

#[derive(Clone, Copy)]
struct Root {
    hash: [u8; 32],
    /// How often it was replaced.
    version: u64,
}

impl RootToken {
    /// The shortest root token, in bytes.
    pub const BYTES_MIN: usize = 32;
    /// The longest root token, in bytes.
    pub const BYTES_MAX: usize = 255;

    /// Keeps the hash of a token of 32 to 255 visible ASCII characters.
    ///
    /// # Errors
    /// What is wrong with the token. It does not quote it.
    pub fn new(text: &str) -> Result<RootToken, &'static str> {
        let hash = Self::hash(text)?;
        Ok(RootToken(Arc::new(Mutex::new(Root { hash, version: 0 }))))
    }

    /// Replaces the token everywhere. Who has the former one may do nothing any more, and their
    /// streams end. True when it differs.
    ///
    /// # Errors
    /// What is wrong with the token; the former one stays.
    pub fn replace(&self, text: &str) -> Result<bool, &'static str> {
        let hash = Self::hash(text)?;
        let mut root = self.0.lock();
        let differs = root.hash != hash;
        if differs {
            *root = Root { hash, version: root.version + 1 };
        }
        Ok(differs)
    }

    fn hash(text: &str) -> Result<[u8; 32], &'static str> {
        let is_sound = (Self::BYTES_MIN..=Self::BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        match is_sound {
            true => Ok(Sha256::digest(text).into()),
            false => Err("a root token has 32 to 255 visible ASCII characters"),
        }
    }

    /// The version of the token, if the text is it.
    fn version_of(&self, text: &str) -> Option<u64> {
        let root = *self.0.lock();
        let given: [u8; 32] = Sha256::digest(text).into();
        bool::from(given.ct_eq(&root.hash)).then_some(root.version)
    }

    /// Whether the token still has this version.
    fn has(&self, version: u64) -> bool {
        self.0.lock().version == version
    }
}

impl fmt::Debug for RootToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootToken(…)")
    }
}

/// What an endpoint demands of its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Its row does not say. It is closed to all but administrators, and a test fails.
    Unset,
    /// Nothing.
    Open,
    /// Credentials that are valid, whatever they allow.
    Known,
    /// Credentials with a scope.
    Scope(Scope),
    /// Credentials with a scope, or a signature, which the handler checks.
    Signed(Scope),
    /// Credentials with a scope; or none, if applications sign each channel.
    Channels(Scope),
}

impl Access {
    /// The scope that credentials must have.
    pub(crate) fn scope(self) -> Option<Scope> {
        match self {
            Access::Unset => Some(Scope::AuthAdmin),
            Access::Open | Access::Known => None,
            Access::Scope(scope) | Access::Signed(scope) | Access::Channels(scope) => Some(scope),
        }
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) actor: Actor,
    pub(crate) scopes: Scopes,
    /// The user whose rows the credentials are limited to.
    pub(crate) user: Option<UserId>,
    /// When the credentials end.
    pub(crate) expires_at: Option<Timestamp>,
    /// The generation of the tokens when this was decided; of the root token its version.
    generation: u64,
}

/// Decides who may do what on this node. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    root: Option<RootToken>,
    customers: Option<Arc<CustomerKeys>>,
    /// Whether applications sign the channels of WebSockets.
    has_apps: bool,
    handle: Handle,
}

impl Gate {
    pub(crate) fn new(
        root: Option<RootToken>,
        customers: Option<Arc<CustomerKeys>>,
        has_apps: bool,
        handle: Handle,
    ) -> Gate {
        Gate { root, customers, has_apps, handle }
    }

    /// Whether a request without credentials proves itself later.
    fn is_proved_later(&self, access: Access) -> bool {
        match access {
            Access::Signed(_) => true,
            Access::Channels(_) => self.has_apps,
            _ => false,
        }
    }

    /// Whether credentials are required here. A root token that is given is enforced: a node that
    /// has one is never open because nobody has set the mode yet.
    pub(crate) fn mode(&self) -> Mode {
        match self.handle.auth().mode() {
            Mode::Off if self.root.is_some() => Mode::Required,
            mode => mode,
        }
    }

    /// Whether somebody has the root token of this node.
    pub(crate) fn has_root(&self) -> bool {
        self.root.is_some()
    }

    /// Finds out who sent a request, if they may use the endpoint. Also says whether it came
    /// without credentials although the mode asks for them, as `optional` allows.
    pub(crate) fn admit(
        &self,
        headers: &HeaderMap,
        access: Access,
    ) -> Result<(Principal, bool), Failure> {
        let mode = self.mode();
        if mode == Mode::Off || access == Access::Open {
            return Ok((self.anonymous(), false));
        }
        let principal = match bearer(headers)? {
            Some(text) => self.recognise(text)?,
            None if self.is_proved_later(access) => return Ok((self.anonymous(), false)),
            None if mode == Mode::Optional => return Ok((self.anonymous(), true)),
            None => return Err(missing()),
        };
        match access.scope() {
            Some(scope) if !principal.scopes.has(scope) => Err(lacks(scope)),
            _ => Ok((principal, false)),
        }
    }

    /// Whether the principal still may do what it could. Cheap while no token has changed.
    pub(crate) fn look_again(&self, principal: &Principal) -> Result<(), Failure> {
        let auth = self.handle.auth();
        let is_over = principal.expires_at.is_some_and(|end| end <= self.now());
        let is_gone = match principal.actor {
            Actor::Token(id) if auth.generation() != principal.generation => {
                auth.token(id).is_none()
            }
            Actor::Nobody => auth.generation() != principal.generation && self.shuts_out_nobody(),
            Actor::Root(_) => self.root.as_ref().is_none_or(|root| !root.has(principal.generation)),
            _ => false,
        };
        if is_over || is_gone { Err(wrong()) } else { Ok(()) }
    }

    /// Returns when the principal may no longer go on: its token was revoked or has expired, or
    /// credentials are required now and it has none.
    pub(crate) async fn ended(self, principal: Principal) {
        let mut changes = self.handle.watch_auth();
        loop {
            if self.look_again(&principal).is_err() {
                return;
            }
            let rest = principal.expires_at.map(|end| end.0.saturating_sub(self.now().0));
            let wait = rest.map_or(LOOK_MAX, |ms| Duration::from_millis(ms.max(1)).min(LOOK_MAX));
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn shuts_out_nobody(&self) -> bool {
        self.mode() == Mode::Required
    }

    /// Somebody without credentials: where they are not asked for, that is no limit.
    fn anonymous(&self) -> Principal {
        Principal {
            actor: Actor::Nobody,
            scopes: Scopes::ALL,
            user: None,
            expires_at: None,
            generation: self.handle.auth().generation(),
        }
    }

    fn recognise(&self, text: &str) -> Result<Principal, Failure> {
        match (self.token(text), &self.customers) {
            (Some(principal), _) => Ok(principal),
            (None, Some(keys)) if CustomerKeys::is_jwt(text) => self.customer(keys, text),
            (None, _) => Err(wrong()),
        }
    }

    /// A customer by the token that their shop signed.
    fn customer(&self, keys: &CustomerKeys, text: &str) -> Result<Principal, Failure> {
        let customer = keys.verify(text, self.now()).map_err(|refusal| match refusal {
            Refusal::Wrong => wrong(),
            Refusal::TooMany => Failure::too_many_requests(1),
        })?;
        Ok(Principal {
            actor: Actor::Customer { user: customer.user },
            scopes: customer.scopes,
            user: Some(customer.user),
            expires_at: Some(customer.expires_at),
            generation: self.handle.auth().generation(),
        })
    }

    fn token(&self, text: &str) -> Option<Principal> {
        let auth = self.handle.auth();
        let generation = auth.generation();
        if let Some(generation) = self.root.as_ref().and_then(|root| root.version_of(text)) {
            let actor = Actor::Root(self.handle.node_id());
            let (scopes, user, expires_at) = (Scopes::ALL, None, None);
            return Some(Principal { actor, scopes, user, expires_at, generation });
        }
        let secret = Secret::read(text)?;
        let token = auth.token(secret.id)?;
        let is_right: bool = secret.hash().ct_eq(&token.hash).into();
        if !is_right || !token.is_live(self.now()) {
            return None;
        }
        let (actor, scopes) = (Actor::Token(token.id), token.scopes);
        let (user, expires_at) = (token.user, token.expires_at);
        Some(Principal { actor, scopes, user, expires_at, generation })
    }

    /// The moment by which tokens are judged here: the replicated clock, or this machine's if that
    /// is later, because the clock of an idle cluster stands still. Apply judges by the replicated
    /// clock alone.
    fn now(&self) -> Timestamp {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        self.handle.read(|state| state.clock()).max(wall)
    }
}

impl Principal {
    /// The token that was used, if it was one.
    pub(crate) fn token(&self) -> Option<TokenId> {
        match self.actor {
            Actor::Token(id) => Some(id),
            _ => None,
        }
    }
}

/// The text of the bearer token of a request.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value,
        (Some(_), Some(_)) => {
            return Err(Failure::malformed("There must be at most one Authorization header."));
        }
    };
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    match parts {
        Some((scheme, text)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(text.trim())),
        _ => Err(other_scheme()),
    }
}

fn missing() -> Failure {
    let text = "This cluster asks for credentials: send `Authorization: Bearer` and a token.";
    Failure::new(ErrorCode::Unauthorized, text)
}

fn other_scheme() -> Failure {
    let text = "The Authorization header must be `Bearer`, a space and a token; other schemes are not \
                read.";
    Failure::new(ErrorCode::Unauthorized, text)
}

/// One text for all that may be wrong with a token: a stranger learns nothing.
pub(crate) fn wrong() -> Failure {
    let text = "The token is unknown, was revoked or has expired.";
    Failure::new(ErrorCode::Unauthorized, text)
}

fn lacks(scope: Scope) -> Failure {
    let text = format!("The token lacks the scope {}.", scope.as_str());
    Failure::new(ErrorCode::Forbidden, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_token_is_long_and_not_shown() {
        let text = "0123456789abcdef0123456789ABCDEF";
        let root = RootToken::new(text).unwrap();
        assert_eq!(root.version_of(text), Some(0));
        assert!(root.version_of(&text[1..]).is_none() && root.version_of("").is_none());
        assert_eq!(format!("{root:?}"), "RootToken(…)");
        for wrong in ["", &text[1..], "0123456789abcdef 0123456789ABCDEF", &"x".repeat(256)] {
            assert!(RootToken::new(wrong).is_err(), "{wrong}");
            assert!(root.replace(wrong).is_err(), "{wrong}");
        }
        let other = text.replace('0', "x");
        let shared = root.clone();
        assert_eq!((root.replace(text), root.replace(&other)), (Ok(false), Ok(true)));
        assert_eq!((shared.version_of(text), shared.version_of(&other)), (None, Some(1)));
        assert!(shared.has(1) && !shared.has(0));
    }

    #[test]
    fn the_scheme_is_bearer_and_given_once() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            bearer(&headers).map(|text| text.map(str::to_owned)).map_err(|failure| failure.code())
        };
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["Bearer abc"]), Ok(Some("abc".into())));
        assert_eq!(read(&["bEARER  abc "]), Ok(Some("abc".into())));
        for wrong in ["Basic abc", "Bearer", "abc", ""] {
            assert_eq!(read(&[wrong]), Err(ErrorCode::Unauthorized), "{wrong}");
        }
        assert_eq!(read(&["Bearer a", "Bearer a"]), Err(ErrorCode::MalformedRequest));
    }
}
