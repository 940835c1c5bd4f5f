//! What a copy of the cluster does that begins anew with the rows of this one: reports of payments
//! that wait for an order here must decide nobody there.

use engine::actor::Actor;
use engine::command::{BeginCluster, Command, Envelope, PaymentWebhook, PlaceOrder};
use engine::entry::Builder;
use engine::event::Event;
use engine::ids::{NodeId, OrderId, Position, ProductId, Quantity, RequestId};
use engine::layout::Added;
use engine::order::{Line, PaymentMethod};
use engine::outcome::Outcome;
use engine::state::{Observer, State};
use engine::trace::TraceId;
use engine::webhook::{Fate, Report};

use super::World;

/// Longer than any run.
const PARK_MS: u64 = 1 << 40;

/// Keeps what it is told.
#[derive(Debug, Default)]
struct Witness {
    outcomes: Vec<(RequestId, Outcome)>,
    events: Vec<Event>,
}

impl Observer for Witness {
    fn applied(&mut self, _: &State, _: Position, request: RequestId, outcome: Outcome) {
        self.outcomes.push((request, outcome));
    }

    fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }
}

impl World {
    /// Goes on with one node's state alone, when the cluster is at rest: a build of before lets a
    /// report wait, the copy begins, and the order of that id is placed by somebody else.
    pub(super) fn check_copy(&mut self) -> Result<(), String> {
        let oracle = &mut self.sim.oracle;
        let next = OrderId(oracle.model.orders.len() as u64 + 1);
        let mut index = oracle.last_index();
        let Some(process) = self.hosts.iter_mut().find_map(|host| host.up.as_mut()) else {
            return Err("no node is there to be copied".into());
        };
        let state = &mut process.state;
        for (seq, (level, command)) in (1..).zip(copied(next)) {
            index += 1;
            // A node that was not there before, so that its numbers are new.
            let request = RequestId { node: NodeId(1_000), boot: 1, seq };
            let actor = Actor::Nobody;
            let envelope = Envelope { request, trace: TraceId::NONE, actor, command };
            let mut builder = Builder::new(state.clock());
            builder.push(&envelope.encode_at(level));
            let payload = builder.finish();
            let predicted = oracle.model.apply(index, &payload)?;
            let mut witness = Witness::default();
            let applied = state.apply(index, 1, &payload, &mut witness);
            applied.map_err(|error| format!("copy: {error}"))?;
            if (&witness.outcomes, &witness.events) != (&predicted.outcomes, &predicted.events) {
                return Err(format!("copy: {witness:?}, not {predicted:?}"));
            }
        }
        let parked = oracle.model.reports.iter().filter(|known| *known.fate.now() == Fate::Parked);
        if state.parked_webhooks() != parked.count() as u64 {
            return Err(format!("copy: {} reports wait for an order", state.parked_webhooks()));
        }
        state.check_invariants().map_err(|violation| format!("copy: {violation}"))
    }
}

/// The commands, each with the level for which it is encoded.
fn copied(next: OrderId) -> [(u32, Command); 3] {
    let report = PaymentWebhook {
        key: "copied".into(),
        order: next,
        report: Report::Succeeded,
        amount: None,
        payload: None,
        park_ms: PARK_MS,
        parked_max: u64::MAX,
    };
    let place = PlaceOrder {
        user: None,
        hold: None,
        lines: vec![Line { product: ProductId(1), quantity: Quantity(1) }],
        payment_method: PaymentMethod::Webhook,
        key: None,
        metadata: None,
        payment_attempts_max: 1,
        payment_deadline_ms: 1_000,
        open_orders_max: u64::MAX,
        require_user: false,
        terms: Added::default(),
    };
    [
        (0, Command::PaymentWebhook(report)),
        (1, Command::BeginCluster(BeginCluster { pause_payments: true })),
        (1, Command::PlaceOrder(place)),
    ]
}
