//! The tokens and the mode, and which of their rows the next checkpoint writes.
//!
//! They are few and change rarely, so each checkpoint writes changed rows in the transaction that
//! publishes it, and a node shares the whole table with its readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bincode::{Decode, Encode};

use crate::auth::{Mode, TOKENS_MAX, Token};
use crate::digest::{RowHasher, Table};
use crate::ids::{Timestamp, TokenId};

/// What is about all tokens. The default has no row and hashes as nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Head {
    pub(crate) mode: Mode,
    /// Moves with every change of the mode or of a token, so that what was decided earlier is
    /// decided again.
    pub(crate) generation: u64,
    /// How many tokens were ever created: the last id.
    pub(crate) created: u64,
}

impl Head {
    pub(crate) fn is_plain(&self) -> bool {
        *self == Head::default()
    }

    /// Its share of the digest: 0 for the default.
    pub(crate) fn hash(&self, hasher: &mut RowHasher) -> u64 {
        if self.is_plain() { 0 } else { hasher.hash(Table::Auth, 0, self) }
    }
}

/// A token's share of the digest.
pub(crate) fn hash_token(hasher: &mut RowHasher, token: &Token) -> u64 {
    hasher.hash(Table::Token, token.id.0, token)
}

/// The mode and the tokens, for readers: cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    pub(crate) head: Head,
    tokens: Arc<BTreeMap<TokenId, Arc<Token>>>,
}

impl Auth {
    /// Whether requests need credentials.
    pub fn mode(&self) -> Mode {
        self.head.mode
    }

    /// A number that moves with every change.
    pub fn generation(&self) -> u64 {
        self.head.generation
    }

    /// The token of this id, unless it was revoked.
    pub fn token(&self, id: TokenId) -> Option<&Token> {
        self.tokens.get(&id).map(|token| &**token)
    }

    /// The tokens with ids above `after`, by id.
    pub fn tokens(&self, after: TokenId) -> impl Iterator<Item = &Token> {
        let above = (std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded);
        self.tokens.range(above).map(|(_, token)| &**token)
    }

    /// How many tokens there are.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }
}

/// The part of the state.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    auth: Auth,
    /// Ids whose rows changed since the last freeze, and those that it took.
    changed: BTreeSet<TokenId>,
    frozen: BTreeSet<TokenId>,
    sum: u64,
}

impl Tokens {
    /// What readers see.
    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Sets whether credentials are required. False when nothing changed.
    pub(crate) fn set_mode(&mut self, mode: Mode) -> bool {
        let differs = self.auth.head.mode != mode;
        if differs {
            self.auth.head.mode = mode;
            self.auth.head.generation += 1;
        }
        differs
    }

    /// Whether one more token fits, after those that expired were removed if need be.
    pub(crate) fn has_room(&mut self, now: Timestamp, hasher: &mut RowHasher) -> bool {
        if self.auth.len() >= TOKENS_MAX {
            let all = self.auth.tokens.values();
            let over: Vec<_> = all.filter(|it| !it.is_live(now)).map(|it| it.id).collect();
            for id in over {
                self.revoke(id, hasher);
            }
        }
        self.auth.len() < TOKENS_MAX
    }

    /// The id of the next token.
    pub(crate) fn next_id(&self) -> TokenId {
        TokenId(self.auth.head.created + 1)
    }

    /// Whether a token of this id existed.
    pub(crate) fn existed(&self, id: TokenId) -> bool {
        (1..=self.auth.head.created).contains(&id.0)
    }

    /// Adds the token with the next id.
    pub(crate) fn create(&mut self, token: Token, hasher: &mut RowHasher) {
        assert_eq!(token.id, self.next_id(), "token ids are in order");
        self.auth.head.created = token.id.0;
        self.auth.head.generation += 1;
        self.changed.insert(token.id);
        self.insert(token, hasher);
    }

    /// Removes a token. False when there is none.
    pub(crate) fn revoke(&mut self, id: TokenId, hasher: &mut RowHasher) -> bool {
        let Some(token) = Arc::make_mut(&mut self.auth.tokens).remove(&id) else { return false };
        self.sum = self.sum.wrapping_sub(hash_token(hasher, &token));
        self.auth.head.generation += 1;
        self.changed.insert(id);
        true
    }

    /// Removes all tokens.
    pub(crate) fn revoke_all(&mut self, hasher: &mut RowHasher) {
        let all: Vec<_> = self.auth.tokens.keys().copied().collect();
        for id in all {
            self.revoke(id, hasher);
        }
    }

    /// Restores what a checkpoint has. False when it contradicts itself.
    pub(crate) fn restore(
        head: Head,
        tokens: Vec<Token>,
        hasher: &mut RowHasher,
    ) -> Option<Tokens> {
        let mut restored = Tokens::default();
        restored.auth.head = head;
        for token in tokens {
            if !restored.existed(token.id) || restored.auth.len() >= TOKENS_MAX {
                return None;
            }
            restored.insert(token, hasher);
        }
        Some(restored)
    }

    fn insert(&mut self, token: Token, hasher: &mut RowHasher) {
        self.sum = self.sum.wrapping_add(hash_token(hasher, &token));
        let before = Arc::make_mut(&mut self.auth.tokens).insert(token.id, Arc::new(token));
        assert!(before.is_none(), "a token's id is used once");
    }

    /// The share of the digest.
    pub(crate) fn digest(&self, hasher: &mut RowHasher) -> u64 {
        self.sum.wrapping_add(self.auth.head.hash(hasher))
    }

    /// Takes the rows that no synced checkpoint has; `None` for a row that is gone.
    pub(crate) fn take_dirty(&mut self) -> FrozenTokens {
        self.frozen.append(&mut self.changed);
        let row = |id: &TokenId| (*id, self.auth.tokens.get(id).cloned());
        FrozenTokens { head: self.auth.head, rows: self.frozen.iter().map(row).collect() }
    }

    /// Records that what the last freeze took is stored.
    pub(crate) fn release(&mut self) {
        self.frozen.clear();
    }

    /// Whether the sum and the ids fit the rows.
    pub(crate) fn is_sound(&self) -> bool {
        let mut hasher = RowHasher::default();
        let tokens = self.auth.tokens.iter();
        let sum = tokens
            .clone()
            .fold(0_u64, |sum, (_, token)| sum.wrapping_add(hash_token(&mut hasher, token)));
        sum == self.sum
            && self.auth.len() <= TOKENS_MAX
            && tokens.clone().all(|(id, token)| *id == token.id && self.existed(*id))
    }
}

/// The rows of tokens that one checkpoint writes.
#[derive(Debug)]
pub(crate) struct FrozenTokens {
    pub(crate) head: Head,
    pub(crate) rows: Vec<(TokenId, Option<Arc<Token>>)>,
}
