//! Encoding and decoding of commands.

use std::hint::black_box;

use benches::shop::{Orders, place_order};
use criterion::{Criterion, Throughput, criterion_group};
use engine::actor::Actor;
use engine::command::{Command, Envelope};
use engine::entry::{Builder, Entry};
use engine::ids::{NodeId, RequestId, Timestamp};
use engine::order::PaymentMethod;
use engine::trace::TraceId;

criterion_group!(benches, codec);

/// Commands in one entry.
const BATCH: u64 = 256;

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    for lines in [1, 3] {
        let envelope = envelope(1, lines);
        let bytes = envelope.encode();
        group.bench_function(format!("encode_{lines}_lines"), |bencher| {
            bencher.iter(|| black_box(&envelope).encode());
        });
        group.bench_function(format!("decode_{lines}_lines"), |bencher| {
            bencher.iter(|| Envelope::decode(black_box(&bytes)).expect("just encoded"));
        });
    }

    group.throughput(Throughput::Elements(BATCH));
    let commands: Vec<Vec<u8>> = (1..=BATCH).map(|number| envelope(number, 1).encode()).collect();
    let build = || {
        let mut builder = Builder::new(Timestamp(1));
        for command in &commands {
            builder.push(command);
        }
        builder.finish()
    };
    group.bench_function(format!("build_entry_of_{BATCH}"), |bencher| bencher.iter(build));
    let entry = build();
    group.bench_function(format!("parse_entry_of_{BATCH}"), |bencher| {
        bencher.iter(|| Entry::parse(black_box(&entry)).expect("just built").envelopes.len());
    });
    group.finish();
}

fn envelope(number: u64, lines: u64) -> Envelope {
    let orders = Orders { lines, payment: PaymentMethod::Mock };
    Envelope {
        request: RequestId { node: NodeId(1), boot: 1, seq: number },
        trace: TraceId::Uuid(u128::from(number).to_be_bytes()),
        actor: Actor::Nobody,
        command: Command::PlaceOrder(place_order(number, 1_000, orders)),
    }
}
