//! Reads fields by hand, so that one answer names every invalid field.
//!
//! A reader returns `None` for a missing field and for an invalid one. It adds what is wrong to
//! [`Errors`], and [`Errors::check`] fails the request after all fields were read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use client::wire::ErrorCode;
use engine::ids::Timestamp;
use engine::money::{Money, ParseError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::bounds::{ID_MAX, KEY_CHARS_MAX};
use crate::failure::Failure;
use crate::request::json::{Object, Value};

/// The errors of each field.
#[derive(Debug, Default)]
pub(crate) struct Errors(BTreeMap<String, Vec<String>>);

impl Errors {
    /// Adds an error of a field.
    pub(crate) fn add(&mut self, path: String, text: String) {
        self.0.entry(path).or_default().push(text);
    }

    /// Fails if any field is invalid.
    pub(crate) fn check(self) -> Result<(), Failure> {
        self.finish(Some(()))
    }

    /// The value, if no field is invalid. A reader that returned `None` has added the reason.
    pub(crate) fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Failure::validation(self.0)),
        }
    }
}

/// What happens to fields with unknown names, as the `Prefer` header says (RFC 7240).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Handling {
    /// They are ignored, unless they are nearly known.
    #[default]
    Lenient,
    /// They are refused.
    Strict,
}

/// The fields of one object.
pub(crate) struct Fields<'o, 'a> {
    object: &'o Object<'a>,
    handling: Handling,
    /// The field that the object is in, and its index if the field is a list.
    within: Option<(&'static str, Option<usize>)>,
}

impl<'o, 'a> Fields<'o, 'a> {
    /// The fields of a whole body.
    pub(crate) fn of(object: &'o Object<'a>, handling: Handling) -> Fields<'o, 'a> {
        Fields { object, handling, within: None }
    }

    /// The fields of an element of a list in these fields.
    pub(crate) fn element(
        &self,
        object: &'o Object<'a>,
        list: &'static str,
        index: usize,
    ) -> Fields<'o, 'a> {
        Fields { object, handling: self.handling, within: Some((list, Some(index))) }
    }

    /// The fields of an object that is a field of these.
    pub(crate) fn part(&self, object: &'o Object<'a>, name: &'static str) -> Fields<'o, 'a> {
        Fields { object, handling: self.handling, within: Some((name, None)) }
    }

    /// The fields of an object in these fields that stands for a whole body.
    pub(crate) fn whole(&self, object: &'o Object<'a>) -> Fields<'o, 'a> {
        Fields { object, handling: self.handling, within: None }
    }

    /// Refuses names that differ from a `known` one only by case, `_` or `-`. Ignored as unknown, a
    /// misspelt key or limit would change what the request does. Strict handling refuses every
    /// name that is not `known`.
    pub(crate) fn check_names(&self, known: &[&str], errors: &mut Errors) {
        let given = self.object.0.iter().map(|(name, _)| name.as_ref());
        let refused = given.filter(|name| !known.contains(name)).filter_map(|name| {
            let meant = known.iter().find(|known| spells_the_same(known, name));
            let refused = meant.is_some() || self.is_key(name) || self.handling == Handling::Strict;
            refused.then_some((name, meant))
        });
        for (name, meant) in refused.take(REFUSED_NAMES_MAX) {
            let text = match meant {
                Some(meant) => format!("This field is unknown; did you mean {meant}?"),
                None if self.is_key(name) => {
                    "This request takes its key in the header Idempotency-Key.".to_owned()
                }
                None => format!("This field is unknown; known are: {}.", known.join(", ")),
            };
            let shown = name.char_indices().nth(NAME_BYTES_MAX).map_or(name, |(at, _)| &name[..at]);
            errors.add(self.path(shown), text);
        }
    }

    /// Whether a field of a body that takes no key is meant as one. Ignored, it would let a retry
    /// change the state again.
    fn is_key(&self, name: &str) -> bool {
        self.within.is_none() && spells_the_same("idempotency_key", name)
    }

    /// The path of a field in the body, such as `items.0.quantity`. Built only for errors.
    fn path(&self, name: &str) -> String {
        match self.within {
            None => name.to_owned(),
            Some((field, None)) => format!("{field}.{name}"),
            Some((list, Some(index))) => format!("{list}.{index}.{name}"),
        }
    }

