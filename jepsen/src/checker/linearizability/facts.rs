//! What a history says about each order and each product, from all answers.
//!
//! Orders have names and move along few paths. So nearly everything that was seen of an order
//! narrows down when it was placed and when it returned its units, without a search. Only stock
//! remains. Whatever is uncertain is decided in favour of the cluster, or reported as undecidable:
//! a wrong "invalid" would be worse than none.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::history::{Call, DumpOrder, History, Items, Operation, Outcome, Reason, Reply, Status};

/// Never: later than every moment.
pub(super) const NEVER: u64 = u64::MAX;

/// What was seen of one order. If a moment must precede an answer, the earliest answer counts; if
/// it must follow a request, the latest request.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) name: String,
    pub(super) items: Option<Items>,
    /// When the first request that may have placed it began; [`NEVER`] when there is none.
    pub(super) made_since: u64,
    /// That request, as an index into the operations.
    pub(super) source: Option<usize>,
    pub(super) there_by: u64,
    pub(super) missing_at: u64,
    pub(super) pending_at: u64,
    pub(super) processing_at: u64,
    pub(super) cancel_since: u64,
    pub(super) cancelled_by: u64,
    pub(super) settled_by: u64,
    pub(super) paid_by: u64,
    pub(super) failed_by: u64,
    /// A cancel was refused: the order had left PENDING in some way.
    pub(super) left_by: u64,
    /// Its status in the dumps.
    pub(super) last: Option<Status>,
    /// The key that different requests of unknown outcome share; at most one of them placed the
    /// order.
    pub(super) rival: Option<String>,
}

impl Facts {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            items: None,
            made_since: NEVER,
            source: None,
            there_by: NEVER,
            missing_at: 0,
            pending_at: 0,
            processing_at: 0,
            cancel_since: NEVER,
            cancelled_by: NEVER,
            settled_by: NEVER,
            paid_by: NEVER,
            failed_by: NEVER,
            left_by: NEVER,
            last: None,
            rival: None,
        }
    }

    fn see(&mut self, status: Status, since: u64, until: u64) {
        self.there_by = self.there_by.min(until);
        match status {
            Status::Pending => self.pending_at = self.pending_at.max(since),
            Status::Cancelled => self.cancelled_by = self.cancelled_by.min(until),
            Status::Processing => {
                self.processing_at = self.processing_at.max(since);
                self.settled_by = self.settled_by.min(until);
            }
            Status::Paid => {
                self.settled_by = self.settled_by.min(until);
                self.paid_by = self.paid_by.min(until);
            }
            Status::Failed => {
                self.settled_by = self.settled_by.min(until);
                self.failed_by = self.failed_by.min(until);
            }
        }
    }

    fn made(&mut self, items: &Items, since: u64, source: usize) {
        if since < self.made_since {
            self.made_since = since;
            self.source = Some(source);
        }
        self.items.get_or_insert_with(|| items.clone());
    }
}

/// What was seen of one product.
#[derive(Debug, Clone)]
pub(super) struct ProductFacts {
    pub(super) name: String,
    /// Its initial units, once they are known.
    pub(super) initial: Option<i64>,
    pub(super) since: u64,
    pub(super) until: u64,
    pub(super) missing_at: u64,
}

/// A read of stock.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) what: What,
    pub(super) since: u64,
    pub(super) until: u64,
    pub(super) source: usize,
}

/// What a read of stock saw.
#[derive(Debug, Clone)]
pub(super) enum What {
    /// This many units of a product.
    Stock(String, i64),
    /// Too few units of one of these, before the named order was placed.
    TooFew(Items, Option<String>),
}

/// Everything that was gathered.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) orders: Vec<Facts>,
    pub(super) products: Vec<ProductFacts>,
    pub(super) looks: Vec<Seen>,
    /// Contradictions that need no search.
    pub(super) broken: Vec<String>,
    /// Orders whose request cannot be determined, with the reason.
    pub(super) ambiguous: Vec<(String, String)>,
    /// Whether payments move orders.
    pub(super) paying: bool,
    /// Whether there is a final state: what is not in it never happened.
    pub(super) ended: bool,
}

