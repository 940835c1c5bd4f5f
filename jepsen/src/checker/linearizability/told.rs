//! The order in a node's ledger at the end, checked against every answer.
//!
//! A node's ledger says in which order units were taken and returned. If each of these moments fits
//! between its request and its answer, and every read finds a place among them where it sees its
//! result, then that order explains everything and no search is needed. The ledger is not trusted:
//! what it says either is such an order, or is ignored, and then the search decides.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};

use super::facts::NEVER;
use super::problem::{Look, Part, Saw, Window};
use super::state::{Write, gives, order_of};
use crate::history::{Call, History, Move, Outcome, Reply};

/// The movements in one node's ledgers, in their order.
pub(super) fn moves(history: &History) -> Vec<&Move> {
    let told = history.operations.iter().find_map(|operation| {
        match (&operation.call, &operation.outcome) {
            (Call::Dump, Outcome::Ok(Reply::Dump(dump))) if !dump.moves.is_empty() => Some(dump),
            _ => None,
        }
    });
    let mut moves: Vec<&Move> = told.map_or(&[][..], |dump| &dump.moves).iter().collect();
    // Those of one product are in order already.
    moves.sort_by_key(|moved| moved.index);
    moves
}

/// Whether the movements explain all that was seen of a part.
///
/// # Errors
/// The operation that finds no place among them, if this order is possible at all.
pub(super) fn explains(part: &Part, moves: &[&Move]) -> Result<(), Option<usize>> {
    let writes = writes(part, moves).ok_or(None)?;
    let told = Told::of(part, writes).ok_or(None)?;
    told.has_room_for(part).map_err(Some)
}

/// The writes of a part in the ledger's order; `None` when they are not those of its orders.
fn writes(part: &Part, moves: &[&Move]) -> Option<Vec<Write>> {
    let names = part.products.iter().enumerate();
    let products: HashMap<&str, usize> = names.map(|(at, (name, _))| (name.as_str(), at)).collect();
    let names = part.orders.iter().enumerate();
    let orders: HashMap<&str, usize> = names.map(|(at, order)| (order.name.as_str(), at)).collect();
    let mut writes = Vec::new();
    let mut group: Vec<VecDeque<Write>> = vec![VecDeque::new(); part.products.len()];
    let mut last = 0;
    for moved in moves {
        let Some(product) = products.get(moved.product.as_str()) else { continue };
        if moved.index != last {
            join(part, &mut group, &mut writes)?;
            last = moved.index;
        }
        let order = orders.get(moved.order.as_str())?;
        group[*product].push_back(2 * order + usize::from(moved.back));
    }
    join(part, &mut group, &mut writes)?;
    Some(writes)
}

/// Merges the lists of several products into one, in which an order of several products occurs
/// once. All its movements have one position in the log.
fn join(part: &Part, lines: &mut [VecDeque<Write>], writes: &mut Vec<Write>) -> Option<()> {
    while lines.iter().any(|line| !line.is_empty()) {
        let fits = |write: &&Write| {
            let of = &part.orders[order_of(**write)].lines;
            of.iter().all(|(product, _)| lines[*product].front() == Some(*write))
        };
        let next = *lines.iter().filter_map(VecDeque::front).find(fits)?;
        lines.iter_mut().filter(|line| line.front() == Some(&next)).for_each(|line| {
            line.pop_front();
        });
        writes.push(next);
    }
    Some(())
}

/// An order of writes that is possible by the times of requests and answers.
struct Told {
    /// The earliest and the latest moment of each write.
    earliest: Vec<u64>,
    latest: Vec<u64>,
    /// The units of each product before the first write and after each one.
    stock: Vec<Vec<i64>>,
    /// Where each order took its units.
    placed: BTreeMap<usize, usize>,
}

