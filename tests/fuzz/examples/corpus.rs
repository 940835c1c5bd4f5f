//! Writes the corpora anew: bytes that the system itself writes when a small shop trades.
//!
//! `cargo run -p fuzz --example corpus`. The bytes follow from the code alone, so a change of a
//! format shows as a change of these files. Inputs that a fuzzer found stay.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::actor::Actor;
use engine::adjustment::Change;
use engine::checkpoint::CheckpointStore;
use engine::command::{
    AdjustStock, ArchiveProduct, BeginCluster, CancelOrder, ClaimPayments, Command, CreateHold,
    CreateProduct, CreateUser, Envelope, ExtendHold, FenceKey, Keyed, KeyedCommand, PaymentResult,
    PaymentWebhook, PlaceBatch, PlaceOrder, RaiseLevel, ReleaseHold, SetPayments, SettlePayments,
    UpdateProduct, Verdict,
};
use engine::entry::Builder;
use engine::ids::{
    HoldId, NodeId, OrderId, ProductId, Quantity, RequestId, Timestamp, TokenId, UserId,
};
use engine::layout::Added;
use engine::money::Money;
use engine::order::{Line, PaymentMethod};
use engine::sale::Sale;
use engine::secret::Secret;
use engine::state::{State, Unobserved};
use engine::store::memory::MemoryStore;
use engine::trace::TraceId;
use engine::webhook::Report;
use raft::eraftpb;
use raft_node::members::{self, Ask, Member};
use raft_node::message::{Forwarded, Hello, HelloVerdict, PeerMessage, encode_frame};
use raft_node::snapshot::format::{Header, Writer};

/// How often the shop repeats its day: enough orders for a full chunk of every kind of row.
const DAYS: u64 = 16;

fn main() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = corpus.join(target);
        fs::create_dir_all(&folder).expect("the sources can be written");
        let path: PathBuf = folder.join(name);
        fs::write(path, bytes).expect("the sources can be written");
    };
    let mut shop = Shop::default();
    for day in 0..DAYS {
        shop.trade(day);
    }
    for (number, command) in shop.commands.iter().enumerate().take(KINDS) {
        write("command", &format!("{number:02}"), command);
    }
    for (number, entry) in shop.entries.iter().enumerate().take(4) {
        write("entry", &format!("{number:02}"), entry);
    }
    let rows = rows(&mut shop.state);
    for (number, (key, value)) in rows.iter().enumerate() {
        let letters = key.iter().take_while(|byte| byte.is_ascii_alphabetic());
        let kind: String = letters.map(|byte| char::from(*byte)).collect();
        write("row", &format!("{number:02}-{kind}"), value);
    }
    write("snapshot", "shop", &snapshot(&rows));
    write("snapshot", "one-row", &snapshot(&rows[..1]));
    write("snapshot", "empty", &snapshot(&[]));
    for (number, body) in BODIES.iter().enumerate() {
        write("body", &format!("{number:02}"), body.as_bytes());
    }
    for (number, query) in QUERIES.iter().enumerate() {
        write("query", &format!("{number:02}"), query.as_bytes());
    }
    let tables = corpus.join("../../../http-api/holdfast/tests/corpus");
    for file in fs::read_dir(tables).expect("files of spreadsheets") {
        let file = file.expect("a folder can be listed");
        let name = file.file_name().into_string().expect("an ASCII name");
        write("csv", &name, &fs::read(file.path()).expect("a file can be read"));
    }
    for (number, message) in messages(&shop).into_iter().enumerate() {
        let mut frame = Vec::new();
        encode_frame(1_700_000_000_000, &[message], &mut frame);
        write("frame", &format!("{number:02}"), &frame);
    }
    let mut frame = Vec::new();
    encode_frame(1_700_000_000_000, &messages(&shop), &mut frame);
    write("frame", "all", &frame);
    write("frame", "hello", &hello().encode());
}

/// Bodies as clients send them.
const BODIES: &[&str] = &[
    r#"{"items":[{"product_id":1,"quantity":2}],"user_id":7,"payment_method":"mock"}"#,
    r#"{"items":[{"product_id":1,"quantity":1}],"idempotency_key":"k-1","metadata":{"a":[1,2.5e3]}}"#,
    r#"{"hold_id":3,"payment_method":"webhook"}"#,
    r#"{"atomic":true,"orders":[{"items":[{"product_id":1,"quantity":1}]}]}"#,
    r#"{"name":"Laptop","price":"999.99","stock":5,"sku":"L-1","max_per_user":null}"#,
    r#"{"delta":-2,"reason":"broken","expected":40}"#,
    r#"{"order_id":1,"status":"success","amount":999.99,"payload":{"\u00e9":"\ud83d\ude00"}}"#,
    "{ \"name\" : \"Ada\" ,\n \"email\" : \"ada@example.org\" }",
];

/// Query strings as clients send them.
const QUERIES: &[&str] = &[
    "page=2&per_page=50&status=PAID&user_id=7",
    "cursor=o42&limit=100",
    "ids=1,2,3&consistency=stale",
    "status=PA%49D&a+b=c%20d&&flag&user_id=",
];

