//! Reads query strings. Each known parameter may occur once.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;

use crate::failure::Failure;
use crate::request::fields::{Errors, integer};

/// The most parameters in one query.
pub(crate) const PARAMETERS_MAX: usize = 64;

/// The parameters of a request. `service` refuses unknown ones before the handler runs.
#[derive(Debug, Default)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    /// Decodes `a=1&b=2`.
    pub(crate) fn parse(text: Option<&'a str>) -> Result<Query<'a>, Failure> {
        let mut parameters = Vec::new();
        for pair in text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == PARAMETERS_MAX {
                return Err(Failure::malformed("The query has more than 64 parameters."));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((form_decode(name)?, form_decode(value)?));
        }
        Ok(Query(parameters))
    }

    /// Refuses parameters that are not `known`: a misspelt filter must not list everything.
    pub(crate) fn check_names(&self, known: &[String]) -> Result<(), Failure> {
        let mut errors = Errors::default();
        let mut unknown: Vec<&str> = self.0.iter().map(|(name, _)| name.as_ref()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for name in unknown.into_iter().filter(|name| known.iter().all(|known| known != name)) {
            let text = match known {
                [] => "This path takes no query parameters.".to_owned(),
                known => format!("Unknown query parameter; known are: {}.", known.join(", ")),
            };
            errors.add(name.to_owned(), text);
        }
        errors.check()
    }

    /// All parameters, as decoded.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn pairs(&self) -> &[(Cow<'a, str>, Cow<'a, str>)] {
        &self.0
    }

    /// The value of a parameter that may be missing. An empty value counts as missing, so that
    /// `?user_id=&status=PAID` filters by the status alone.
    pub(crate) fn text(&self, name: &str, errors: &mut Errors) -> Option<&str> {
        let mut values = self.0.iter().filter(|(given, _)| given == name).map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            fault(name, "must be given once.", errors);
            return None;
        }
        Some(value.as_ref()).filter(|value| !value.is_empty())
    }

    /// An integer that may be missing.
    pub(crate) fn integer(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
        errors: &mut Errors,
    ) -> Option<u64> {
        let text = self.text(name, errors)?;
        integer(text, range).map_err(|rest| fault(name, &rest, errors)).ok()
    }
}

/// Adds an error of a parameter; `rest` ends a sentence that begins with the parameter.
pub(crate) fn fault(name: &str, rest: &str, errors: &mut Errors) {
    errors.add(name.to_owned(), format!("The {} parameter {rest}", name.replace('_', " ")));
}

fn form_decode(text: &str) -> Result<Cow<'_, str>, Failure> {
    if text.contains('+') {
        return Ok(Cow::Owned(percent_decode(&text.replace('+', " "))?.into_owned()));
    }
    percent_decode(text)
}

/// Decodes percent escapes such as `%2F`. Refuses incomplete escapes and text that is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Result<Cow<'_, str>, Failure> {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let bytes = text.as_bytes();
    let broken =
        |at: usize| bytes[at] == b'%' && !(hex(bytes.get(at + 1)) && hex(bytes.get(at + 2)));
    if (0..bytes.len()).any(broken) {
        return Err(Failure::malformed("The path or query has an invalid percent escape."));
    }
    percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Failure::malformed("The path or query is not valid UTF-8."))
}

#[cfg(test)]
mod tests {
    use client::wire::ErrorCode;

    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(Some("status=PA%49D&a+b=c%20d&&flag&user_id=&x=1=2")).unwrap();
        let mut errors = Errors::default();
        assert_eq!(query.text("status", &mut errors), Some("PAID"));
        assert_eq!(query.text("a b", &mut errors), Some("c d"));
        assert_eq!(query.text("x", &mut errors), Some("1=2"));
        assert_eq!(query.text("flag", &mut errors), None);
        assert_eq!(query.integer("user_id", 1..=9, &mut errors), None);
        assert!(errors.check().is_ok());
        assert!(Query::parse(None).unwrap().0.is_empty());
    }

    #[test]
    fn repeated_and_unreadable_parameters_are_named() {
        let query = Query::parse(Some("limit=1&limit=2&page=abc&per_page=0&cursor=-1")).unwrap();
        let mut errors = Errors::default();
        for name in ["limit", "page", "per_page", "cursor"] {
            assert_eq!(query.integer(name, 1..=50, &mut errors), None);
        }
        let failure = errors.check().unwrap_err();
        assert_eq!(failure.code(), ErrorCode::ValidationError);
        for name in ["limit", "page", "per_page", "cursor"] {
            assert!(format!("{failure:?}").contains(&format!("\"{name}\"")), "{name}");
        }
    }

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let known = ["status".to_owned(), "user_id".to_owned()];
        let check = |text: &str, known: &[String]| {
            Query::parse(Some(text)).unwrap().check_names(known).map_err(|e| format!("{e:?}"))
        };
        for fine in ["", "&", "status=PAID", "user_id=&status=", "st%61tus=x"] {
            assert!(check(fine, &known).is_ok(), "{fine}");
        }
        for (text, name) in [
            ("staus=PAID", "staus"),
            ("Status=PAID", "Status"),
            ("userId=1", "userId"),
            ("status%5B%5D=PAID", "status[]"),
            ("status=PAID&x&x", "x"),
            ("=1", ""),
        ] {
            let failure = check(text, &known).unwrap_err();
            assert!(failure.contains(&format!("{name:?}: [")), "{text}: {failure}");
            assert!(failure.contains("known are: status, user_id."), "{text}: {failure}");
        }
        assert!(check("a=1", &[]).unwrap_err().contains("takes no query parameters"));
    }

    #[test]
    fn broken_encodings_are_malformed() {
        for text in ["a=%", "a=%z1", "a=%1", "%zz=1", "a=%ff"] {
            assert_eq!(Query::parse(Some(text)).unwrap_err().code(), ErrorCode::MalformedRequest);
        }
        let many = "a=1&".repeat(65);
        assert_eq!(Query::parse(Some(&many)).unwrap_err().code(), ErrorCode::MalformedRequest);
    }
}