    /// Adds an error of a field; `rest` ends a sentence that begins with the field.
    pub(crate) fn fault(&self, name: &str, rest: &str, errors: &mut Errors) {
        let path = self.path(name);
        let text = format!("The {} field {rest}", path.replace('_', " "));
        errors.add(path, text);
    }

    /// A field that may be missing; null counts as missing.
    pub(crate) fn optional(&self, name: &str) -> Option<&'o Value<'a>> {
        self.object.get(name).filter(|value| **value != Value::Null)
    }

    /// A field that must be there.
    pub(crate) fn required(&self, name: &str, errors: &mut Errors) -> Option<&'o Value<'a>> {
        let value = self.optional(name);
        if value.is_none() {
            self.fault(name, "is required.", errors);
        }
        value
    }

    /// Whether the field is present, even if it is null.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some()
    }

    /// An integer that may be missing.
    pub(crate) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        errors: &mut Errors,
    ) -> Option<u64> {
        let value = self.optional(name)?;
        let result = match value {
            Value::Number(text) => integer(text, range),
            _ => Err(NOT_AN_INTEGER.into()),
        };
        self.note(name, result, errors)
    }

    /// An integer that must be there.
    pub(crate) fn required_integer(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        errors: &mut Errors,
    ) -> Option<u64> {
        self.required(name, errors)?;
        self.integer(name, range, errors)
    }

    /// An id that may be missing.
    pub(crate) fn id(&self, name: &str, errors: &mut Errors) -> Option<u64> {
        self.integer(name, 1..=ID_MAX, errors)
    }

    /// A string of at most `bytes_max` bytes that may be missing. Control characters are refused:
    /// the text ends up in tables, logs and exports.
    pub(crate) fn text(
        &self,
        name: &str,
        bytes_max: usize,
        errors: &mut Errors,
    ) -> Option<Box<str>> {
        let result = match self.optional(name)? {
            Value::Text(text) if text.trim().is_empty() => Err("must not be blank.".into()),
            Value::Text(text) if text.len() > bytes_max => {
                Err(format!("must not be greater than {bytes_max} bytes.").into())
            }
            Value::Text(text) if text.chars().any(char::is_control) => {
                Err("must not contain control characters.".into())
            }
            Value::Text(text) => Ok(Box::from(text.as_ref())),
            _ => Err(NOT_A_STRING.into()),
        };
        self.note(name, result, errors)
    }

    /// A string that must be there.
    pub(crate) fn required_text(
        &self,
        name: &str,
        bytes_max: usize,
        errors: &mut Errors,
    ) -> Option<Box<str>> {
        self.required(name, errors)?;
        self.text(name, bytes_max, errors)
    }

    /// An instant that may be missing: text as in RFC 3339, to the millisecond.
    pub(crate) fn instant(&self, name: &str, errors: &mut Errors) -> Option<Timestamp> {
        let wrong = "must be a time as in 2026-01-31T12:00:00Z.";
        let result = match self.optional(name)? {
            Value::Text(text) => instant(text).ok_or(wrong.into()),
            _ => Err(wrong.into()),
        };
        self.note(name, result, errors)
    }

    /// A price that may be missing: decimal text in a string or a number.
    pub(crate) fn price(&self, name: &str, errors: &mut Errors) -> Option<Money> {
        let result = match self.optional(name)? {
            Value::Text(text) => price(text),
            Value::Number(text) => price(text),
            _ => Err("must be a decimal number.".into()),
        };
        self.note(name, result, errors)
    }

    /// An amount that may be missing: like a price, without its bound.
    pub(crate) fn amount(&self, name: &str, errors: &mut Errors) -> Option<Money> {
        let result = match self.optional(name)? {
            Value::Text(text) => amount(text),
            Value::Number(text) => amount(text),
            _ => Err("must be a decimal number.".into()),
        };
        self.note(name, result, errors)
    }

    /// The text of the idempotency key in the body; [`idempotency_key`] validates it.
    pub(crate) fn key(&self, errors: &mut Errors) -> Option<&'o str> {
        let result = match self.optional("idempotency_key")? {
            Value::Text(text) => Ok(text.as_ref()),
            _ => Err(NOT_A_STRING.into()),
        };
        self.note("idempotency_key", result, errors)
    }

    fn note<T>(
        &self,
        name: &str,
        result: Result<T, Cow<'static, str>>,
        errors: &mut Errors,
    ) -> Option<T> {
        result.map_err(|rest| self.fault(name, &rest, errors)).ok()
    }
}