/// Commands that the corpus keeps: those of one day, one of each kind.
const KINDS: usize = 23;

/// A state, and what made it.
#[derive(Default)]
struct Shop {
    state: State,
    commands: Vec<Vec<u8>>,
    entries: Vec<Vec<u8>>,
}

impl Shop {
    /// Applies one day of trade in two entries.
    fn trade(&mut self, day: u64) {
        let day_commands = commands(day);
        let half = day_commands.len() / 2;
        for commands in [&day_commands[..half], &day_commands[half..]] {
            let index = self.entries.len() as u64 + 1;
            let mut entry = Builder::new(Timestamp(1_700_000_000_000 + index * 1_000));
            for command in commands {
                let seq = self.commands.len() as u64 + 1;
                let request = RequestId { node: NodeId(1), boot: 1, seq };
                let trace = match seq % 2 {
                    0 => TraceId::Uuid([7; 16]),
                    _ => TraceId::Text(format!("checkout-{seq}").into()),
                };
                let (actor, level) = match seq % 3 {
                    0 => (Actor::Nobody, 0),
                    1 => (Actor::Token(TokenId(seq)), 1),
                    _ => (Actor::Customer { user: UserId(seq) }, 1),
                };
                let envelope = Envelope { request, trace, actor, command: command.clone() };
                let bytes = envelope.encode_at(level);
                entry.push(&bytes);
                self.commands.push(bytes);
            }
            let entry = entry.finish();
            self.state.apply(index, 1, &entry, &mut Unobserved).expect("well formed");
            self.entries.push(entry);
        }
    }
}

fn commands(day: u64) -> Vec<Command> {
    let product = ProductId(day + 1);
    let order = |number: u64| OrderId(day * 5 + number);
    let hold = |number: u64| HoldId(day * 2 + number);
    let lines = vec![Line { product, quantity: Quantity(2) }];
    let place = |method, key: Option<String>| PlaceOrder {
        user: Some(UserId(day + 1)),
        hold: None,
        lines: lines.clone(),
        payment_method: method,
        key: key.map(Into::into),
        metadata: Some("{\"channel\":\"web\"}".into()),
        payment_attempts_max: 3,
        payment_deadline_ms: 60_000,
        open_orders_max: 1_000_000,
        require_user: true,
        terms: Added::default(),
    };
    let create_hold = CreateHold {
        user: Some(UserId(day + 1)),
        lines: lines.clone(),
        ttl_ms: 60_000,
        key: Some(format!("hold-{day}").into()),
        ttl_max_ms: 600_000,
        active_holds_max: 1_000_000,
        require_user: false,
        ttl_is_default: Added(day.is_multiple_of(2)),
    };
    let with_hold = PlaceOrder {
        hold: Some(hold(1)),
        lines: Vec::new(),
        user: None,
        require_user: false,
        ..place(PaymentMethod::None, None)
    };
    let result = |number, verdict| PaymentResult { order: order(number), attempt: 1, verdict };
    vec![
        Command::CreateProduct(CreateProduct {
            name: "Laptop".into(),
            sku: Some(format!("SKU-{day}").into()),
            price: Money(99_999),
            stock: 1_000,
            max_per_order: Some(10),
            max_per_user: Some(100),
            low_stock: Some(990),
            sale: Added(Sale { opens_at: Some(Timestamp(1)), ..Sale::default() }),
        }),
        Command::CreateUser(CreateUser {
            name: "Ada".into(),
            email: format!("ada-{day}@example.org").into(),
        }),
        Command::UpdateProduct(UpdateProduct {
            product,
            sku: Some(None),
            price: Some(Money(89_999)),
            ..UpdateProduct::default()
        }),
        Command::AdjustStock(AdjustStock {
            product,
            change: Change::By(7),
            expected: None,
            reason: "delivery".into(),
            key: Some(format!("delivery-{day}").into()),
        }),
        Command::PlaceOrder(place(PaymentMethod::Mock, Some(format!("order-{day}")))),
        Command::PlaceOrder(place(PaymentMethod::Webhook, None)),
        Command::CreateHold(create_hold.clone()),
        Command::PlaceOrder(with_hold),
        Command::CreateHold(CreateHold { key: None, ..create_hold }),
        Command::ExtendHold(ExtendHold { hold: hold(2), ttl_ms: 90_000, ttl_max_ms: 600_000 }),
        Command::ReleaseHold(ReleaseHold { hold: hold(2) }),
        Command::PlaceBatch(PlaceBatch {
            atomic: true,
            orders: vec![place(PaymentMethod::None, None), place(PaymentMethod::Mock, None)],
        }),
        Command::ClaimPayments(ClaimPayments {
            node: NodeId(1),
            lease_ms: 30_000,
            tasks: vec![(order(1), 1), (order(5), 1)],
        }),
        Command::SettlePayments(SettlePayments {
            results: vec![
                result(1, Verdict::Succeeded),
                result(5, Verdict::Declined { reason: "no funds".into(), retry_in_ms: 500 }),
            ],
        }),
        Command::SettlePayments(SettlePayments {
            results: vec![result(5, Verdict::NoAnswer { retry_in_ms: 500 })],
        }),
        Command::PaymentWebhook(PaymentWebhook {
            key: format!("provider-{day}").into(),
            order: order(2),
            report: if day.is_multiple_of(2) { Report::Succeeded } else { Report::Failed },
            amount: None,
            payload: Some("{\"provider\":\"p\"}".into()),
            park_ms: 60_000,
            parked_max: 1_000,
        }),
        Command::CancelOrder(CancelOrder { order: order(3), reason: Some("changed".into()) }),
        Command::FenceKey(FenceKey { key: format!("fenced-{day}").into() }),
        Command::ArchiveProduct(ArchiveProduct { product: ProductId(day), expected_version: None }),
        Command::SetPayments(SetPayments { paused: day.is_multiple_of(2) }),
        Command::BeginCluster(BeginCluster { pause_payments: false }),
        Command::RaiseLevel(RaiseLevel { to: 1, secret: Secret([7; 32]) }),
        Command::Keyed(Keyed {
            name: u128::from(day) + 1,
            meaning: 7,
            command: KeyedCommand::ReleaseHold(ReleaseHold { hold: hold(2) }),
        }),
        Command::Tick,
    ]
}

