//! The users, the uniqueness of their addresses, and the orders of each user.

mod lists;

use std::collections::BTreeMap;

use crate::digest::{RowHasher, Table};
use crate::ids::{OrderId, UserId};
use crate::order::Status;
use crate::postings::{COUNTED_FROM, Counts, Postings};
use crate::statuses::Statuses;
use crate::user::User;

use self::lists::Lists;

/// All users, by id from 1, and the orders of every user id in an order, whether or not it has a
/// row.
#[derive(Debug, Default)]
pub(crate) struct Users {
    rows: Vec<User>,
    emails: BTreeMap<Box<str>, UserId>,
    orders: Lists,
    /// Only for users with enough orders that counting pays. They are few, so they have a map of
    /// their own.
    counts: BTreeMap<UserId, Counts>,
    /// How many rows the last freeze took, and how many a synced checkpoint has.
    frozen: usize,
    stored: usize,
    sum: u64,
    /// Bytes of names and addresses; each address is in the index, too.
    text_bytes: usize,
}

impl Users {
    /// How many users have a row.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Roughly the memory that the rows and their index take, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        /// A row in a list that grows by half, an entry of the index, and three allocations.
        const EACH: usize = size_of::<User>() * 3 / 2 + 40 + 3 * 16;
        (self.rows.len() * EACH + self.text_bytes) as u64
    }

    /// The user's row.
    pub(crate) fn get(&self, id: UserId) -> Option<&User> {
        self.rows.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    /// The user with this address.
    pub(crate) fn by_email(&self, email: &str) -> Option<UserId> {
        self.emails.get(email).copied()
    }

    /// Adds a user under the next id. Rows never change, so they are hashed at once.
    pub(crate) fn create(&mut self, user: User, hasher: &mut RowHasher) {
        assert_eq!(user.id.0, self.rows.len() as u64 + 1, "user ids are dense");
        self.sum = self.sum.wrapping_add(hasher.hash(Table::User, user.id.0, &user));
        self.text_bytes += user.name.len() + 2 * user.email.len();
        self.emails.insert(user.email.clone(), user.id);
        self.rows.push(user);
    }

    /// Restores a stored user under the next id.
    pub(crate) fn restore(&mut self, user: User, hasher: &mut RowHasher) {
        self.create(user, hasher);
        self.frozen = self.rows.len();
        self.stored = self.rows.len();
    }

    /// Records that the newest order is this user's.
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

    /// Records that an order of the user moved.
    pub(crate) fn moved(&mut self, id: UserId, order: OrderId, from: Status, to: Status) {
        if let Some(counts) = self.counts.get_mut(&id) {
            let list = self.orders.get(id).expect("a counted list exists");
            counts.moved(list, order, from, to);
        }
    }

    /// The orders of the user.
    pub(crate) fn orders(&self, id: UserId) -> Option<&Postings> {
        self.orders.get(id)
    }

    /// Whether the order is this user's.
    pub(crate) fn has_order(&self, id: UserId, order: OrderId) -> bool {
        self.orders.get(id).is_some_and(|list| list.contains(order.0))
    }

    /// Their counts by status, once there are many.
    pub(crate) fn counts(&self, id: UserId) -> Option<&Counts> {
        self.counts.get(&id)
    }

    /// Whether exactly the long lists have counts, and the counts are right.
    pub(crate) fn counts_are_sound(&self, statuses: &Statuses) -> bool {
        let long = self.orders.iter().filter(|(_, list)| list.len() >= COUNTED_FROM);
        let recounted = long.map(|(id, list)| (id, Counts::of(list, statuses)));
        self.counts == recounted.collect()
    }

    /// Prefetches where an order of the user will be added.
    pub(crate) fn fetch(&self, id: UserId) {
        std::hint::black_box(self.orders.get(id).map(Postings::last));
    }

    /// Takes the users that no synced checkpoint has.
    pub(crate) fn take_dirty(&mut self) -> Vec<User> {
        self.frozen = self.rows.len();
        self.rows[self.stored..].to_vec()
    }

    /// Records that what the last freeze took is stored.
    pub(crate) fn release(&mut self) {
        self.stored = self.frozen;
    }

    /// The sum of the hashes of all rows.
    pub(crate) fn digest(&self) -> u64 {
        self.sum
    }
}
