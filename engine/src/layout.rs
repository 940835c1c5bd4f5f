//! Layouts of commands: which fields their encoding has.
//!
//! Fields are encoded in order, without names, so a build reads only commands whose layout it
//! knows. Envelopes of version 1 and 2 have the first layout. Level 1 brings the third, in version
//! 3: an envelope says who asks, and a command may have fields that are [`Added`]. Nodes of a
//! cluster at level 0 go on writing the first layout, which every build reads.

use std::ops::{Deref, DerefMut};

use bincode::de::{BorrowDecode, BorrowDecoder, Decoder};
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::codec;
pub use crate::codec::Layout;

/// A field, or a struct of fields, that the first layout lacks. Reading that layout gives the
/// default without reading a byte. The default takes one byte in the third layout.
///
/// The first layout loses a value that is not the default, so nodes refuse such a command while the
/// cluster is at level 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added<T>(pub T);

impl<T> Deref for Added<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Added<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Added<T> {
    fn from(value: T) -> Added<T> {
        Added(value)
    }
}

impl<T: Default + PartialEq> Added<T> {
    /// Whether it says nothing that the first layout cannot say.
    pub fn is_default(&self) -> bool {
        self.0 == T::default()
    }
}

impl<T: Encode + Default + PartialEq> Encode for Added<T> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        if codec::layout_of(encoder) == Layout::First {
            return Ok(());
        }
        let is_present = !self.is_default();
        is_present.encode(encoder)?;
        if is_present { self.0.encode(encoder) } else { Ok(()) }
    }
}

impl<T: Decode<Layout> + Default> Decode<Layout> for Added<T> {
    fn decode<D: Decoder<Context = Layout>>(decoder: &mut D) -> Result<Added<T>, DecodeError> {
        match *decoder.context() == Layout::Third && bool::decode(decoder)? {
            true => T::decode(decoder).map(Added),
            false => Ok(Added::default()),
        }
    }
}

impl<'de, T: Decode<Layout> + Default> BorrowDecode<'de, Layout> for Added<T> {
    fn borrow_decode<D: BorrowDecoder<'de, Context = Layout>>(
        decoder: &mut D,
    ) -> Result<Added<T>, DecodeError> {
        Decode::decode(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
    struct Terms {
        limit: Option<u32>,
        name: String,
    }

    #[derive(Clone, Debug, PartialEq, Encode, Decode)]
    #[bincode(decode_context = "Layout")]
    struct Request {
        number: u8,
        terms: Added<Terms>,
        after: u8,
    }

    fn encoded(requests: &Vec<Request>, layout: Layout) -> Vec<u8> {
        let mut out = Vec::new();
        codec::encode_as(layout, requests, &mut out);
        out
    }

    #[test]
    fn the_first_layout_has_no_byte_of_an_added_field() {
        let plain = Request { number: 1, terms: Added::default(), after: 2 };
        let terms = Terms { limit: Some(7), name: "x".into() };
        let full = Request { terms: terms.into(), ..plain.clone() };
        let requests = vec![plain.clone(), full, plain.clone()];
        let third = encoded(&requests, Layout::Third);
        assert_eq!(third, [3, 1, 0, 2, 1, 1, 1, 7, 1, b'x', 2, 1, 0, 2]);
        assert_eq!(codec::decode_as(Layout::Third, &third), Ok(requests.clone()));
        let first = encoded(&requests, Layout::First);
        assert_eq!(first, [3, 1, 2, 1, 2, 1, 2]);
        assert_eq!(codec::decode_as(Layout::First, &first), Ok(vec![plain; 3]));
    }

    #[test]
    fn no_prefix_of_an_added_field_is_read() {
        let terms = Terms { limit: Some(7), name: "x".into() };
        let bytes =
            encoded(&vec![Request { number: 1, terms: terms.into(), after: 2 }], Layout::Third);
        for length in 0..bytes.len() {
            assert!(codec::decode_as::<Vec<Request>>(Layout::Third, &bytes[..length]).is_err());
        }
        assert!(codec::decode_as::<Vec<Request>>(Layout::Third, &[1, 1, 2, 2]).is_err(), "no bool");
    }
}
