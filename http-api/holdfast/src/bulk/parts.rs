//! Joins the rows of a CSV file that are lines of one order.
//!
//! Rows with the same `order_id` must follow each other. An order is refused when one of its rows
//! cannot be read, so that no order is placed with some of its lines.

use std::collections::{HashSet, VecDeque};

use super::rows::ImportedOrder;
use super::{Line, Lines};
use crate::exit::CliError;

/// The orders of a file, each with the line of its first row.
pub(crate) struct Orders {
    rows: Lines<ImportedOrder>,
    /// The order whose rows are being read.
    open: Option<(u64, Line<ImportedOrder>)>,
    ready: VecDeque<Line<ImportedOrder>>,
    seen: HashSet<u64>,
    /// The row before could not be read, and may belong to the next order.
    after_fault: bool,
}

impl Orders {
    pub(crate) fn new(rows: Lines<ImportedOrder>) -> Orders {
        Orders {
            rows,
            open: None,
            ready: VecDeque::new(),
            seen: HashSet::new(),
            after_fault: false,
        }
    }

    fn take(&mut self, row: Line<ImportedOrder>) {
        let Line { number, body } = row;
        let (id, order) = match body {
            Ok(order) if order.is_part => match order.id {
                Some(id) => (id, order),
                None => return self.pass(Line { number, body: Ok(order) }),
            },
            Ok(order) => return self.pass(Line { number, body: Ok(order) }),
            Err(wrong) => {
                if let Some((_, open)) = &mut self.open {
                    open.body = Err(format!("line {number} may belong to it and cannot be read"));
                }
                self.pass(Line { number, body: Err(wrong) });
                self.after_fault = true;
                return;
            }
        };
        let is_next = self.open.as_ref().is_some_and(|(open, _)| *open == id);
        if is_next {
            let (_, line) = self.open.as_mut().expect("it was open a moment ago");
            let joined = match &mut line.body {
                Ok(open) => join(open, order),
                // The order is refused already.
                Err(_) => Ok(()),
            };
            if let Err(wrong) = joined {
                line.body = Err(format!("line {number}, of the same order, {wrong}"));
            }
            return;
        }
        let body = if !self.seen.insert(id) {
            Err(format!("order {id} has rows further up: put all rows of an order together"))
        } else if self.after_fault {
            Err("the line before may belong to it and cannot be read".to_owned())
        } else {
            Ok(order)
        };
        self.close();
        self.open = Some((id, Line { number, body }));
    }

    fn pass(&mut self, line: Line<ImportedOrder>) {
        self.close();
        self.ready.push_back(line);
    }

    fn close(&mut self) {
        self.after_fault = false;
        self.ready.extend(self.open.take().map(|(_, line)| line));
    }
}

/// Adds the lines of `part` to `order`.
fn join(order: &mut ImportedOrder, part: ImportedOrder) -> Result<(), &'static str> {
    let (whole, part_request) = (&mut order.request, part.request);
    if order.status != part.status {
        return Err("has another status");
    }
    if whole.user_id != part_request.user_id {
        return Err("has another user_id");
    }
    if whole.payment_method != part_request.payment_method {
        return Err("has another payment_method");
    }
    if whole.idempotency_key != part_request.idempotency_key {
        return Err("has another idempotency_key");
    }
    if whole.client_reference != part_request.client_reference {
        return Err("has another client_reference");
    }
    whole.items.extend(part_request.items);
    order.references.extend(part.references);
    Ok(())
}

impl Iterator for Orders {
    type Item = Result<Line<ImportedOrder>, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            match self.rows.next() {
                Some(Ok(row)) => self.take(row),
                Some(Err(error)) => return Some(Err(error)),
                None => return self.open.take().map(|(_, line)| Ok(line)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::{Format, lines};
    use super::*;

    /// Each order as `line: product x quantity, …`, or `line! reason`.
    fn read(rows: &[&str]) -> Vec<String> {
        let text = format!("order_id,product_id,quantity,user_id\n{}", rows.join("\n"));
        let rows = lines(Cursor::new(text), Format::Csv).unwrap();
        let shown = |line: Result<Line<ImportedOrder>, CliError>| {
            let Line { number, body } = line.unwrap();
            match body {
                Ok(order) => {
                    let items = order.request.items.iter();
                    let items = items.map(|it| format!("{} x {}", it.product_id, it.quantity));
                    format!("{number}: {}", items.collect::<Vec<_>>().join(", "))
                }
                Err(wrong) => format!("{number}! {wrong}"),
            }
        };
        Orders::new(rows).map(shown).collect()
    }

    #[test]
    fn the_rows_of_an_order_become_one_order() {
        assert_eq!(read(&["7,1,2,", "7,2,1,", "8,1,1,"]), ["2: 1 x 2, 2 x 1", "4: 1 x 1"]);
        assert_eq!(read(&[",1,2,", ",1,2,"]), ["2: 1 x 2", "3: 1 x 2"]);
        let rows = read(&["7,1,2,", "8,1,1,", "7,2,1,"]);
        assert_eq!(&rows[..2], ["2: 1 x 2", "3: 1 x 1"]);
        assert!(rows[2].starts_with("4! order 7 has rows further up"), "{rows:?}");
        let rows = read(&["7,1,2,1", "7,2,1,2"]);
        assert_eq!(rows, ["2! line 3, of the same order, has another user_id"]);
    }

    #[test]
    fn no_order_is_placed_without_a_row_that_cannot_be_read() {
        let rows = read(&["6,1,1,", "7,1,2,", "7,x,1,", "7,3,1,", "8,1,1,"]);
        assert_eq!(rows[0], "2: 1 x 1");
        assert_eq!(rows[1], "3! line 4 may belong to it and cannot be read");
        assert!(rows[2].starts_with("4! product_id: "), "{rows:?}");
        assert!(rows[3].starts_with("5! order 7 has rows further up"), "{rows:?}");
        assert_eq!(rows[4], "6: 1 x 1");
        let rows = read(&["7,x,1,", "7,3,1,", "8,1,1,"]);
        assert!(rows[1].starts_with("3! the line before may belong to it"), "{rows:?}");
        assert_eq!(rows[2], "4: 1 x 1");
    }
}
