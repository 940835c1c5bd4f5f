//! Reads query strings. Each known parameter may occur once.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use engine::ids::Timestamp;
use percent_encoding::percent_decode_str;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

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

    /// A time that may be missing, in milliseconds: RFC 3339, or a day, which begins in UTC. Parts
    /// of a millisecond count as a whole one.
    pub(crate) fn moment(&self, name: &str, errors: &mut Errors) -> Option<Timestamp> {
        let text = self.text(name, errors)?;
        let moment = moment_of(text);
        if moment.is_none() {
            fault(name, "must be a time such as 2026-02-23T10:30:00Z, or a day.", errors);
        }
        moment
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

/// Times before 1970 are as good as 1970, when nothing was sold.
fn moment_of(text: &str) -> Option<Timestamp> {
    let text = match (text.len(), text.rfind(' ')) {
        (10, _) => format!("{text}T00:00:00Z"),
        // In a query, the plus of an offset is a space unless it is escaped.
        (_, Some(at)) if at > 10 => text.replace(' ', "+"),
        _ => text.to_owned(),
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).ok()?;
    let ms = moment.unix_timestamp_nanos().max(0).unsigned_abs().div_ceil(1_000_000);
    u64::try_from(ms).ok().map(Timestamp)
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
    fn times_are_rfc_3339_or_days() {
        for (text, ms) in [
            ("2026-02-23T10:30:00Z", 1_771_842_600_000),
            ("2026-02-23T10:30:00.000Z", 1_771_842_600_000),
            ("2026-02-23t10:30:00z", 1_771_842_600_000),
            ("2026-02-23T11:30:00%2B01:00", 1_771_842_600_000),
            ("2026-02-23T11:30:00+01:00", 1_771_842_600_000),
            ("2026-02-23T10:30:00.0000001Z", 1_771_842_600_001),
            ("2026-02-23", 1_771_804_800_000),
            ("1969-12-31T23:59:59Z", 0),
        ] {
            let query = format!("at={text}");
            let query = Query::parse(Some(&query)).unwrap();
            let mut errors = Errors::default();
            assert_eq!(query.moment("at", &mut errors), Some(Timestamp(ms)), "{text}");
            errors.check().unwrap();
        }
        for text in [
            "1771842600",
            "2026-02-23T10:30:00",
            "2026-02-23 10:30",
            "2026-02-30",
            "23.02.2026",
            "2026-2-23",
            "now",
            "-2026-02-23T10:30:00Z",
            "2026-02-23T10:30:00 x",
        ] {
            let query = format!("at={text}");
            let query = Query::parse(Some(&query)).unwrap();
            let mut errors = Errors::default();
            assert_eq!(query.moment("at", &mut errors), None, "{text}");
            assert!(errors.check().is_err(), "{text}");
        }
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
