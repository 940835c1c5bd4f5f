//! Moments: the clock of this machine, and times as answers write them.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970 by the clock of this machine.
///
/// # Panics
/// When the clock is before 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(now.as_millis()).expect("the clock is sane")
}

/// Milliseconds since 1970 of a time in the form that answers have: `2026-02-23T10:30:00.123Z`.
///
/// # Panics
/// When it has another form.
#[must_use]
#[track_caller]
pub fn moment_ms(text: &str) -> u64 {
    let part = |range: std::ops::Range<usize>| {
        let digits = text.get(range).and_then(|digits| digits.parse::<u64>().ok());
        digits.unwrap_or_else(|| panic!("no moment: {text}"))
    };
    assert!(text.len() == 24 && text.ends_with('Z'), "no moment: {text}");
    // Years that begin in March have the leap day at their end.
    let (year, month) = (part(0..4), part(5..7));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + part(8..10);
    let days = days - 719_469;
    let seconds = ((days * 24 + part(11..13)) * 60 + part(14..16)) * 60 + part(17..19);
    seconds * 1_000 + part(20..23)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_counted_from_1970() {
        assert_eq!(moment_ms("1970-01-01T00:00:00.000Z"), 0);
        assert_eq!(moment_ms("2000-02-29T12:34:56.789Z"), 951_827_696_789);
        assert_eq!(moment_ms("2026-02-23T10:30:00.123Z"), 1_771_842_600_123);
    }
}
