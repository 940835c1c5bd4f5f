//! A field of a change that keeps, clears or sets its value.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a change does to an optional field: absent, `null` or a value on the wire.
///
/// A field of this type needs `#[serde(default, skip_serializing_if = "Patch::is_keep")]`, since
/// only the object around it can leave it out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Keep the value: absent.
    #[default]
    Keep,
    /// Clear the value: `null`.
    Clear,
    /// Set this value.
    Set(T),
}

impl<T> Patch<T> {
    /// Whether the value is kept.
    #[must_use]
    pub const fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }
}

/// `Some` sets the field and `None` clears it, like a field of a product that was read.
impl<T> From<Option<T>> for Patch<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Keep | Self::Clear => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}

/// A value or null; that the field may be absent is for the object around it to say.
#[cfg(feature = "schema")]
impl<T: schemars::JsonSchema> schemars::JsonSchema for Patch<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        Option::<T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Option::<T>::json_schema(generator)
    }
}
