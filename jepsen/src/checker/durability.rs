//! Durability: everything acknowledged exists at the end, equal on every node.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::verdict::{Checker, Judgement, describe};
use crate::history::{Call, Dump, DumpOrder, History, Items, Operation, Outcome, Reply, Status};

/// Compares every node's final state with what was acknowledged, and with the other nodes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Durability;

impl Checker for Durability {
    fn name(&self) -> &'static str {
        "durability"
    }

    fn promise(&self) -> &'static str {
        "every acknowledged order and cancel exists at the end, equal on every node"
    }

    fn check(&self, history: &History) -> Judgement {
        let mut judgement = Judgement::default();
        let dumps: Vec<&Dump> = history
            .operations
            .iter()
            .filter_map(|operation| match &operation.outcome {
                Outcome::Ok(Reply::Dump(dump)) => Some(&**dump),
                _ => None,
            })
            .collect();
        let mut acknowledged = 0;
        for dump in &dumps {
            acknowledged = check_dump(history, dump, &mut judgement);
        }
        for pair in dumps.windows(2) {
            compare(pair[0], pair[1], &mut judgement);
        }
        if dumps.is_empty() {
            judgement.empty("no final state of a node");
        } else if acknowledged == 0 {
            judgement.empty("no order was acknowledged");
        }
        let nodes: BTreeSet<&str> = dumps.iter().map(|dump| dump.node.as_str()).collect();
        judgement.note(format!("{acknowledged} acknowledgements against {} nodes", nodes.len()));
        judgement
    }
}

/// Returns how many acknowledgements were compared.
fn check_dump(history: &History, dump: &Dump, judgement: &mut Judgement) -> usize {
    let node = &dump.node;
    let mut orders: HashMap<&str, &DumpOrder> = HashMap::new();
    for order in &dump.orders {
        if orders.insert(&order.order, order).is_some() {
            judgement.invalid(format!("{node} has order {} twice", order.order));
        }
    }
    let mut acknowledged = 0;
    for operation in &history.operations {
        let said = describe(operation);
        match (&operation.call, &operation.outcome) {
            (Call::PlaceOrder { key, items }, Outcome::Ok(Reply::Placed(order))) => {
                acknowledged += 1;
                match orders.get(order.as_str()) {
                    None => judgement.invalid(format!("{node} has lost the order of {said}")),
                    Some(row) if row.items != *items => {
                        judgement.invalid(format!("{node} has other lines than {said}"));
                    }
                    Some(row) if row.key.is_some() && row.key != *key => {
                        judgement.invalid(format!("{node} has another key than {said}"));
                    }
                    Some(_) => {}
                }
            }
            (Call::Cancel { order }, Outcome::Ok(_)) => {
                acknowledged += 1;
                let status = orders.get(order.as_str()).map(|row| row.status);
                if status != Some(Status::Cancelled) {
                    let shown = status.map_or("nothing", Status::as_str);
                    judgement.invalid(format!("{node} shows {shown} after {said}"));
                }
            }
            (Call::ReadOrder { order, .. }, Outcome::Ok(Reply::Order { status, .. })) => {
                let last = orders.get(order.as_str()).map(|row| row.status);
                if !last.is_some_and(|last| status.reaches(last)) {
                    let shown = last.map_or("nothing", Status::as_str);
                    judgement.invalid(format!("{node} shows {shown} after {said}"));
                }
            }
            _ => {}
        }
    }
    unasked(history, dump, judgement);
    acknowledged
}

/// Orders that nobody requested, or that were refused for good.
fn unasked(history: &History, dump: &Dump, judgement: &mut Judgement) {
    type Asked<'h> = BTreeMap<(Option<&'h str>, &'h Items), Vec<&'h Operation>>;
    let mut asked: Asked<'_> = BTreeMap::new();
    for operation in &history.operations {
        if let Call::PlaceOrder { key, items } = &operation.call {
            asked.entry((key.as_deref(), items)).or_default().push(operation);
        }
    }
    let keyed = dump.orders.iter().filter(|order| order.key.is_some());
    for order in keyed {
        let requests = asked.get(&(order.key.as_deref(), &order.items));
        let may = |operation: &&Operation| !matches!(operation.outcome, Outcome::Fail(_));
        let (node, name) = (&dump.node, &order.order);
        match requests {
            None => judgement.invalid(format!("{node} has order {name} that nobody asked for")),
            Some(requests) if !requests.iter().any(may) => {
                let said = describe(requests[0]);
                judgement.invalid(format!("{node} has order {name} in spite of {said}"));
            }
            Some(_) => {}
        }
    }
}

/// Compares the states of two nodes.
fn compare(one: &Dump, other: &Dump, judgement: &mut Judgement) {
    let names = format!("{} and {}", one.node, other.node);
    if let (Some((index, mine)), Some((other_index, theirs))) = (&one.digest, &other.digest)
        && index == other_index
        && mine != theirs
    {
        judgement.invalid(format!("{names} have different digests at index {index}"));
    }
    let orders = |dump: &Dump| -> BTreeMap<String, DumpOrder> {
        dump.orders.iter().map(|order| (order.order.clone(), order.clone())).collect()
    };
    let (mine, theirs) = (orders(one), orders(other));
    let all: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
    for order in all.into_iter().filter(|order| mine.get(*order) != theirs.get(*order)) {
        judgement.invalid(format!("{names} differ in order {order}"));
    }
    let stock = |dump: &Dump| -> BTreeMap<String, i64> {
        dump.products.iter().map(|row| (row.product.clone(), row.stock)).collect()
    };
    let (mine, theirs) = (stock(one), stock(other));
    let all: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
    for product in all.into_iter().filter(|product| mine.get(*product) != theirs.get(*product)) {
        judgement.invalid(format!("{names} differ in the stock of {product}"));
    }
    let holds = |dump: &Dump| {
        let rows = dump.holds.iter();
        rows.map(|row| (row.hold.clone(), row.product.clone(), row.qty, row.active))
            .collect::<BTreeSet<_>>()
    };
    for (hold, ..) in holds(one).symmetric_difference(&holds(other)) {
        judgement.invalid(format!("{names} differ in hold {hold}"));
    }
}
