//! Exact money: minor units inside, decimal text outside, no binary floating point.

use std::fmt;
use std::str::FromStr;

use bincode::{Decode, Encode};
use rust_decimal::Decimal;

use crate::ids::Quantity;

/// An amount in minor units (cents), in one currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Money(pub i64);

/// Why a text is not a valid amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a decimal number.
    #[error("must be a decimal number")]
    NotANumber,
    /// More than two digits after the point.
    #[error("must have at most two decimal places")]
    TooPrecise,
    /// Below zero.
    #[error("must not be negative")]
    Negative,
    /// Above [`Money::PRICE_MAX`] for a price; too large to represent for any other amount.
    #[error("is too large")]
    TooLarge,
}

impl Money {
    /// The largest price of a product: 99,999,999.99.
    pub const PRICE_MAX: Money = Money(9_999_999_999);

    /// Reads a price from decimal text such as `"19.9"`, `"15000000"` or `"1.5e3"`.
    ///
    /// # Errors
    /// When the text is not a decimal number, has a third decimal place that is not zero, is
    /// negative, or is above [`Money::PRICE_MAX`].
    pub fn parse_price(text: &str) -> Result<Money, ParseError> {
        Money::parse_amount(text).and_then(|price| match price <= Money::PRICE_MAX {
            true => Ok(price),
            false => Err(ParseError::TooLarge),
        })
    }

    /// Reads any amount that is not negative, like [`Money::parse_price`]. Totals of orders may be
    /// far above the largest price.
    ///
    /// # Errors
    /// When the text is not a decimal number, has a third decimal place that is not zero, is
    /// negative, or is too large to represent.
    pub fn parse_amount(text: &str) -> Result<Money, ParseError> {
        // 28 digits are enough for any price. Longer text is too large or too precise; refusing it
        // by length keeps the work bounded.
        if text.len() > 64 {
            return Err(ParseError::NotANumber);
        }
        let decimal = if text.contains(['e', 'E']) {
            Decimal::from_scientific(text)
        } else {
            Decimal::from_str_exact(text)
        }
        .map_err(|error| match error {
            rust_decimal::Error::ExceedsMaximumPossibleValue => ParseError::TooLarge,
            rust_decimal::Error::Underflow
            | rust_decimal::Error::ScaleExceedsMaximumPrecision(_) => ParseError::TooPrecise,
            _ => ParseError::NotANumber,
        })?;
        if decimal.is_sign_negative() && !decimal.is_zero() {
            return Err(ParseError::Negative);
        }
        let normal = decimal.normalize();
        if normal.scale() > 2 {
            return Err(ParseError::TooPrecise);
        }
        let minor = normal.checked_mul(Decimal::ONE_HUNDRED).ok_or(ParseError::TooLarge)?;
        let minor = i64::try_from(minor.trunc().mantissa() / 10_i128.pow(minor.trunc().scale()))
            .map_err(|_| ParseError::TooLarge)?;
        Ok(Money(minor))
    }

    /// Price times quantity, or `None` on overflow.
    pub fn times(self, quantity: Quantity) -> Option<Money> {
        self.0.checked_mul(i64::from(quantity.0)).map(Money)
    }

    /// The sum, or `None` on overflow.
    pub fn plus(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }
}

impl fmt::Display for Money {
    /// Always two decimal places: `999.99`, `0.30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Writes the digits from the last to the first into one buffer, since each order has four
        // of these.
        let mut text = [0; 24];
        let mut start = text.len();
        let mut rest = self.0.unsigned_abs();
        for place in 0.. {
            if place == 2 {
                start -= 1;
                text[start] = b'.';
            }
            if place > 2 && rest == 0 {
                break;
            }
            start -= 1;
            text[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if self.0 < 0 {
            start -= 1;
            text[start] = b'-';
        }
        f.write_str(str::from_utf8(&text[start..]).expect("digits, a point and a sign"))
    }
}

impl FromStr for Money {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Money, ParseError> {
        Money::parse_price(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_parse_exactly() {
        for (text, minor) in [
            ("0", 0),
            ("0.1", 10),
            ("0.10", 10),
            ("19.990", 1999),
            ("999.99", 99_999),
            ("15000000", 1_500_000_000),
            ("1.5e3", 150_000),
            ("-0", 0),
            ("99999999.99", 9_999_999_999),
        ] {
            assert_eq!(Money::parse_price(text), Ok(Money(minor)), "{text}");
        }
    }

    #[test]
    fn an_invalid_price_is_refused_with_its_reason() {
        for (text, error) in [
            ("", ParseError::NotANumber),
            ("NaN", ParseError::NotANumber),
            ("inf", ParseError::NotANumber),
            ("1,5", ParseError::NotANumber),
            ("0.001", ParseError::TooPrecise),
            ("-1", ParseError::Negative),
            ("100000000", ParseError::TooLarge),
        ] {
            assert_eq!(Money::parse_price(text), Err(error), "{text}");
        }
        assert!(Money::parse_price("1e400").is_err());
        assert!(Money::parse_price("1e-400").is_err());
        assert!(Money::parse_price(&"9".repeat(500)).is_err());
    }

    #[test]
    fn three_times_ten_cents_is_thirty_cents() {
        let total = Money::parse_price("0.10").expect("a price").times(Quantity(3));
        assert_eq!(total.expect("fits").to_string(), "0.30");
        for (minor, text) in [
            (0, "0.00"),
            (-5, "-0.05"),
            (100, "1.00"),
            (-12_345, "-123.45"),
            (i64::MAX, "92233720368547758.07"),
            (i64::MIN, "-92233720368547758.08"),
        ] {
            assert_eq!(Money(minor).to_string(), text);
        }
        assert_eq!(Money(i64::MAX).times(Quantity(2)), None);
    }
}
