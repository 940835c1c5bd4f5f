//! The list of orders of every user id in an order.
//!
//! Callers choose the ids, so an attacker could make a hash map slow. Most callers number their
//! users from one, so ids that are not far above the number of users lie in pages; a tree has the
//! others.

use std::collections::BTreeMap;

use crate::ids::UserId;
use crate::postings::Postings;

/// Ids in a page.
const PAGE: u64 = 64;
/// How far the ids in pages may exceed the number of users: this factor, plus this offset. It
/// bounds the cost of pages with a single user.
const SPREAD: u64 = 4;
const FIRST: u64 = 16 * PAGE;

type Page = Box<[Postings; PAGE as usize]>;

/// A list for each user.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// Page `n` has all lists of its ids.
    pages: Vec<Option<Page>>,
    /// The lists of ids without a page.
    others: BTreeMap<UserId, Postings>,
    /// How many lists there are.
    len: u64,
}

/// The page of an id, and the id's index in it.
fn place(id: UserId) -> (usize, usize) {
    (usize::try_from(id.0 / PAGE).unwrap_or(usize::MAX), (id.0 % PAGE) as usize)
}

impl Lists {
    /// The list of a user, if there is one.
    pub(super) fn get(&self, id: UserId) -> Option<&Postings> {
        let (page, at) = place(id);
        match self.pages.get(page) {
            Some(Some(page)) => Some(&page[at]).filter(|list| !list.is_empty()),
            _ => self.others.get(&id),
        }
    }

    /// The list of a user, to add an order.
    pub(super) fn of(&mut self, id: UserId) -> &mut Postings {
        let (page, at) = place(id);
        if self.has_page(page) {
            let list = &mut self.pages[page].as_mut().expect("just looked at")[at];
            self.len += u64::from(list.is_empty());
            return list;
        }
        if id.0 < FIRST + SPREAD * self.len {
            self.add_page(page);
            return self.of(id);
        }
        self.others.entry(id).or_insert_with(|| {
            self.len += 1;
            Postings::default()
        })
    }

    /// All lists, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (UserId, &Postings)> {
        let pages = (0..).zip(&self.pages).filter_map(|(n, page)| Some((n, page.as_ref()?)));
        let paged = pages.flat_map(|(n, page)| {
            (n * PAGE..).map(UserId).zip(page.iter()).filter(|(_, list)| !list.is_empty())
        });
        paged.chain(self.others.iter().map(|(id, list)| (*id, list)))
    }

    fn has_page(&self, page: usize) -> bool {
        self.pages.get(page).is_some_and(Option::is_some)
    }

    /// Makes a page, and moves lists from the tree into it.
    fn add_page(&mut self, number: usize) {
        if self.pages.len() <= number {
            self.pages.resize_with(number + 1, || None);
        }
        let mut page: Page = Box::new(std::array::from_fn(|_| Postings::default()));
        let first = number as u64 * PAGE;
        let moved: Vec<UserId> =
            self.others.range(UserId(first)..UserId(first + PAGE)).map(|(id, _)| *id).collect();
        for id in moved {
            page[place(id).1] = self.others.remove(&id).expect("just found");
        }
        self.pages[number] = Some(page);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_are_a_map_of_lists(
            ids in prop::collection::vec(
                prop_oneof![0_u64..200, 900_u64..3_000, any::<u64>()], 0..300,
            ),
        ) {
            let (mut lists, mut map) = (Lists::default(), BTreeMap::<UserId, Postings>::new());
            for (order, id) in (1..).zip(ids) {
                let id = UserId(id);
                lists.of(id).push(order);
                map.entry(id).or_default().push(order);
                prop_assert_eq!(lists.len, map.len() as u64);
                prop_assert_eq!(lists.get(id), map.get(&id));
            }
            for id in map.keys() {
                prop_assert_eq!(lists.get(*id), map.get(id));
                let other = UserId(id.0 ^ 1 << 20);
                prop_assert_eq!(lists.get(other), map.get(&other));
            }
            let all: BTreeMap<UserId, Postings> =
                lists.iter().map(|(id, list)| (id, list.clone())).collect();
            prop_assert_eq!(all, map);
        }

        #[test]
        fn far_ids_cost_no_pages(ids in prop::collection::vec(1_u64 << 32..u64::MAX, 1..50)) {
            let mut lists = Lists::default();
            for (order, id) in (1..).zip(ids) {
                lists.of(UserId(id)).push(order);
            }
            prop_assert!(lists.pages.is_empty());
        }
    }
}
