//! Parses JSON and keeps the raw text of numbers.
//!
//! `serde_json` checks the syntax; this file splits valid text into values in one pass. Numbers
//! keep their text, because a quantity of `1.0` or `1e3` is refused and a price must never become a
//! binary floating-point number. It also refuses valid JSON that this API does not allow: nesting
//! beyond [`DEPTH_MAX`], duplicate names in one object, and lone surrogates.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::failure::Failure;

/// How deep arrays and objects may be nested.
pub(crate) const DEPTH_MAX: usize = 32;

/// Duplicate names in objects up to this size are found by comparing pairs, in larger ones by
/// hashing, so that the work stays linear.
const FEW_MEMBERS: usize = 16;

/// One JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// The text of a number, exactly as sent.
    Number(&'a str),
    /// The text of a string.
    Text(Cow<'a, str>),
    /// The elements of an array.
    Array(Vec<Value<'a>>),
    /// The members of an object.
    Object(Object<'a>),
}

/// The members of an object in the order in which they were sent, without duplicate names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Value<'a>)>);

impl<'a> Object<'a> {
    /// The value of a member.
    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.0.iter().find(|(member, _)| member == name).map(|(_, value)| value)
    }
}

/// Why a body is not a JSON object that this API reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("The body is empty; a JSON object is expected.")]
    Empty,
    #[error("The body is not valid UTF-8.")]
    NotUtf8,
    #[error("The body is not valid JSON: syntax error at line {line}, column {column}.")]
    Syntax { line: usize, column: usize },
    #[error("The body is nested too deeply; at most 32 levels are read.")]
    TooDeep,
    #[error("An object in the body has two members of the same name.")]
    DuplicateName,
    #[error("A string in the body is not valid Unicode.")]
    NotUnicode,
    #[error("The body must be a JSON object.")]
    NotAnObject,
}

impl From<Malformed> for Failure {
    fn from(error: Malformed) -> Failure {
        Failure::malformed(error.to_string())
    }
}

/// Reads a body. A byte order mark before it is passed over (RFC 8259, 8.1): editors and libraries
/// of Windows write one.
pub(crate) fn parse(body: &[u8]) -> Result<Object<'_>, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed::NotUtf8)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.bytes().all(is_space) {
        return Err(Malformed::Empty);
    }
    let raw: &RawValue = serde_json::from_str(text)
        .map_err(|error| Malformed::Syntax { line: error.line(), column: error.column() })?;
    let mut splitter = Splitter { text: raw.get(), at: 0 };
    match splitter.value(0)? {
        Value::Object(object) => Ok(object),
        _ => Err(Malformed::NotAnObject),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Splits valid JSON into values.
struct Splitter<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Splitter<'a> {
    /// The next byte that is not white space.
    fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while is_space(bytes[self.at]) {
            self.at += 1;
        }
        bytes[self.at]
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, Malformed> {
        Ok(match self.peek() {
            b'{' if depth < DEPTH_MAX => Value::Object(self.object(depth + 1)?),
            b'[' if depth < DEPTH_MAX => Value::Array(self.array(depth + 1)?),
            b'{' | b'[' => return Err(Malformed::TooDeep),
            b'"' => Value::Text(self.string()?),
            _ => match self.word() {
                "null" => Value::Null,
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                number => Value::Number(number),
            },
        })
    }

    fn object(&mut self, depth: usize) -> Result<Object<'a>, Malformed> {
        let mut members = Vec::new();
        self.at += 1;
        while self.peek() != b'}' {
            if self.peek() == b',' {
                self.at += 1;
                self.peek();
            }
            let name = self.string()?;
            assert_eq!(self.peek(), b':', "the syntax was checked");
            self.at += 1;
            members.push((name, self.value(depth)?));
        }
        self.at += 1;
        if has_duplicate_names(&members) {
            return Err(Malformed::DuplicateName);
        }
        Ok(Object(members))
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Value<'a>>, Malformed> {
        let mut elements = Vec::new();
        self.at += 1;
        while self.peek() != b']' {
            if self.peek() == b',' {
                self.at += 1;
            }
            elements.push(self.value(depth)?);
        }
        self.at += 1;
        Ok(elements)
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        let mut escaped = false;
        self.at += 1;
        while bytes[self.at] != b'"' {
            if bytes[self.at] == b'\\' {
                escaped = true;
                self.at += 1;
            }
            self.at += 1;
        }
        self.at += 1;
        if escaped {
            // Only a lone surrogate can still be wrong.
            let quoted = &self.text[start..self.at];
            return serde_json::from_str(quoted).map(Cow::Owned).map_err(|_| Malformed::NotUnicode);
        }
        Ok(Cow::Borrowed(&self.text[start + 1..self.at - 1]))
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let ends = |byte: u8| is_space(byte) || matches!(byte, b',' | b']' | b'}');
        let length = rest.bytes().position(ends).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }
}

fn has_duplicate_names(members: &[(Cow<'_, str>, Value<'_>)]) -> bool {
    if members.len() <= FEW_MEMBERS {
        let name = |i: usize| &members[i].0;
        return (1..members.len()).any(|i| (0..i).any(|j| name(i) == name(j)));
    }
    let mut seen = HashSet::with_capacity(members.len());
    members.iter().any(|(name, _)| !seen.insert(name))
}

/// The canonical text of an object: members sorted by name, no white space, one spelling for each
/// string. Numbers keep their text, so that `1.10` comes back as it was sent.
pub(crate) fn canonical(object: &Object<'_>) -> String {
    let mut out = String::new();
    write_object(object, &mut out);
    out
}

/// The same of any value.
pub(crate) fn canonical_value(value: &Value<'_>) -> String {
    let mut out = String::new();
    write_value(value, &mut out);
    out
}

