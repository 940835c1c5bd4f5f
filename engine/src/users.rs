//! The users and the uniqueness of their addresses, and which orders name which user.

mod lists;

use std::collections::BTreeMap;

use crate::digest::{RowHasher, Table};
use crate::ids::{OrderId, UserId};
use crate::order::Status;
use crate::postings::{COUNTED_FROM, Counts, Postings};
use crate::statuses::Statuses;
use crate::user::User;

use self::lists::Lists;

/// All users, by id from 1, and the orders of every user id that an order named, row or not.
#[derive(Debug, Default)]
pub(crate) struct Users {
    rows: Vec<User>,
    emails: BTreeMap<Box<str>, UserId>,
    orders: Lists,
    /// Only of users with so many orders that counting pays: seldom any, hence apart and quick to
    /// miss.
    counts: BTreeMap<UserId, Counts>,
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

    /// Notes that an order, the newest so far, names the user.
    pub(crate) fn post(&mut self, id: UserId, order: OrderId, statuses: &Statuses) {
        let list = self.orders.of(id);
        list.push(order.0);
        if list.len() < COUNTED_FROM {
            return;
        }
        match self.counts.get_mut(&id) {
            Some(counts) => {
                let status = statuses.get(order.0 - 1).expect("a listed order exists");
                counts.push(list.len() - 1, status);
            }
            None => drop(self.counts.insert(id, Counts::of(list, statuses))),
        }
    }

    /// Notes that an order which names the user moved.
    pub(crate) fn moved(&mut self, id: UserId, order: OrderId, from: Status, to: Status) {
        if let Some(counts) = self.counts.get_mut(&id) {
            let list = self.orders.get(id).expect("a counted list exists");
            counts.moved(list, order, from, to);
        }
    }

    /// The orders that name the user.
    pub(crate) fn orders(&self, id: UserId) -> Option<&Postings> {
        self.orders.get(id)
    }

    /// Their counts by status, once they are many.
    pub(crate) fn counts(&self, id: UserId) -> Option<&Counts> {
        self.counts.get(&id)
    }

    /// Whether just the long lists are counted, and rightly.
    pub(crate) fn counts_are_sound(&self, statuses: &Statuses) -> bool {
        let long = self.orders.iter().filter(|(_, list)| list.len() >= COUNTED_FROM);
        let recounted = long.map(|(id, list)| (id, Counts::of(list, statuses)));
        self.counts == recounted.collect()
    }

    /// Brings close where an order of the user will be posted.
    pub(crate) fn fetch(&self, id: UserId) {
        std::hint::black_box(self.orders.get(id).map(Postings::last));
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