/// Some rows of a checkpoint, by key.
fn rows(state: &mut State) -> Vec<(Vec<u8>, Vec<u8>)> {
    let store = MemoryStore::new();
    state.freeze().write(&store).expect("memory takes everything");
    let mut rows = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    store.scan(b"", &mut visit).expect("memory can be read");
    // Small inputs mutate better: two rows of each kind are enough.
    let mut kinds: BTreeMap<u8, usize> = BTreeMap::new();
    rows.retain(|(key, value)| {
        let seen = kinds.entry(key[0]).or_default();
        *seen += 1;
        *seen <= 2 && value.len() < 6_000
    });
    rows
}

fn snapshot(rows: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let header = Header {
        cluster: [7; 16],
        index: 2 * DAYS,
        term: 1,
        clock: Timestamp(1_700_000_000_000),
        digest: 99,
        members: vec![1, 2],
        cluster_name: "shop".into(),
    };
    let mut file = Vec::new();
    let mut writer = Writer::new(&mut file, &header).expect("memory takes everything");
    for (key, value) in rows {
        writer.row(key, value).expect("memory takes everything");
    }
    writer.finish().expect("memory takes everything");
    file
}

fn hello() -> Hello {
    Hello {
        verdict: HelloVerdict::Welcome,
        cluster: [7; 16],
        from: NodeId(1),
        to: NodeId(2),
        incarnation: 99,
        speaks: 1,
        raft_addr: "shop-1:7001".into(),
    }
}

fn messages(shop: &Shop) -> Vec<PeerMessage> {
    let mut append = eraftpb::Message::default();
    append.set_msg_type(eraftpb::MessageType::MsgAppend);
    append.set_from(1);
    append.set_to(2);
    append.set_term(3);
    let data = shop.entries[0].clone().into();
    append.mut_entries().push(eraftpb::Entry { data, index: 7, term: 3, ..Default::default() });
    let mut beat = eraftpb::Message::default();
    beat.set_msg_type(eraftpb::MessageType::MsgHeartbeat);
    let member = Member {
        id: NodeId(4),
        raft_addr: "shop-4:7001".into(),
        http_addr: Some("shop-4:8080".into()),
        incarnation: Some(5),
        replaces: Some(NodeId(2)),
    };
    let command: Arc<[u8]> = shop.commands[0].clone().into();
    vec![
        PeerMessage::Raft(Box::new(append)),
        PeerMessage::Raft(Box::new(beat)),
        PeerMessage::Forward(vec![Forwarded { seq: 9, envelope: command }]),
        PeerMessage::Taken { term: 7, seqs: vec![3, 4] },
        PeerMessage::Refused(vec![1, 2, u64::MAX]),
        PeerMessage::Room { low: true, refuses: false },
        PeerMessage::Memory { full: true },
        PeerMessage::Ask { ticket: 4, ask: Ask::Raise { to: 1 } },
        PeerMessage::Ask { ticket: 5, ask: Ask::Add { member, speaks: 1 } },
        PeerMessage::Ask { ticket: 6, ask: Ask::Transfer { from: NodeId(1), to: None } },
        PeerMessage::Removed,
        PeerMessage::Verdict { ticket: 5, verdict: Ok(7) },
        PeerMessage::Verdict { ticket: 5, verdict: Err(members::Refusal::InProgress) },
        PeerMessage::FetchSnapshot { index: 7, offset: 9 },
        PeerMessage::SnapshotPart { index: 7, offset: 9, size: 12, bytes: vec![5; 3] },
    ]
}
