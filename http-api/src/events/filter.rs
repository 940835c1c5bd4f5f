//! Selects the events that a subscriber wants.

use client::wire::EventType;
use engine::ids::{ProductId, UserId};

use super::render::Rendered;
use crate::bounds::ID_MAX;
use crate::request::fields::Errors;
use crate::request::query::{self, Query};

/// The most types in one request.
pub(crate) const TYPES_MAX: usize = 32;

/// Conditions that an event must all meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    /// The user that the subscriber is limited to: their own events, and those about products.
    bound: Option<UserId>,
    user: Option<UserId>,
    product: Option<ProductId>,
    /// A bit for each type, in the order of [`EventType::ALL`].
    types: u32,
}

const _: () = assert!(EventType::ALL.len() <= 32, "types fit into their bits");

impl Filter {
    /// Everything.
    #[cfg(test)]
    pub(super) const ALL: Filter =
        Filter { bound: None, user: None, product: None, types: u32::MAX };

    /// Reads `user_id`, `product_id` and `types`.
    pub(crate) fn read(query: &Query<'_>, errors: &mut Errors) -> Filter {
        let user = query.integer("user_id", 1..=ID_MAX, errors).map(UserId);
        let product = query.integer("product_id", 1..=ID_MAX, errors).map(ProductId);
        let types = match query.text("types", errors).map(read_types) {
            None => u32::MAX,
            Some(Ok(types)) => types,
            Some(Err(rest)) => {
                query::fault("types", &rest, errors);
                0
            }
        };
        Filter { bound: None, user, product, types }
    }

    /// The same for a subscriber that is limited to a user.
    pub(crate) fn bound_to(self, bound: Option<UserId>) -> Filter {
        Filter { bound, ..self }
    }

    /// The user whose events are wanted.
    pub(crate) fn user(&self) -> Option<UserId> {
        self.user
    }

    /// Whether an event is wanted.
    pub(crate) fn wants(&self, rendered: &Rendered) -> bool {
        let kind = &rendered.event.kind;
        self.types & bit(rendered.kind) != 0
            && self.bound.is_none_or(|user| may_see(user, rendered))
            && self.user.is_none_or(|user| kind.user() == Some(user))
            && self.product.is_none_or(|product| kind.is_about(product))
    }
}

/// Whether a customer may learn of an event.
fn may_see(user: UserId, rendered: &Rendered) -> bool {
    match rendered.event.kind.user() {
        Some(owner) => owner == user,
        None => ["product.", "stock."].iter().any(|of| rendered.kind.as_str().starts_with(of)),
    }
}

const fn bit(kind: EventType) -> u32 {
    1 << kind as u32
}

/// Reads `order.paid,hold.*`.
fn read_types(text: &str) -> Result<u32, String> {
    let mut types = 0;
    for (count, word) in text.split(',').enumerate() {
        if count == TYPES_MAX {
            return Err(format!("may list at most {TYPES_MAX} types."));
        }
        let found: u32 = match word.strip_suffix('*') {
            Some(family) if family.ends_with('.') => {
                let of = |kind: &&EventType| kind.as_str().starts_with(family);
                EventType::ALL.iter().filter(of).map(|kind| bit(*kind)).sum()
            }
            _ => word.parse().map(bit).unwrap_or(0),
        };
        if found == 0 {
            let all: Vec<_> = EventType::ALL.iter().map(|kind| kind.as_str()).collect();
            return Err(format!(
                "must list types, or families such as order.*, separated by commas: {}.",
                all.join(", ")
            ));
        }
        types |= found;
    }
    Ok(types)
}

#[cfg(test)]
mod tests {
    use super::super::render::tests;
    use super::*;

    fn read(text: &str) -> Result<Filter, String> {
        let query = Query::parse(Some(text)).unwrap();
        let mut errors = Errors::default();
        let filter = Filter::read(&query, &mut errors);
        errors.check().map(|()| filter).map_err(|failure| format!("{failure:?}"))
    }

    fn wanted(text: &str) -> Vec<&'static str> {
        let filter = read(text).unwrap();
        let all = tests::all().into_iter().map(|kind| Rendered::new(tests::event(0, kind)));
        all.filter(|rendered| filter.wants(rendered))
            .map(|rendered| rendered.kind.as_str())
            .collect()
    }

    #[test]
    fn filters_narrow_and_combine() {
        assert_eq!(read(""), Ok(Filter::ALL));
        assert_eq!(wanted("").len(), EventType::ALL.len());
        assert_eq!(
            wanted("types=order.paid,stock.*"),
            ["order.paid", "stock.adjusted", "stock.low", "stock.sold_out"]
        );
        assert_eq!(wanted("user_id=7").len(), 15);
        assert_eq!(wanted("user_id=8"), [""; 0]);
        assert_eq!(wanted("user_id=7&types=hold.expired&product_id="), ["hold.expired"]);
        assert_eq!(wanted("product_id=1&types=order.*").len(), 5);
        assert_eq!(wanted("product_id=3&types=product.*,payment.*").len(), 3);
    }

    #[test]
    fn customers_learn_of_their_own_orders_and_of_products() {
        let seen = |user: u64| -> Vec<&'static str> {
            let filter = Filter::ALL.bound_to(Some(UserId(user)));
            let all = tests::all().into_iter().map(|kind| Rendered::new(tests::event(0, kind)));
            let wanted = all.filter(|rendered| filter.wants(rendered));
            wanted.map(|rendered| rendered.kind.as_str()).collect()
        };
        let others = seen(8);
        assert!(others.iter().all(|it| it.starts_with("product.") || it.starts_with("stock.")));
        assert!(others.len() >= 5, "{others:?}");
        assert_eq!(seen(7).len(), others.len() + wanted("user_id=7").len());
    }

    #[test]
    fn unknown_types_are_named() {
        let many = vec!["order.paid"; TYPES_MAX + 1].join(",");
        for text in ["order.", "*", "order", "ORDER.PAID", "order.paid,", ",", "x.*", ".*", &many] {
            assert!(read(&format!("types={text}")).unwrap_err().contains("types"), "{text}");
        }
        assert!(read("user_id=0").unwrap_err().contains("user_id"));
        assert!(read("product_id=x").unwrap_err().contains("product_id"));
    }
}