fn write_object(object: &Object<'_>, out: &mut String) {
    let mut members: Vec<_> = object.0.iter().collect();
    members.sort_by(|a, b| a.0.cmp(&b.0));
    out.push('{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        write_string(name, out);
        out.push(':');
        write_value(value, out);
    }
    out.push('}');
}

fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(text) => out.push_str(text),
        Value::Text(text) => write_string(text, out),
        Value::Object(object) => write_object(object, out),
        Value::Array(elements) => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_value(element, out);
            }
            out.push(']');
        }
    }
}

fn write_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::to_string(text).expect("text is written as JSON"));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces_keep_their_text() {
        let body = br#" {"a": [1.50, -2e9 , "x\n\u00e9\ud83d\ude00", {}], "b":{"c":null,"d":[true,false]} } "#;
        let object = parse(body).unwrap();
        let Some(Value::Array(a)) = object.get("a") else { panic!("an array") };
        assert_eq!(a[0], Value::Number("1.50"));
        assert_eq!(a[1], Value::Number("-2e9"));
        assert_eq!(a[2], Value::Text("x\né😀".into()));
        assert_eq!(a[3], Value::Object(Object::default()));
        let Some(Value::Object(b)) = object.get("b") else { panic!("an object") };
        assert_eq!(b.get("c"), Some(&Value::Null));
        assert_eq!(b.get("d"), Some(&Value::Array(vec![Value::Bool(true), Value::Bool(false)])));
        assert_eq!(b.get("e"), None);
    }

    #[test]
    fn other_values_than_objects_are_refused() {
        let deep = |n: usize| format!("{}{}", "{\"a\":".repeat(n), "1") + &"}".repeat(n);
        for (body, error) in [
            (&b""[..], Malformed::Empty),
            (b" \r\n\t", Malformed::Empty),
            (b"[]", Malformed::NotAnObject),
            (b"\"x\"", Malformed::NotAnObject),
            (b"1", Malformed::NotAnObject),
            (b"null", Malformed::NotAnObject),
            (b"{\"a\":\"\xff\"}", Malformed::NotUtf8),
            (b"{\"a\":\"\\ud800\"}", Malformed::NotUnicode),
            (b"{\"a\":\"\\udc00 \\ud800\"}", Malformed::NotUnicode),
            (b"{\"\\ud800\":1}", Malformed::NotUnicode),
            (b"{\"a\":1,\"b\":2,\"a\":3}", Malformed::DuplicateName),
            (b"{\"a\":1,\"\\u0061\":2}", Malformed::DuplicateName),
            (b"{\"x\":[{\"a\":1,\"a\":1}]}", Malformed::DuplicateName),
            (deep(33).as_bytes(), Malformed::TooDeep),
            (&[b'['; 10_000], Malformed::Syntax { line: 1, column: 10_000 }),
        ] {
            assert_eq!(parse(body), Err(error), "{}", String::from_utf8_lossy(body));
        }
        assert!(parse(deep(32).as_bytes()).is_ok());
        assert_eq!(parse("\u{feff}{\"a\":1}".as_bytes()), parse(b"{\"a\":1}"));
        assert_eq!(parse("\u{feff}".as_bytes()), Err(Malformed::Empty));
        let closed = "[".repeat(10_000) + &"]".repeat(10_000);
        assert_eq!(parse(closed.as_bytes()), Err(Malformed::TooDeep));
        for body in [
            "{",
            "nul",
            "{\"a\":1,}",
            "{} {}",
            "{\"a\":01}",
            "{\"a\":NaN}",
            "{'a':1}",
            "\u{feff}\u{feff}{}",
            " \u{feff}{}",
            "{}\u{feff}",
            "{\"a\":\"\n\"}",
        ] {
            assert!(matches!(parse(body.as_bytes()), Err(Malformed::Syntax { .. })), "{body}");
        }
    }

    #[test]
    fn duplicate_names_are_found_in_linear_time() {
        let body = |last: usize| {
            let members: Vec<_> = (0..50_000).chain([last]).map(|i| format!("\"{i}\":0")).collect();
            format!("{{{}}}", members.join(","))
        };
        assert_eq!(parse(body(7).as_bytes()), Err(Malformed::DuplicateName));
        assert_eq!(parse(body(50_000).as_bytes()).unwrap().0.len(), 50_001);
    }

    #[test]
    fn equal_meaning_has_one_canonical_text() {
        let text = |body: &str| canonical(&parse(body.as_bytes()).unwrap());
        assert_eq!(
            text(r#"{ "b" : [ 1 , 1e2, "\u0041" ], "a" : {"d":null,"c":0.10} }"#),
            r#"{"a":{"c":0.10,"d":null},"b":[1,1e2,"A"]}"#
        );
        for number in ["1.10", "-0", "1E+2", "1e400", "18446744073709551616", &"9".repeat(400)] {
            let whole = format!("{{\"a\":{number}}}");
            assert_eq!(text(&whole), whole, "numbers keep their text");
        }
    }

    fn arbitrary_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".*".prop_map(Into::into),
        ];
        leaf.prop_recursive(6, 64, 8, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
                proptest::collection::btree_map(".*", inner, 0..8)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn json_of_serde_is_read_with_the_same_meaning(
            value in arbitrary_json(),
            pretty: bool,
        ) {
            let body = serde_json::json!({ "value": value });
            let write = if pretty { serde_json::to_string_pretty } else { serde_json::to_string };
            let text = write(&body).unwrap();
            let object = parse(text.as_bytes()).unwrap();
            let canonical = canonical(&object);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&canonical).unwrap(), body);
        }
    }
}
