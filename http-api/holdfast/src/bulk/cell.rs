//! The text of one cell of a spreadsheet: numbers, prices, and text that looks like a formula.
//!
//! A cell with two possible meanings is refused with both of them. Nothing here guesses.

use std::borrow::Cow;

/// Characters that make a spreadsheet read a cell as a formula, also in their wide forms.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Reads a whole number. Spreadsheets may add decimals that are zero.
///
/// # Errors
/// Words for the user, which quote the cell.
pub(crate) fn whole(text: &str) -> Result<u64, String> {
    let (digits, decimals) = parts(text).ok_or_else(|| {
        format!("{text:?} is not a whole number: write it with digits only, such as 1000")
    })?;
    if !decimals.is_empty() {
        if decimals.bytes().any(|digit| digit != b'0') {
            return Err(format!("{text:?} is not a whole number"));
        }
        unambiguous(text, digits, decimals)?;
    }
    digits.parse().map_err(|_| format!("{text:?} is too large"))
}

/// Reads a price as decimal text with a point and at most two places.
///
/// # Errors
/// Words for the user, which quote the cell.
pub(crate) fn price(text: &str) -> Result<String, String> {
    let (digits, decimals) = parts(text).ok_or_else(|| {
        format!(
            "{text:?} is not a price such as 1299.50: write it without a currency, a percent sign \
             and thousands separators"
        )
    })?;
    if decimals.is_empty() {
        return Ok(digits.to_owned());
    }
    unambiguous(text, digits, decimals)?;
    let (places, rest) = decimals.split_at(decimals.len().min(2));
    if rest.bytes().any(|digit| digit != b'0') {
        return Err(format!("{text:?} has more than two decimals"));
    }
    Ok(format!("{digits}.{places}"))
}

/// Splits a number at its only point or comma. Returns none for anything but digits around it.
fn parts(text: &str) -> Option<(&str, &str)> {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit());
    match text.split_once(['.', ',']) {
        None => is_number(text).then_some((text, "")),
        Some((digits, decimals)) => {
            (is_number(digits) && is_number(decimals)).then_some((digits, decimals))
        }
    }
}

/// Refuses three decimals: half of the world reads `1.000` as a thousand.
fn unambiguous(text: &str, digits: &str, decimals: &str) -> Result<(), String> {
    if decimals.len() != 3 {
        return Ok(());
    }
    Err(format!(
        "{text:?} can mean {digits}.{decimals} or {digits}{decimals}: write it without a separator, \
         or with two decimals"
    ))
}

/// Reads a SKU.
///
/// # Errors
/// A spreadsheet has shortened a long number, such as a bar code, to `4.00638E+12`: its digits are
/// gone.
pub(crate) fn sku(text: &str) -> Result<&str, String> {
    let text = restored(text);
    let is_shortened = text.split_once("E+").is_some_and(|(number, power)| {
        number.contains(['.', ',']) && parts(number).is_some() && power.parse::<u32>().is_ok()
    });
    if is_shortened {
        return Err(format!(
            "{text:?} is a number that the spreadsheet has shortened: format the column as text and \
             enter its digits again"
        ));
    }
    Ok(text)
}

/// Makes text harmless that a spreadsheet would run as a formula: puts `'` before it.
pub(crate) fn neutral(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// Undoes [`neutral`].
pub(crate) fn restored(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

/// Whether a spreadsheet may run the text. Leading `'` do not count, so that [`restored`] gives
/// back any text that [`neutral`] took.
fn is_formula(text: &str) -> bool {
    let rest = text.trim_start_matches('\'');
    rest.starts_with(['\t', '\r', '\n'])
        || rest.trim_start_matches(|it: char| it == '\'' || it.is_whitespace()).starts_with(FORMULA)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_as_spreadsheets_write_them() {
        for (text, number) in [
            ("0", 0),
            ("42", 42),
            ("007", 7),
            ("100.0", 100),
            ("100,00", 100),
            ("100.0000", 100),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(whole(text), Ok(number), "{text}");
        }
        for (text, words) in [
            ("", "digits only"),
            ("many", "digits only"),
            ("-1", "digits only"),
            ("+1", "digits only"),
            ("1e3", "digits only"),
            ("1 000", "digits only"),
            ("1\u{a0}000", "digits only"),
            ("1.000,00", "digits only"),
            ("50%", "digits only"),
            ("1.", "digits only"),
            ("1.5", "not a whole number"),
            ("1.000", "1.000 or 1000"),
            ("1,000", "1.000 or 1000"),
            ("18446744073709551616", "too large"),
        ] {
            let wrong = whole(text).unwrap_err();
            assert!(wrong.contains(words) && wrong.contains(&format!("{text:?}")), "{wrong}");
        }
    }

    #[test]
    fn prices_as_spreadsheets_write_them() {
        for (text, amount) in [
            ("199", "199"),
            ("19.9", "19.9"),
            ("19,99", "19.99"),
            ("19.9900", "19.99"),
            ("0.00", "0.00"),
        ] {
            assert_eq!(price(text).as_deref(), Ok(amount), "{text}");
        }
        for (text, words) in [
            ("", "not a price"),
            ("€ 5", "not a price"),
            ("5 €", "not a price"),
            ("1,299.50", "not a price"),
            ("1.299,50", "not a price"),
            ("1e2", "not a price"),
            ("-1", "not a price"),
            ("10%", "not a price"),
            ("1,299", "1.299 or 1299"),
            ("1.2345", "more than two decimals"),
        ] {
            let wrong = price(text).unwrap_err();
            assert!(wrong.contains(words) && wrong.contains(&format!("{text:?}")), "{wrong}");
        }
    }

    #[test]
    fn a_number_that_lost_its_digits_is_not_a_sku() {
        for text in ["4.00638E+12", "4,00638E+12", "1.5E+3"] {
            assert!(sku(text).unwrap_err().contains("shortened"), "{text}");
        }
        for text in ["00123", "2024-03-01", "1/2", "E+12", "4E12", "A.1E+2", "E-1.5E+x"] {
            assert_eq!(sku(text), Ok(text));
        }
        assert_eq!(sku("'-40"), Ok("-40"));
    }

    #[test]
    fn formulas_are_made_harmless_and_come_back() {
        for text in [
            "=HYPERLINK(\"http://x\")",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            "\r1",
            "\n1",
            " =1",
            "\u{a0}=1",
            "'=1",
            "''=1",
            "' =1",
            "＝1",
        ] {
            let written = neutral(text);
            assert_eq!(written, format!("'{text}"));
            assert_eq!(restored(&written), text);
        }
        for text in ["", "a=b", "'", "''", "'tis", "O'Neill", " a", "1-2", "'a=b"] {
            assert_eq!(neutral(text), text);
            assert_eq!(restored(text), text);
        }
    }
}
