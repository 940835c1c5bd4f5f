//! Kills a process in the middle of its checkpoints and opens what it left behind.
//!
//! The test starts itself again as the process to be killed. That one applies a fixed history,
//! checkpoints after every few entries, and prints the applied index of each checkpoint once it is
//! durable. Whatever the moment of the kill, the store must open with at least the last printed
//! index and with just the digest that the history has there.

use std::io::{BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command as Process, Stdio};

use engine::actor::Actor;
use engine::adjustment::Change;
use engine::command::{
    AdjustStock, CancelOrder, ClaimPayments, Command, CreateHold, CreateProduct, Envelope,
    FenceKey, PaymentResult, PaymentWebhook, PlaceOrder, ReleaseHold, SettlePayments, Verdict,
};
use engine::entry::Builder;
use engine::ids::{HoldId, NodeId, OrderId, ProductId, Quantity, RequestId, Timestamp, UserId};
use engine::layout::Added;
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::state::{State, Unobserved};
use engine::store::sled::SledStore;
use engine::trace::TraceId;
use engine::webhook::Report;

/// How often the process is killed.
const ROUNDS: u64 = 8;
/// Entries between two checkpoints.
const CHECKPOINT_EVERY: u64 = 3;
/// The last entry of the history. Every process is killed long before it.
const ENTRIES: u64 = 6_000;
/// Orders placed by one entry.
const ORDERS: u64 = 40;
/// Holds made by one entry.
const HOLDS: u64 = 4;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--be-killed") => live(Path::new(&arguments[1])),
        // Test runners ask every test binary for its tests, and for those that are ignored.
        Some("--list") if arguments.iter().any(|argument| argument == "--ignored") => {}
        Some("--list") => println!("a_killed_process_leaves_a_checkpoint: test"),
        _ => kill_again_and_again(),
    }
}

/// The entry at an index: creates products first, then places, pays and cancels orders.
fn entry(index: u64) -> Vec<u8> {
    let mut builder = Builder::new(Timestamp(index * 10));
    let mut seq = index * 10_000;
    let mut push = |command| {
        seq += 1;
        let request = RequestId { node: NodeId(1), boot: 1, seq };
        let envelope =
            Envelope { request, trace: TraceId::Uuid([1; 16]), actor: Actor::Nobody, command };
        builder.push(&envelope.encode());
    };
    if index == 1 {
        for _ in 0..20 {
            let (name, price, stock) = ("thing".into(), Money(100), 10_000_000);
            let product = CreateProduct { name, price, stock, ..CreateProduct::default() };
            push(Command::CreateProduct(product));
        }
        return builder.finish();
    }
    let first = (index - 2) * ORDERS + 1;
    let orders = first..first + ORDERS;
    let line = |order| Line { product: ProductId(order % 20 + 1), quantity: Quantity(1) };
    let holds = (index - 2) * HOLDS + 1;
    for hold in holds..holds + HOLDS {
        push(Command::CreateHold(CreateHold {
            user: None,
            lines: vec![line(hold)],
            ttl_ms: 50,
            key: Some(format!("key-{hold}").into()),
            ttl_max_ms: 50,
            active_holds_max: u64::MAX,
            require_user: false,
            ttl_is_default: true.into(),
        }));
    }
    // One is taken over, one released, the others run out some entries later.
    push(Command::ReleaseHold(ReleaseHold { hold: HoldId(holds + 1) }));
    for order in orders.clone() {
        let from_hold = order == first;
        push(Command::PlaceOrder(PlaceOrder {
            user: Some(UserId(order % 7)),
            hold: from_hold.then_some(HoldId(holds)),
            lines: if from_hold { Vec::new() } else { vec![line(order)] },
            payment_method: PaymentMethod::Mock,
            key: Some(format!("key-{order}").into()),
            metadata: None,
            payment_attempts_max: 1,
            payment_deadline_ms: 0,
            open_orders_max: u64::MAX,
            require_user: false,
            terms: Added::default(),
        }));
    }
    // Waits for the first order of the next entry.
    push(Command::PaymentWebhook(PaymentWebhook {
        key: format!("key-{index}").into(),
        order: OrderId(first + ORDERS),
        report: Report::Succeeded,
        amount: None,
        payload: Some("{\"from\":\"a provider\"}".into()),
        park_ms: 1_000_000,
        parked_max: u64::MAX,
    }));
    push(Command::AdjustStock(AdjustStock {
        product: ProductId(index % 20 + 1),
        change: Change::By(7),
        expected: None,
        reason: "delivery".into(),
        key: Some(format!("key-{index}").into()),
    }));
    push(Command::FenceKey(FenceKey { key: format!("fenced-{index}").into() }));
    let (cancelled, claimed): (Vec<u64>, Vec<u64>) = orders.partition(|order| order % 9 == 0);
    for order in cancelled {
        push(Command::CancelOrder(CancelOrder { order: OrderId(order), reason: None }));
    }
    let tasks = claimed.iter().map(|order| (OrderId(*order), 1)).collect();
    push(Command::ClaimPayments(ClaimPayments { node: NodeId(1), lease_ms: 1_000_000, tasks }));
    // Some are paid an entry later, so that chunks stay open across checkpoints.
    let due = claimed
        .iter()
        .map(|order| if order % 4 == 0 { *order } else { order - ORDERS.min(order - 1) });
    let results = due
        .map(|order| PaymentResult {
            order: OrderId(order),
            attempt: 1,
            verdict: Verdict::Succeeded,
        })
        .collect();
    push(Command::SettlePayments(SettlePayments { results }));
    builder.finish()
}

