//! What kinds of rows take of a node's memory.

use engine::command::{Command, CreateProduct, CreateUser, FenceKey};
use engine::outcome::Outcome;
use engine::quota::Kind;

use crate::common::*;

#[test]
fn each_row_of_a_kind_counts_towards_its_share_and_orders_have_none() {
    let mut machine = Machine::default();
    let user = |n: u64, name: &str| {
        let email = format!("ada-{n}@example.com").into();
        Command::CreateUser(CreateUser { name: name.into(), email })
    };
    let product = || {
        let product = CreateProduct { name: "Chair".into(), ..CreateProduct::default() };
        Command::CreateProduct(product)
    };
    let fence = |n: u64| Command::FenceKey(FenceKey { key: format!("k{n}").into() });
    assert_eq!(Kind::of(&user(1, "Ada")), Some(Kind::Users));
    assert_eq!(Kind::of(&product()), Some(Kind::Products));
    assert_eq!(Kind::of(&fence(1)), Some(Kind::FencedKeys));
    assert_eq!(Kind::of(&Command::Tick), None);
    let bytes = |machine: &Machine, kind| machine.state.bytes_of(kind);
    for kind in [Kind::Users, Kind::Products, Kind::FencedKeys] {
        assert_eq!(bytes(&machine, kind), 0, "{}", kind.as_str());
        assert!(kind.share(1 << 30) <= 1 << 27 && kind.share(1 << 30) >= 1 << 26);
    }
    machine.run(user(1, "Ada"));
    let short = bytes(&machine, Kind::Users);
    assert!((150..400).contains(&short), "{short}");
    machine.run(user(2, &"a".repeat(203)));
    assert_eq!(bytes(&machine, Kind::Users), 2 * short + 200, "longer names count");
    assert!(matches!(machine.run(user(2, "Eve")), Outcome::Rejected(_)));
    assert_eq!(bytes(&machine, Kind::Users), 2 * short + 200);
    machine.run(product());
    machine.run(fence(1));
    machine.run(fence(1));
    assert_eq!(bytes(&machine, Kind::Products), 1_024);
    assert_eq!(bytes(&machine, Kind::FencedKeys), 40);
}