/// Gathers what a history says.
pub(super) fn gather(history: &History) -> Gathered {
    let mut gathering = Gathering {
        finals: Finals::of(history),
        order_of_key: HashMap::new(),
        variants: BTreeMap::new(),
        orders: HashMap::new(),
        products: HashMap::new(),
        out: Gathered::default(),
    };
    gathering.out.ended = gathering.finals.is_some();
    gathering.match_keys(history);
    for (index, operation) in history.operations.iter().enumerate() {
        gathering.operation(index, operation);
    }
    // Further passes, since these depend on answers further down in the history.
    for (index, operation) in history.operations.iter().enumerate() {
        if let (Call::PlaceOrder { key, items }, Outcome::Info(_)) =
            (&operation.call, &operation.outcome)
        {
            gathering.unknown_place(index, operation, key.as_deref(), items);
        }
    }
    for operation in &history.operations {
        gathering.conflict(operation);
    }
    gathering.end();
    gathering.out.paying |= history.operations.iter().any(|operation| match &operation.outcome {
        Outcome::Ok(Reply::Dump(dump)) => dump.orders.iter().any(|order| {
            matches!(order.status, Status::Processing | Status::Paid | Status::Failed)
        }),
        _ => false,
    });
    gathering.out
}

/// The dumps at the end, combined. Another checker checks whether they agree.
#[derive(Debug, Default)]
struct Finals<'h> {
    orders: BTreeMap<&'h str, &'h DumpOrder>,
    by_key: HashMap<&'h str, &'h DumpOrder>,
    stock: BTreeMap<&'h str, i64>,
}

impl<'h> Finals<'h> {
    /// The dumps, unless clients still got answers while they were taken.
    fn of(history: &'h History) -> Option<Self> {
        let mut finals = Self::default();
        let mut first = NEVER;
        for operation in &history.operations {
            let Outcome::Ok(Reply::Dump(dump)) = &operation.outcome else { continue };
            first = first.min(operation.invoked);
            for order in &dump.orders {
                finals.orders.insert(&order.order, order);
                if let Some(key) = &order.key {
                    finals.by_key.insert(key, order);
                }
            }
            finals.stock.extend(dump.products.iter().map(|row| (row.product.as_str(), row.stock)));
        }
        let keyed = finals.orders.values().all(|order| order.key.is_some());
        let answered = history.client_operations().filter_map(Operation::returned).max();
        (first != NEVER && keyed && answered.is_none_or(|last| last <= first)).then_some(finals)
    }
}

struct Gathering<'h> {
    finals: Option<Finals<'h>>,
    order_of_key: HashMap<&'h str, &'h str>,
    /// Made-up names of what requests of unknown outcome may have placed, by key.
    variants: BTreeMap<&'h str, Vec<(Items, String)>>,
    orders: HashMap<String, usize>,
    products: HashMap<String, usize>,
    out: Gathered,
}

impl<'h> Gathering<'h> {
    fn order(&mut self, name: &str) -> &mut Facts {
        let next = self.out.orders.len();
        let index = *self.orders.entry(name.to_owned()).or_insert(next);
        if index == next {
            self.out.orders.push(Facts::new(name));
        }
        &mut self.out.orders[index]
    }

    fn product(&mut self, name: &str) -> &mut ProductFacts {
        let next = self.out.products.len();
        let index = *self.products.entry(name.to_owned()).or_insert(next);
        if index == next {
            let name = name.to_owned();
            let facts = ProductFacts { name, initial: None, since: 0, until: NEVER, missing_at: 0 };
            self.out.products.push(facts);
        }
        &mut self.out.products[index]
    }

    /// Learns from answers, else from dumps, which order each key made.
    fn match_keys(&mut self, history: &'h History) {
        for operation in &history.operations {
            let Call::PlaceOrder { key: Some(key), .. } = &operation.call else { continue };
            let Outcome::Ok(Reply::Placed(order)) = &operation.outcome else { continue };
            let known = *self.order_of_key.entry(key).or_insert(order);
            if known != order {
                let line = operation.line;
                let broken = format!("key {key} made orders {known} and {order} (line {line})");
                self.out.broken.push(broken);
            }
        }
        if let Some(finals) = &self.finals {
            for (key, order) in &finals.by_key {
                self.order_of_key.entry(key).or_insert(&order.order);
            }
        }
    }

