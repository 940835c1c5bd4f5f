//! Whole numbers in JSON that other programs wrote with decimals: `"stock": 100.0`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Writes the members `names` of an object, and of the objects in its member `items`, without
/// decimals where these are zero. All other text stays as it is.
///
/// # Errors
/// Words for the user, when the text is no JSON object.
pub(crate) fn members<'t>(text: &'t [u8], names: &[&str]) -> Result<Cow<'t, [u8]>, String> {
    // Nearly all files have whole numbers as they should be.
    if !text.windows(2).any(|pair| pair == b".0") {
        return Ok(Cow::Borrowed(text));
    }
    let mut object: BTreeMap<String, Box<RawValue>> =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    for (name, value) in &mut object {
        let changed = match name.as_str() {
            "items" => lines(value, names),
            name if names.contains(&name) => without_zeros(value.get()).map(str::to_owned),
            _ => None,
        };
        if let Some(changed) = changed {
            *value = RawValue::from_string(changed).map_err(|error| error.to_string())?;
        }
    }
    serde_json::to_vec(&object).map(Cow::Owned).map_err(|error| error.to_string())
}

/// The same of each object in an array; `None` for anything else, which its reader refuses.
fn lines(items: &RawValue, names: &[&str]) -> Option<String> {
    let elements: Vec<Box<RawValue>> = serde_json::from_str(items.get()).ok()?;
    let mut all = Vec::with_capacity(elements.len());
    for element in elements {
        let line = members(element.get().as_bytes(), names).ok()?;
        all.push(String::from_utf8(line.into_owned()).ok()?);
    }
    Some(format!("[{}]", all.join(",")))
}

/// `100` of `100.0`.
fn without_zeros(number: &str) -> Option<&str> {
    let (digits, decimals) = number.split_once('.')?;
    let zeros = !decimals.is_empty() && decimals.bytes().all(|digit| digit == b'0');
    zeros.then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let names = ["stock", "product_id", "quantity"];
        String::from_utf8(members(text.as_bytes(), &names).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn decimals_that_are_zero_are_left_out_of_whole_numbers_only() {
        for (text, expected) in [
            (r#"{"stock":100.0}"#, r#"{"stock":100}"#),
            (r#"{"stock":100.0000,"price":1.00}"#, r#"{"price":1.00,"stock":100}"#),
            (
                r#"{"items":[{"product_id":1.0,"quantity":2},{"quantity":3.00}]}"#,
                r#"{"items":[{"product_id":1,"quantity":2},{"quantity":3}]}"#,
            ),
            (r#"{"stock":100.01}"#, r#"{"stock":100.01}"#),
            (r#"{"stock":"100.0"}"#, r#"{"stock":"100.0"}"#),
            (r#"{"stock":1.0e2}"#, r#"{"stock":1.0e2}"#),
            (
                r#"{"metadata":{"stock":1.0},"items":7.0}"#,
                r#"{"items":7.0,"metadata":{"stock":1.0}}"#,
            ),
            (r#"{ "stock" : 5 }"#, r#"{ "stock" : 5 }"#),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert!(members(b"[1.0]", &[]).is_err());
    }
}
