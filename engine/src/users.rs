//! The users and the uniqueness of their addresses, and which orders name which user.

use std::collections::BTreeMap;

use crate::digest::{RowHasher, Table};
use crate::ids::UserId;
use crate::postings::Postings;
use crate::user::User;

/// All users, by id from 1, and the orders of every user id that an order named, row or not.
#[derive(Debug, Default)]
pub(crate) struct Users {
    rows: Vec<User>,
    emails: BTreeMap<Box<str>, UserId>,
    /// Ids are chosen by callers, so a tree: a hash map could be made slow on purpose.
    orders: BTreeMap<UserId, Postings>,
    /// How many rows the last freeze took, and how many a synced checkpoint holds.
    frozen: usize,
    stored: usize,
    sum: u64,
}

impl Users {
    /// How many users have a row.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The user's row.
    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        self.rows.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    /// Whose address it is.
    pub(crate) fn by_email(&self, email: &str) -> Option<UserId> {
        self.emails.get(email).copied()
    }

    /// Adds a user under the next id. Rows never change, so they are hashed at once.
    pub(crate) fn create(&mut self, user: User, hasher: &mut RowHasher) {
        assert_eq!(user.id.0, self.rows.len() as u64 + 1, "user ids are dense");
        self.sum = self.sum.wrapping_add(hasher.hash(Table::User, user.id.0, &user));
        self.emails.insert(user.email.clone(), user.id);
        self.rows.push(user);
    }

    /// Puts a stored user back under the next id.
    pub(crate) fn restore(&mut self, user: User, hasher: &mut RowHasher) {
        self.create(user, hasher);
        self.frozen = self.rows.len();
        self.stored = self.rows.len();
    }

    /// Notes that an order names the user.
    pub(crate) fn post(&mut self, id: UserId, order: u64) {
        self.orders.entry(id).or_default().push(order);
    }

    /// The orders that name the user.
    pub(crate) fn orders(&self, id: UserId) -> Option<&Postings> {
        self.orders.get(&id)
    }

    /// Takes the users that no synced checkpoint holds.
    pub(crate) fn take_dirty(&mut self) -> Vec<User> {
        self.frozen = self.rows.len();
        self.rows[self.stored..].to_vec()
    }

    /// Notes that what the last freeze took is stored.
    pub(crate) fn release(&mut self) {
        self.stored = self.frozen;
    }

    /// The sum of the hashes of all rows.
    pub(crate) fn digest(&self) -> u64 {
        self.sum
    }
}