/// The most refused names that an answer lists for one object.
const REFUSED_NAMES_MAX: usize = 16;

/// Whether two names are equal but for case, `_` and `-`.
fn spells_the_same(one: &str, other: &str) -> bool {
    let plain = |name: &str| -> Vec<u8> {
        let bytes = name.bytes().filter(|byte| !matches!(byte, b'_' | b'-'));
        bytes.map(|byte| byte.to_ascii_lowercase()).collect()
    };
    other.len() <= NAME_BYTES_MAX && plain(one) == plain(other)
}

/// Longer names are not compared with the known ones, and are shown cut to as many characters.
const NAME_BYTES_MAX: usize = 64;

pub(crate) const NOT_A_STRING: &str = "must be a string.";
const NOT_AN_INTEGER: &str = "must be an integer.";

/// Parses an integer without fraction or exponent; the error ends a sentence about the field.
pub(crate) fn integer(text: &str, range: RangeInclusive<u64>) -> Result<u64, Cow<'static, str>> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NOT_AN_INTEGER.into());
    }
    let negative = digits.len() < text.len() && digits.bytes().any(|byte| byte != b'0');
    // More digits than 64 bits hold exceed every range.
    let number = digits.parse::<u64>().unwrap_or(u64::MAX);
    if negative || number < *range.start() {
        Err(format!("must be at least {}.", range.start()).into())
    } else if number > *range.end() {
        Err(format!("must not be greater than {}.", range.end()).into())
    } else {
        Ok(number)
    }
}

/// An instant from 1970 on.
fn instant(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ms = u64::try_from(moment.unix_timestamp_nanos().div_euclid(1_000_000)).ok()?;
    Some(Timestamp(ms))
}

fn price(text: &str) -> Result<Money, Cow<'static, str>> {
    Money::parse_price(text).map_err(|error| no_amount(error, Money::PRICE_MAX))
}

fn amount(text: &str) -> Result<Money, Cow<'static, str>> {
    Money::parse_amount(text).map_err(|error| no_amount(error, Money(i64::MAX)))
}

fn no_amount(error: ParseError, max: Money) -> Cow<'static, str> {
    match error {
        ParseError::NotANumber => "must be a decimal number.".into(),
        ParseError::TooPrecise => "must have at most two decimal places.".into(),
        ParseError::Negative => "must be at least 0.".into(),
        ParseError::TooLarge => format!("must not be greater than {max}.").into(),
    }
}

/// Whether a text is an idempotency key: 1 to 255 characters, no control characters, no line or
/// paragraph separators, and not only white space.
pub(crate) fn is_key(text: &str) -> bool {
    let unprintable =
        |character: char| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}');
    // A character has at most four bytes; the cheap check comes first.
    text.len() <= 4 * KEY_CHARS_MAX
        && text.chars().count() <= KEY_CHARS_MAX
        && !text.chars().any(unprintable)
        && !text.trim().is_empty()
}

/// The key of a request, from its header, its body, or both when they agree.
pub(crate) fn idempotency_key<'a>(
    header: Option<&'a str>,
    body: Option<&'a str>,
) -> Result<Option<&'a str>, Failure> {
    for key in [header, body].into_iter().flatten() {
        if !is_key(key) {
            return Err(key_invalid());
        }
    }
    match (header, body) {
        (Some(header), Some(body)) if header != body => Err(Failure::new(
            ErrorCode::IdempotencyKeyMismatch,
            "The Idempotency-Key header and the idempotency_key field differ.",
        )),
        (header, body) => Ok(header.or(body)),
    }
}

