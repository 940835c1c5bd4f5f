//! Lists that are nearly always so short that they need no heap allocation.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};
use smallvec::{Array, SmallVec};

/// A list that stores as many elements inline as the array `A` has. Encoded as a vector.
pub struct Few<A: Array>(SmallVec<A>);

impl<A: Array> Few<A> {
    /// An empty list.
    pub fn new() -> Few<A> {
        Few(SmallVec::new())
    }

    /// Adds an element at the end.
    pub fn push(&mut self, element: A::Item) {
        self.0.push(element);
    }
}

impl<A: Array> Default for Few<A> {
    fn default() -> Few<A> {
        Few::new()
    }
}

impl<A: Array> Deref for Few<A> {
    type Target = [A::Item];

    fn deref(&self) -> &[A::Item] {
        &self.0
    }
}

impl<A: Array> DerefMut for Few<A> {
    fn deref_mut(&mut self) -> &mut [A::Item] {
        &mut self.0
    }
}

impl<A: Array> FromIterator<A::Item> for Few<A> {
    fn from_iter<I: IntoIterator<Item = A::Item>>(elements: I) -> Few<A> {
        Few(elements.into_iter().collect())
    }
}

impl<'a, A: Array> IntoIterator for &'a Few<A> {
    type Item = &'a A::Item;
    type IntoIter = std::slice::Iter<'a, A::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<A: Array<Item: Clone>> Clone for Few<A> {
    fn clone(&self) -> Few<A> {
        Few(self.0.clone())
    }
}

impl<A: Array<Item: fmt::Debug>> fmt::Debug for Few<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<A: Array<Item: PartialEq>> PartialEq for Few<A> {
    fn eq(&self, other: &Few<A>) -> bool {
        self.0 == other.0
    }
}

impl<A: Array<Item: Eq>> Eq for Few<A> {}

impl<A: Array<Item: Hash>> Hash for Few<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl<A: Array<Item: Encode + 'static>> Encode for Few<A> {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.0.as_slice().encode(encoder)
    }
}

impl<'de, C, A: Array<Item: Decode<C>>> bincode::BorrowDecode<'de, C> for Few<A> {
    fn borrow_decode<D: bincode::de::BorrowDecoder<'de, Context = C>>(
        decoder: &mut D,
    ) -> Result<Few<A>, DecodeError> {
        Few::decode(decoder)
    }
}

impl<C, A: Array<Item: Decode<C>>> Decode<C> for Few<A> {
    fn decode<D: Decoder<Context = C>>(decoder: &mut D) -> Result<Few<A>, DecodeError> {
        // Reads as bincode reads a vector, but allocates no memory that only a length asks for.
        let length = usize::try_from(u64::decode(decoder)?)
            .map_err(|_| DecodeError::Other("a list is longer than memory"))?;
        decoder.claim_container_read::<A::Item>(length)?;
        let mut elements = SmallVec::new();
        for _ in 0..length {
            decoder.unclaim_bytes_read(size_of::<A::Item>());
            elements.push(A::Item::decode(decoder)?);
        }
        Ok(Few(elements))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec;

    proptest! {
        #[test]
        fn a_list_is_encoded_as_a_vector(numbers in prop::collection::vec(any::<u64>(), 0..9)) {
            let few: Few<[u64; 2]> = numbers.iter().copied().collect();
            let (mut one, mut other) = (Vec::new(), Vec::new());
            codec::encode_into(&few, &mut one);
            codec::encode_into(&numbers, &mut other);
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(codec::decode::<Few<[u64; 2]>>(&one), Ok(few));
            for cut in 0..one.len() {
                prop_assert!(codec::decode::<Few<[u64; 2]>>(&one[..cut]).is_err());
            }
        }
    }

    #[test]
    fn an_absurd_length_is_refused() {
        for length in [1 << 20, u64::MAX] {
            let mut bytes = Vec::new();
            codec::encode_into(&length, &mut bytes);
            assert!(codec::decode::<Few<[u64; 2]>>(&bytes).is_err());
        }
    }
}
