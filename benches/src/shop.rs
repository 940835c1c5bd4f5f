//! Orders as a stream of encoded commands, and a state to apply them to.

use engine::actor::Actor;
use engine::command::{
    ClaimPayments, Command, CreateProduct, Envelope, PaymentResult, PlaceOrder, SettlePayments,
    Verdict,
};
use engine::entry;
use engine::ids::{NodeId, OrderId, ProductId, Quantity, RequestId, Timestamp, UserId};
use engine::layout::Added;
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::product::STOCK_MAX;
use engine::state::{State, Unobserved};
use engine::trace::TraceId;

/// Users that orders are spread over.
const USERS: u64 = 10_000;
/// Milliseconds on the replicated clock from one entry to the next.
const ENTRY_MS: u64 = 1;

/// The shape of the orders in a stream.
#[derive(Debug, Clone, Copy)]
pub struct Orders {
    /// Lines per order, 1 to 100.
    pub lines: u64,
    /// Whether the payment worker has to settle them.
    pub payment: PaymentMethod,
}

impl Orders {
    /// One line, paid by the worker.
    pub const SIMPLE: Orders = Orders { lines: 1, payment: PaymentMethod::Mock };
}

/// A state with products, and the numbers that its next command needs.
#[derive(Debug)]
pub struct Shop {
    state: State,
    products: u64,
    seq: u64,
    clock: u64,
    orders: u64,
}

impl Shop {
    /// A shop with this many products, each with more stock than any bench sells.
    ///
    /// # Panics
    /// When `products` is 0.
    pub fn new(products: u64) -> Shop {
        Shop::with_stock(products, STOCK_MAX)
    }

    /// A shop with this many products of `stock` units each.
    ///
    /// # Panics
    /// When `products` is 0.
    pub fn with_stock(products: u64, stock: i64) -> Shop {
        assert!(products > 0, "a shop sells something");
        let mut shop = Shop { state: State::new(), products, seq: 0, clock: 1, orders: 0 };
        let creations: Vec<Vec<u8>> =
            (1..=products).map(|number| shop.envelope(create_product(number, stock))).collect();
        for batch in creations.chunks(1024) {
            let payload = shop.entry(batch);
            shop.apply(&payload);
        }
        shop
    }

    /// The state as it is now.
    pub fn state(&mut self) -> &mut State {
        &mut self.state
    }

    /// How many orders its commands have requested so far.
    pub fn orders(&self) -> u64 {
        self.orders
    }

    /// The payload of an entry that places `count` orders, spread over all products. It is not
    /// applied.
    pub fn place(&mut self, count: u64, orders: Orders) -> Vec<u8> {
        let commands: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                self.orders += 1;
                let command = Command::PlaceOrder(place_order(self.orders, self.products, orders));
                self.envelope(command)
            })
            .collect();
        self.entry(&commands)
    }

    /// The payloads of the two entries that claim and settle the payments of the orders with ids
    /// `first` to `last`, as the worker batches them. They are not applied.
    pub fn pay(&mut self, first: u64, last: u64) -> [Vec<u8>; 2] {
        [self.claim(first, last), self.settle(first..=last)]
    }

    /// The payload of the entry that claims the payments of the orders with ids `first` to `last`.
    /// It is not applied.
    pub fn claim(&mut self, first: u64, last: u64) -> Vec<u8> {
        let tasks = (first..=last).map(|id| (OrderId(id), 1)).collect();
        let claim = ClaimPayments { node: NodeId(1), lease_ms: 10_000, tasks };
        let claim = self.worked(Command::ClaimPayments(claim));
        self.entry(&[claim])
    }

    /// The payload of the entry that settles claimed payments. It is not applied.
    pub fn settle(&mut self, orders: impl Iterator<Item = u64>) -> Vec<u8> {
        let results = orders
            .map(|id| PaymentResult { order: OrderId(id), attempt: 1, verdict: Verdict::Succeeded })
            .collect();
        let settle = self.worked(Command::SettlePayments(SettlePayments { results }));
        self.entry(&[settle])
    }

    /// Applies a payload as the next entry.
    ///
    /// # Panics
    /// When it cannot be decoded.
    pub fn apply(&mut self, payload: &[u8]) {
        let index = self.state.applied_index() + 1;
        let applied = self.state.apply(index, 1, payload, &mut Unobserved);
        applied.expect("a payload made by this shop can be applied");
    }

    /// A command that a client asked for.
    fn envelope(&mut self, command: Command) -> Vec<u8> {
        let trace = TraceId::Uuid(u128::from(self.seq + 1).to_be_bytes());
        self.traced(trace, command)
    }

    /// A command of the payment worker, which has no trace id.
    fn worked(&mut self, command: Command) -> Vec<u8> {
        self.traced(TraceId::NONE, command)
    }

    fn traced(&mut self, trace: TraceId, command: Command) -> Vec<u8> {
        self.seq += 1;
        let request = RequestId { node: NodeId(1), boot: 1, seq: self.seq };
        Envelope { request, trace, actor: Actor::Nobody, command }.encode()
    }

    fn entry(&mut self, commands: &[Vec<u8>]) -> Vec<u8> {
        self.clock += ENTRY_MS;
        let mut builder = entry::Builder::new(Timestamp(self.clock));
        for command in commands {
            builder.push(command);
        }
        builder.finish()
    }
}

/// Order number `number` of a stream over `products` products. The number determines its products
/// and its user, without a pattern.
pub fn place_order(number: u64, products: u64, orders: Orders) -> PlaceOrder {
    let line = |line: u64| Line {
        product: ProductId(scatter(number ^ (line << 48)) % products + 1),
        quantity: Quantity(1),
    };
    PlaceOrder {
        user: Some(UserId(scatter(!number) % USERS + 1)),
        hold: None,
        lines: (0..orders.lines).map(line).collect(),
        payment_method: orders.payment,
        key: Some(format!("bench-{number:012}").into()),
        metadata: None,
        payment_attempts_max: 1,
        payment_deadline_ms: 900_000,
        open_orders_max: 1_000_000_000,
        require_user: false,
        terms: Added::default(),
    }
}

/// A product whose name says where it comes from.
pub fn create_product(number: u64, stock: i64) -> Command {
    Command::CreateProduct(CreateProduct {
        name: format!("bench {number}").into(),
        price: Money(999),
        stock,
        ..CreateProduct::default()
    })
}

/// The finalizer of the SplitMix64 generator: consecutive numbers in, no pattern out.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::order::Status;

    #[test]
    fn a_stream_of_orders_is_placed_and_paid() {
        let mut shop = Shop::new(10);
        let payload = shop.place(20, Orders::SIMPLE);
        shop.apply(&payload);
        assert_eq!(shop.state().open_orders(), 20);
        for payload in shop.pay(1, 20) {
            shop.apply(&payload);
        }
        assert_eq!(shop.state().open_orders(), 0);
        assert_eq!(shop.state().order_status(OrderId(20)), Some(Status::Paid));
        assert_eq!(shop.state().check_invariants(), Ok(()));
    }

    #[test]
    fn without_stock_every_order_is_refused() {
        let mut shop = Shop::with_stock(3, 0);
        let payload = shop.place(5, Orders { lines: 3, payment: PaymentMethod::None });
        shop.apply(&payload);
        assert_eq!(shop.state().open_orders(), 0);
        assert_eq!(shop.orders(), 5);
    }
}