impl Told {
    fn of(part: &Part, writes: Vec<Write>) -> Option<Self> {
        let mut windows: Vec<Window> = Vec::new();
        let mut placed: BTreeMap<usize, usize> = BTreeMap::new();
        let mut stock: Vec<Vec<i64>> =
            part.products.iter().map(|(_, initial)| vec![*initial]).collect();
        let mut over = vec![false; 2 * part.orders.len()];
        for (at, write) in writes.iter().enumerate() {
            let number = order_of(*write);
            let order = &part.orders[number];
            if std::mem::replace(&mut over[*write], true) {
                return None;
            }
            if gives(*write) {
                placed.get(&number)?;
                windows.push(order.back?);
            } else {
                placed.insert(number, at);
                windows.push(order.place);
            }
            stock.iter_mut().for_each(|units| units.push(units[at]));
            for (product, qty) in &order.lines {
                let units = &mut stock[*product][at + 1];
                *units += if gives(*write) { *qty } else { -qty };
                if *units < 0 {
                    return None;
                }
            }
        }
        for (number, order) in part.orders.iter().enumerate() {
            let must = |window: Window| window.until != NEVER;
            let forgotten = must(order.place) && !over[2 * number]
                || order.back.is_some_and(must) && !over[2 * number + 1];
            let rivals = order.group.is_some() && over[2 * number];
            if forgotten || rivals {
                return None;
            }
        }
        let earliest: Vec<u64> = windows
            .iter()
            .scan(0, |last, window| {
                *last = window.since.max(*last);
                Some(*last)
            })
            .collect();
        if earliest.iter().zip(&windows).any(|(earliest, window)| *earliest > window.until) {
            return None;
        }
        let mut latest: Vec<u64> = windows
            .iter()
            .rev()
            .scan(NEVER, |last, window| {
                *last = window.until.min(*last);
                Some(*last)
            })
            .collect();
        latest.reverse();
        Some(Self { earliest, latest, stock, placed })
    }

    /// Whether every read finds a gap between two writes, and none an earlier one than a read that
    /// ended before it began. The first such gap leaves the most choices to the others.
    fn has_room_for(&self, part: &Part) -> Result<(), usize> {
        let mut looks: Vec<&Look> = part.looks.iter().collect();
        looks.sort_by_key(|look| look.window.since);
        let mut open: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
        let mut floor = 0;
        for look in looks {
            let Window { since, until } = look.window;
            while let Some(Reverse((ended, gap))) = open.peek().copied()
                && ended < since
            {
                open.pop();
                floor = floor.max(gap);
            }
            // Gap 0 is before the first write.
            let first = self.latest.partition_point(|latest| *latest < since).max(floor);
            let last = self.earliest.partition_point(|earliest| *earliest <= until);
            let gap = (first..=last).find(|gap| self.sees(look, *gap)).ok_or(look.source)?;
            open.push(Reverse((until, gap)));
        }
        Ok(())
    }

    fn sees(&self, look: &Look, gap: usize) -> bool {
        match &look.saw {
            Saw::Stock(product, stock) => self.stock[*product][gap] == *stock,
            Saw::TooFew(lines, order) => {
                let placed = order.and_then(|order| self.placed.get(&order));
                placed.is_none_or(|placed| gap <= *placed)
                    && lines.iter().any(|(product, qty)| self.stock[*product][gap] < *qty)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::linearizability::problem::Order;

    fn part(orders: &[(u64, u64)], looks: &[(i64, u64, u64)]) -> Part {
        let order = |(number, (since, until)): (usize, &(u64, u64))| Order {
            lines: vec![(0, 1)],
            place: Window { since: *since, until: *until },
            back: None,
            group: None,
            source: None,
            name: number.to_string(),
        };
        let look = |(stock, since, until): &(i64, u64, u64)| Look {
            saw: Saw::Stock(0, *stock),
            window: Window { since: *since, until: *until },
            source: 0,
        };
        Part {
            products: vec![("p".to_owned(), 5)],
            orders: orders.iter().enumerate().map(order).collect(),
            looks: looks.iter().map(look).collect(),
            undecidable: None,
        }
    }

    fn told(part: &Part, orders: &[usize]) -> bool {
        let moved = |(index, order): (usize, &usize)| Move {
            index: index as u64,
            product: "p".to_owned(),
            order: order.to_string(),
            back: false,
        };
        let moves: Vec<Move> = orders.iter().enumerate().map(moved).collect();
        explains(part, &moves.iter().collect::<Vec<_>>()).is_ok()
    }

    #[test]
    fn only_an_order_that_fits_all_answers_is_accepted() {
        let fits = part(&[(10, 20), (12, 22), (30, NEVER)], &[(4, 13, 21), (3, 22, 40), (5, 0, 9)]);
        assert!(told(&fits, &[0, 1]) && told(&fits, &[1, 0]));
        assert!(told(&fits, &[1, 0, 2]), "what may have happened may be told");
        assert!(!told(&fits, &[0]), "what was answered must be told");
        assert!(!told(&fits, &[0, 1, 1]), "nothing happens twice");
        assert!(!told(&fits, &[2, 0, 1]), "nothing happens before it was asked for");
        assert!(!told(&fits, &[0, 1, 7]), "nobody asked for this");
        let back = part(&[(10, 20), (12, 22)], &[(3, 13, 14), (4, 15, 16)]);
        assert!(!told(&back, &[0, 1]), "looks do not go back in time");
        let at_once = part(&[(10, 20), (12, 22)], &[(3, 13, 15), (4, 15, 16)]);
        assert!(told(&at_once, &[0, 1]), "looks that overlap may see either first");
    }
}
