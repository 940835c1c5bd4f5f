//! What remains to search: when each order took its units and returned them, within windows, so
//! that every read of stock saw what it saw. Split into parts that share no product.

use std::collections::{BTreeMap, HashMap};

use super::facts::{Facts, Gathered, NEVER, What};
use crate::history::{Items, Status};

/// Units of products, by the product's index in its part.
pub(super) type Lines = Vec<(usize, i64)>;

/// When something happened: not before `since`, and by `until`; if that is [`NEVER`], perhaps not
/// at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) since: u64,
    pub(super) until: u64,
}

/// An order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) lines: Lines,
    pub(super) place: Window,
    pub(super) back: Option<Window>,
    /// Of the orders in one group, at most one was placed.
    pub(super) group: Option<u32>,
    /// The operation that placed it, if there is one.
    pub(super) source: Option<usize>,
    pub(super) name: String,
}

/// A read of stock with a result.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) saw: Saw,
    pub(super) window: Window,
    pub(super) source: usize,
}

/// The result.
#[derive(Debug, Clone)]
pub(super) enum Saw {
    /// This many units.
    Stock(usize, i64),
    /// Too few units of one of these, before an order of the part was placed.
    TooFew(Lines, Option<usize>),
}

/// Orders and reads that share products with each other and with no others.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Names and initial stocks.
    pub(super) products: Vec<(String, i64)>,
    pub(super) orders: Vec<Order>,
    pub(super) looks: Vec<Look>,
    /// Why it cannot be decided, if it cannot.
    pub(super) undecidable: Option<String>,
}

/// The part of a history that needs a search.
#[derive(Debug, Default)]
pub(super) struct Problem {
    pub(super) parts: Vec<Part>,
    /// Contradictions that need no search.
    pub(super) broken: Vec<String>,
}

/// Splits what was gathered into parts.
pub(super) fn problem(gathered: Gathered) -> Problem {
    let mut problem = Problem { parts: Vec::new(), broken: gathered.broken.clone() };
    let mut roots = Roots::of(&gathered);
    let mut numbers: HashMap<usize, (usize, usize)> = HashMap::new();
    let mut part_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut created: Vec<u64> = Vec::new();
    for (index, product) in gathered.products.iter().enumerate() {
        let since = product.since.max(product.missing_at);
        created.push(since);
        if since > product.until {
            let name = &product.name;
            problem.broken.push(format!("product {name} was missing after it had been created"));
        }
        let next = problem.parts.len();
        let part = *part_of.entry(roots.root(index)).or_insert(next);
        if part == next {
            problem.parts.push(Part::default());
        }
        let part_found = &mut problem.parts[part];
        numbers.insert(index, (part, part_found.products.len()));
        part_found.products.push((product.name.clone(), product.initial.unwrap_or(0)));
        if product.initial.is_none() {
            let why =
                format!("{} is not created in this history: its stock is unknown", product.name);
            part_found.undecidable.get_or_insert(why);
        }
    }
    let mut filling = Filling { gathered: &gathered, roots, numbers, created, problem };
    filling.orders();
    filling.looks();
    let mut problem = filling.problem;
    // A part without reads proves nothing and needs no search.
    problem.parts.retain(|part| !part.orders.is_empty() || !part.looks.is_empty());
    problem
}

struct Filling<'g> {
    gathered: &'g Gathered,
    roots: Roots<'g>,
    numbers: HashMap<usize, (usize, usize)>,
    created: Vec<u64>,
    problem: Problem,
}

impl Filling<'_> {
    /// The part of these items, the items with its indexes, and when all of them exist.
    fn place_of(&self, items: &Items) -> (usize, Lines, u64) {
        let (mut part, mut since) = (0, 0);
        let mut lines = Lines::new();
        for (product, qty) in items {
            let index = self.roots.index[product.as_str()];
            let number = self.numbers[&index];
            part = number.0;
            since = since.max(self.created[index]);
            lines.push((number.1, i64::try_from(*qty).expect("reading bounds quantities")));
        }
        (part, lines, since)
    }

    fn orders(&mut self) {
        let mut groups: HashMap<&str, u32> = HashMap::new();
        let mut rivals: HashMap<&str, usize> = HashMap::new();
        for key in self.gathered.orders.iter().filter_map(|facts| facts.rival.as_deref()) {
            *rivals.entry(key).or_default() += 1;
        }
        for facts in &self.gathered.orders {
            let Some(items) = &facts.items else { continue };
            if facts.made_since == NEVER {
                continue;
            }
            let (part, lines, created) = self.place_of(items);
            match windows(facts, created, self.gathered.paying) {
                Err(broken) => self.problem.broken.push(broken),
                Ok((place, back)) => {
                    let next = groups.len() as u32;
                    let rival = facts.rival.as_deref().filter(|key| rivals[key] > 1);
                    let group = rival.map(|key| *groups.entry(key).or_insert(next));
                    let (source, name) = (facts.source, facts.name.clone());
                    let order = Order { lines, place, back, group, source, name };
                    self.problem.parts[part].orders.push(order);
                }
            }
            let why = self.gathered.ambiguous.iter().find(|(name, _)| *name == facts.name);
            if let Some((_, why)) = why {
                self.problem.parts[part].undecidable.get_or_insert(why.clone());
            }
        }
    }

    fn looks(&mut self) {
        for seen in &self.gathered.looks {
            let (items, order) = match &seen.what {
                What::Stock(product, _) => (vec![(product.clone(), 0)], None),
                What::TooFew(items, order) => (items.clone(), order.as_ref()),
            };
            let (part, lines, created) = self.place_of(&items);
            let part = &mut self.problem.parts[part];
            let window = Window { since: seen.since.max(created), until: seen.until };
            if window.since > window.until {
                let line = seen.source;
                let broken = format!("operation {line} saw a product that did not exist yet");
                self.problem.broken.push(broken);
                continue;
            }
            let saw = match &seen.what {
                What::Stock(_, stock) => Saw::Stock(lines[0].0, *stock),
                What::TooFew(..) => {
                    let number =
                        |name: &String| part.orders.iter().position(|order| order.name == *name);
                    Saw::TooFew(lines, order.and_then(number))
                }
            };
            part.looks.push(Look { saw, window, source: seen.source });
        }
    }
}