fn apply(state: &mut State, index: u64) {
    state.apply(index, 1, &entry(index), &mut Unobserved).expect("well formed");
}

/// The process to be killed: opens what its predecessor left and goes on.
fn live(directory: &Path) {
    let store = SledStore::open(directory).expect("opened");
    let mut state = State::open(&store).expect("opened");
    state.set_resident_chunks_max(8);
    let mut out = std::io::stdout();
    for index in state.applied_index() + 1..=ENTRIES {
        apply(&mut state, index);
        if index % CHECKPOINT_EVERY == 0 {
            let written = state.freeze().write(&store).expect("written");
            state.release(&written);
            writeln!(out, "{index}").and_then(|()| out.flush()).expect("the parent reads");
        }
    }
}

/// Starts a process on the directory, kills it some checkpoints later, and gives the index of the
/// last checkpoint that it called durable.
fn run_and_kill(directory: &Path, checkpoints: u64) -> u64 {
    let mut process = Process::new(std::env::current_exe().expect("this program has a path"))
        .arg("--be-killed")
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
    let mut durable = 0;
    for _ in 0..checkpoints {
        let line = lines.next().expect("the history is long").expect("text");
        durable = line.parse().expect("an index");
    }
    process.kill().expect("killed");
    // Lines that it printed after our last look were durable as well.
    for line in lines.map_while(Result::ok) {
        durable = line.parse().unwrap_or(durable);
    }
    assert!(!process.wait().expect("ended").success(), "it ended by itself");
    durable
}

fn kill_again_and_again() {
    let mut expected = State::new();
    let mut unopened = 0;
    let home = tempfile::tempdir().expect("a directory");
    let mut directory = home.path().join("0");
    for round in 1..=ROUNDS {
        let durable = run_and_kill(&directory, 3 + round * 2);
        // sled may refuse, even by a panic, to open what an abrupt stop left. A node then rebuilds
        // its store from the log; what must never happen is that something else opens.
        let opened = catch_unwind(AssertUnwindSafe(|| SledStore::open(&directory)));
        let Ok(Ok(store)) = opened else {
            unopened += 1;
            directory = home.path().join(round.to_string());
            expected = State::new();
            continue;
        };
        let mut state = State::open(&store).expect("what sled gives back is a checkpoint");
        let index = state.applied_index();
        assert!(index >= durable, "round {round}: {index} opened, {durable} was durable");
        for next in expected.applied_index() + 1..=index {
            apply(&mut expected, next);
        }
        assert_eq!(state.digest(), expected.digest(), "round {round}, at {index}");
    }
    assert!(unopened <= ROUNDS / 4, "{unopened} of {ROUNDS} stores could not be opened");
    println!("killed {ROUNDS} times, {unopened} stores could not be opened");
}