    fn operation(&mut self, index: usize, operation: &'h Operation) {
        let since = operation.invoked;
        let until = operation.returned().unwrap_or(NEVER);
        match &operation.call {
            Call::CreateProduct { product, stock } => self.create(operation, product, *stock),
            Call::PlaceOrder { key, items } => {
                for (product, _) in items {
                    self.product(product);
                }
                self.place(index, operation, key.as_deref(), items);
            }
            Call::Cancel { order } => {
                let facts = self.order(order);
                match &operation.outcome {
                    Outcome::Ok(_) => {
                        facts.cancel_since = facts.cancel_since.min(since);
                        facts.see(Status::Cancelled, since, until);
                    }
                    Outcome::Info(_) => facts.cancel_since = facts.cancel_since.min(since),
                    Outcome::Fail(Reason::NotFound) => {
                        facts.missing_at = facts.missing_at.max(since);
                    }
                    Outcome::Fail(Reason::NotCancellable) => {
                        facts.there_by = facts.there_by.min(until);
                        facts.left_by = facts.left_by.min(until);
                    }
                    Outcome::Fail(_) => {}
                }
            }
            // A read that may be stale says nothing about its place in the order of operations.
            Call::ReadProduct { stale: true, .. } | Call::ReadOrder { stale: true, .. } => {}
            Call::ReadProduct { product, .. } => match &operation.outcome {
                Outcome::Ok(Reply::Stock(stock)) => {
                    self.product(product);
                    let what = What::Stock(product.clone(), *stock);
                    self.out.looks.push(Seen { what, since, until, source: index });
                }
                Outcome::Fail(Reason::NotFound) => {
                    let facts = self.product(product);
                    facts.missing_at = facts.missing_at.max(since);
                }
                _ => {}
            },
            Call::ReadOrder { order, .. } => match &operation.outcome {
                Outcome::Ok(Reply::Order { status, items }) => {
                    for (product, _) in items.iter().flatten() {
                        self.product(product);
                    }
                    let facts = self.order(order);
                    facts.see(*status, since, until);
                    if let Some(items) = items
                        && *facts.items.get_or_insert_with(|| items.clone()) != *items
                    {
                        let line = operation.line;
                        let broken = format!("order {order} has other items (line {line})");
                        self.out.broken.push(broken);
                    }
                }
                Outcome::Fail(Reason::NotFound) => {
                    let facts = self.order(order);
                    facts.missing_at = facts.missing_at.max(since);
                }
                _ => {}
            },
            Call::Dump => {}
        }
    }

    fn create(&mut self, operation: &Operation, name: &str, stock: u64) {
        let facts = self.product(name);
        match &operation.outcome {
            Outcome::Ok(_) | Outcome::Info(_) => {
                facts.initial = i64::try_from(stock).ok();
                facts.since = operation.invoked;
                facts.until = facts.until.min(operation.returned().unwrap_or(NEVER));
            }
            Outcome::Fail(Reason::AlreadyExists) => {
                facts.until = facts.until.min(operation.returned().unwrap_or(NEVER));
            }
            Outcome::Fail(_) => {}
        }
    }

    fn place(
        &mut self,
        index: usize,
        operation: &'h Operation,
        key: Option<&'h str>,
        items: &'h Items,
    ) {
        let since = operation.invoked;
        let until = operation.returned().unwrap_or(NEVER);
        match &operation.outcome {
            Outcome::Ok(Reply::Placed(order)) => {
                let facts = self.order(order);
                facts.made(items, since, index);
                facts.there_by = facts.there_by.min(until);
                if facts.items.as_ref() != Some(items) {
                    let line = operation.line;
                    let broken = format!("order {order} has other items (line {line})");
                    self.out.broken.push(broken);
                }
            }
            Outcome::Fail(Reason::InsufficientStock) => {
                let order = key.and_then(|key| self.order_of_key.get(key)).copied();
                if let Some(order) = order {
                    let facts = self.order(order);
                    facts.missing_at = facts.missing_at.max(since);
                }
                let what = What::TooFew(items.clone(), order.map(str::to_owned));
                self.out.looks.push(Seen { what, since, until, source: index });
            }
            Outcome::Fail(Reason::NotFound) => {
                if let [(product, _)] = &items[..] {
                    let facts = self.product(product);
                    facts.missing_at = facts.missing_at.max(since);
                }
            }
            Outcome::Ok(_) | Outcome::Fail(_) | Outcome::Info(_) => {}
        }
    }

    fn unknown_place(
        &mut self,
        index: usize,
        operation: &'h Operation,
        key: Option<&'h str>,
        items: &'h Items,
    ) {
        let since = operation.invoked;
        let Some(key) = key else {
            let name = format!("\0line {}", operation.line);
            self.order(&name).made(items, since, index);
            return;
        };
        if let Some(finals) = &self.finals {
            // What is in no dump never happened. Of two requests under one key, only the one in the
            // dump can have happened.
            let kept = finals.by_key.get(key).is_some_and(|order| order.items == *items);
            if !kept {
                return;
            }
        }
        if let Some(order) = self.order_of_key.get(key).copied() {
            let facts = self.order(order);
            if facts.items.as_ref().is_none_or(|known| known == items) {
                facts.made(items, since, index);
            }
            return;
        }
        let variants = self.variants.entry(key).or_default();
        let known = variants.iter().find(|(other, _)| other == items);
        let name = match known {
            Some((_, name)) => name.clone(),
            None => {
                let name = format!("\0key {key} #{}", variants.len());
                variants.push((items.clone(), name.clone()));
                name
            }
        };
        let facts = self.order(&name);
        facts.made(items, since, index);
        facts.rival = Some(key.to_owned());
    }