/// When an order was placed and when it returned its units, or why what was seen of it is
/// impossible.
fn windows(facts: &Facts, created: u64, paying: bool) -> Result<(Window, Option<Window>), String> {
    let name = &facts.name;
    let (mut cancelled_by, mut settled_by) = (facts.cancelled_by, facts.settled_by);
    if cancelled_by != NEVER {
        cancelled_by = cancelled_by.min(facts.left_by);
    } else {
        settled_by = settled_by.min(facts.left_by);
    }
    if cancelled_by != NEVER && settled_by != NEVER {
        return Err(format!("order {name} was cancelled and was seen settled too"));
    }
    if facts.paid_by != NEVER && facts.failed_by != NEVER {
        return Err(format!("order {name} was seen PAID and FAILED"));
    }
    let since = facts.made_since.max(facts.missing_at).max(created);
    let until = facts.there_by.min(cancelled_by).min(settled_by);
    if since > until {
        return Err(format!("order {name} existed, and was missing afterwards"));
    }
    if facts.pending_at > cancelled_by.min(settled_by) {
        return Err(format!("order {name} was seen PENDING after it had left that status"));
    }
    if facts.processing_at > facts.paid_by.min(facts.failed_by) {
        return Err(format!("order {name} was seen PROCESSING after it had been settled"));
    }
    let mut place = Window { since, until };
    let earliest = since.max(facts.pending_at);
    let asked = if facts.cancel_since == NEVER { 0 } else { facts.cancel_since };
    let last = facts.last;
    let open = Window { since: earliest.max(facts.processing_at), until: NEVER };
    let back = if cancelled_by != NEVER {
        Some(Window { since: earliest.max(asked), until: cancelled_by })
    } else if facts.failed_by != NEVER {
        Some(Window { until: facts.failed_by, ..open })
    } else if last == Some(Status::Cancelled) && settled_by == NEVER {
        Some(Window { since: earliest.max(asked), until: NEVER })
    } else if last == Some(Status::Failed) && facts.paid_by == NEVER {
        Some(open)
    } else if last.is_some() || facts.paid_by != NEVER {
        None
    } else if paying {
        Some(open)
    } else if facts.cancel_since != NEVER && settled_by == NEVER {
        Some(Window { since: earliest.max(asked), until: NEVER })
    } else {
        None
    };
    if let Some(back) = back {
        if back.since > back.until {
            return Err(format!(
                "order {name} returned its units before anything could cause that"
            ));
        }
        place.until = place.until.min(back.until);
    }
    Ok((place, back))
}

/// Disjoint sets of products that share orders or refusals.
struct Roots<'g> {
    index: HashMap<&'g str, usize>,
    above: Vec<usize>,
}

impl<'g> Roots<'g> {
    fn of(gathered: &'g Gathered) -> Self {
        let names = gathered.products.iter().enumerate();
        let index = names.map(|(index, product)| (product.name.as_str(), index)).collect();
        let mut roots = Self { index, above: (0..gathered.products.len()).collect() };
        let orders = gathered.orders.iter().filter_map(|facts| facts.items.as_ref());
        let looks = gathered.looks.iter().filter_map(|seen| match &seen.what {
            What::TooFew(items, _) => Some(items),
            What::Stock(..) => None,
        });
        for items in orders.chain(looks) {
            for pair in items.windows(2) {
                roots.join(&pair[0].0, &pair[1].0);
            }
        }
        roots
    }

    fn root(&mut self, mut product: usize) -> usize {
        while self.above[product] != product {
            self.above[product] = self.above[self.above[product]];
            product = self.above[product];
        }
        product
    }

    fn join(&mut self, one: &str, other: &str) {
        let (Some(one), Some(other)) = (self.index.get(one), self.index.get(other)) else {
            return;
        };
        let (one, other) = (*one, *other);
        let (one, other) = (self.root(one), self.root(other));
        self.above[one] = other;
    }
}
