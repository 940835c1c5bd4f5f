//! Closed sets of words, such as the statuses of an order.
//!
//! One macro binds a Rust variant to its spelling, so that JSON, query strings, tables and log
//! lines cannot differ.

/// A word that is not one of the allowed ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is not one of: {allowed}")]
pub struct UnknownWord {
    /// The given word, truncated to 64 characters to keep a message short.
    pub word: String,
    /// The allowed words, separated by a comma and a space.
    pub allowed: String,
}

impl UnknownWord {
    /// The error for a word that is not in `allowed`.
    pub(crate) fn new(word: &str, allowed: &[&str]) -> Self {
        Self { word: word.chars().take(64).collect(), allowed: allowed.join(", ") }
    }
}

/// Defines an enum whose variants are words on the wire.
macro_rules! words {
    (
        $(#[doc = $text:literal])+
        $name:ident {
            $($(#[$inner:meta])* $variant:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[doc = $text])+
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$inner])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every value, in the order of definition.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The spelling on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": concat!($($text, "\n"),+).trim(),
                    "enum": [$($word),+],
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::wire::UnknownWord;

            fn from_str(word: &str) -> Result<Self, Self::Err> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::wire::UnknownWord::new(word, &[$($word),+])),
                }
            }
        }
    };
}

pub(crate) use words;