    /// A key that was refused because another request used it had made an order before.
    fn conflict(&mut self, operation: &Operation) {
        let Call::PlaceOrder { key: Some(key), items } = &operation.call else { return };
        let Outcome::Fail(Reason::KeyConflict) = &operation.outcome else { return };
        let until = operation.returned().unwrap_or(NEVER);
        let line = operation.line;
        if let Some(order) = self.order_of_key.get(key.as_str()).copied() {
            let facts = self.order(order);
            facts.there_by = facts.there_by.min(until);
            if facts.items.as_ref() == Some(items) {
                let broken = format!(
                    "key {key} was refused the very request that made {order} (line {line})"
                );
                self.out.broken.push(broken);
            }
            return;
        }
        let variants = self.variants.get(key.as_str()).map_or(&[][..], Vec::as_slice);
        let others: Vec<String> = variants
            .iter()
            .filter(|(other, _)| other != items)
            .map(|(_, name)| name.clone())
            .collect();
        match &others[..] {
            [] => {
                let broken = format!("key {key} was refused but made nothing else (line {line})");
                self.out.broken.push(broken);
            }
            [only] => {
                let facts = self.order(only);
                facts.there_by = facts.there_by.min(until);
            }
            _ => {}
        }
    }

    fn end(&mut self) {
        self.take_over_finals();
        self.match_ghosts();
        let settled = |facts: &Facts| {
            let last = facts.last.is_some_and(|last| {
                matches!(last, Status::Processing | Status::Paid | Status::Failed)
            });
            last || facts.settled_by != NEVER || facts.left_by != NEVER
        };
        self.out.paying = self.out.orders.iter().any(settled);
    }

    /// Adds the final statuses of orders, and the initial stock of products that follows from them.
    fn take_over_finals(&mut self) {
        let Some(finals) = self.finals.take() else { return };
        for facts in &mut self.out.orders {
            facts.last = finals.orders.get(facts.name.as_str()).map(|order| order.status);
        }
        let mut kept: BTreeMap<&str, i64> = BTreeMap::new();
        for order in finals.orders.values().filter(|order| order.status.keeps_stock()) {
            for (product, qty) in &order.items {
                let units = i64::try_from(*qty).expect("reading bounds quantities");
                *kept.entry(product).or_default() += units;
            }
        }
        for facts in self.out.products.iter_mut().filter(|facts| facts.initial.is_none()) {
            let left = finals.stock.get(facts.name.as_str());
            facts.initial = left.map(|left| left + kept.get(facts.name.as_str()).unwrap_or(&0));
        }
    }

    /// Finds the requests behind orders that were seen but appear in no answer and no dump.
    fn match_ghosts(&mut self) {
        let seen = |facts: &Facts| facts.there_by != NEVER && facts.made_since == NEVER;
        let ghosts: Vec<usize> =
            (0..self.out.orders.len()).filter(|at| seen(&self.out.orders[*at])).collect();
        let mut gone: BTreeSet<usize> = BTreeSet::new();
        for ghost in ghosts {
            let facts = &self.out.orders[ghost];
            let fits = |at: &usize| {
                let other = &self.out.orders[*at];
                let same = facts.items.is_none() || facts.items == other.items;
                other.name.starts_with('\0') && same && !gone.contains(at)
            };
            let candidates: Vec<usize> = (0..self.out.orders.len()).filter(fits).collect();
            match candidates[..] {
                [] if self.out.ended => {}
                [] => {
                    let broken = format!("order {} was seen but nobody placed it", facts.name);
                    self.out.broken.push(broken);
                }
                [only] => {
                    let other = self.out.orders[only].clone();
                    let facts = &mut self.out.orders[ghost];
                    facts.made_since = other.made_since;
                    (facts.source, facts.items) = (other.source, other.items);
                    facts.there_by = facts.there_by.min(other.there_by);
                    gone.insert(only);
                }
                _ => {
                    let why = format!(
                        "order {} may belong to any of {} requests of unknown outcome",
                        facts.name,
                        candidates.len()
                    );
                    let names = candidates.iter().map(|at| self.out.orders[*at].name.clone());
                    self.out.ambiguous.extend(names.map(|name| (name, why.clone())));
                }
            }
        }
        let mut at = 0;
        self.out.orders.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }
}