/// The refusal of an invalid key.
pub(crate) fn key_invalid() -> Failure {
    Failure::new(
        ErrorCode::IdempotencyKeyInvalid,
        "An idempotency key has 1 to 255 printable characters, not all of them spaces.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::json;

    fn fault_of(text: &str) -> String {
        integer(text, 1..=1_000_000).unwrap_err().into_owned()
    }

    #[test]
    fn integers_are_digits_and_nothing_else() {
        assert_eq!(integer("1", 1..=10), Ok(1));
        assert_eq!(integer("10", 1..=10), Ok(10));
        assert_eq!(integer("-0", 0..=10), Ok(0));
        assert_eq!(integer("18446744073709551615", 0..=u64::MAX), Ok(u64::MAX));
        for text in ["1.5", "1.0", "1e3", "1E3", "1e400", "", "-", "+1", " 1", "٣"] {
            assert_eq!(fault_of(text), "must be an integer.", "{text}");
        }
        for text in ["0", "-1", "-99999999999999999999999", "-0"] {
            assert_eq!(fault_of(text), "must be at least 1.", "{text}");
        }
        for text in ["1000001", "2147483648", "9007199254740993", "9223372036854775808"] {
            assert_eq!(fault_of(text), "must not be greater than 1000000.", "{text}");
        }
        let huge = format!("1{}", "0".repeat(400));
        assert_eq!(fault_of(&huge), "must not be greater than 1000000.");
    }

    #[test]
    fn every_invalid_field_is_named_once_with_its_path() {
        let body = br#"{"a": "2", "name": 7, "price": [1], "sku": "a\u0000b", "empty": " "}"#;
        let object = json::parse(body).unwrap();
        let fields = Fields::of(&object, Handling::Lenient).element(&object, "items", 3);
        let mut errors = Errors::default();
        assert_eq!(fields.required_integer("a", 1..=5, &mut errors), None);
        assert_eq!(fields.required_integer("missing_one", 1..=5, &mut errors), None);
        assert_eq!(fields.text("name", 10, &mut errors), None);
        assert_eq!(fields.text("sku", 10, &mut errors), None);
        assert_eq!(fields.text("empty", 10, &mut errors), None);
        assert_eq!(fields.price("price", &mut errors), None);
        assert_eq!(fields.integer("absent", 1..=5, &mut errors), None);
        let texts: Vec<_> =
            errors.0.iter().map(|(path, texts)| (path.as_str(), texts.concat())).collect();
        assert_eq!(
            texts,
            [
                ("items.3.a", "The items.3.a field must be an integer.".to_owned()),
                ("items.3.empty", "The items.3.empty field must not be blank.".to_owned()),
                ("items.3.missing_one", "The items.3.missing one field is required.".to_owned()),
                ("items.3.name", "The items.3.name field must be a string.".to_owned()),
                ("items.3.price", "The items.3.price field must be a decimal number.".to_owned()),
                (
                    "items.3.sku",
                    "The items.3.sku field must not contain control characters.".to_owned()
                ),
            ]
        );
        assert!(errors.check().is_err());
        assert!(Errors::default().check().is_ok());
    }

    #[test]
    fn prices_come_from_text_or_number() {
        let price_of = |json: &str| {
            let body = format!("{{\"price\":{json}}}");
            let object = json::parse(body.as_bytes()).unwrap();
            let mut errors = Errors::default();
            let price = Fields::of(&object, Handling::Lenient).price("price", &mut errors);
            errors.check().map(|()| price)
        };
        assert_eq!(price_of("0.10").unwrap(), Some(Money(10)));
        assert_eq!(price_of("\"999.99\"").unwrap(), Some(Money(99_999)));
        assert_eq!(price_of("15000000").unwrap(), Some(Money(1_500_000_000)));
        assert_eq!(price_of("null").unwrap(), None);
        for json in
            ["0.001", "-1", "\"NaN\"", "true", "1e400", "100000000", "\"\"", "\"1,50 EUR\"", "{}"]
        {
            assert!(price_of(json).is_err(), "{json}");
        }
    }

    #[test]
    fn keys_are_printable_and_bounded() {
        for key in ["a", "order-abc-123", "a b", "schlüssel", &"x".repeat(255), &"😀".repeat(255)]
        {
            assert!(is_key(key), "{key:?}");
        }
        for key in [
            "",
            " ",
            "\t",
            "\u{3000}",
            "a\nb",
            "a\0b",
            "a\u{7f}",
            "a\u{2028}b",
            &"x".repeat(256),
            &"😀".repeat(256),
        ] {
            assert!(!is_key(key), "{key:?}");
        }
        assert_eq!(idempotency_key(Some("a"), Some("a")).unwrap(), Some("a"));
        assert_eq!(idempotency_key(None, Some("a")).unwrap(), Some("a"));
        assert_eq!(idempotency_key(None, None).unwrap(), None);
        let code = |header, body| idempotency_key(header, body).unwrap_err().code();
        assert_eq!(code(Some("a"), Some("b")), ErrorCode::IdempotencyKeyMismatch);
        assert_eq!(code(Some("a"), Some("")), ErrorCode::IdempotencyKeyInvalid);
    }
}
