//! Between messages and the model.
//!
//! From the model to a message never fails. The other way parses: a message
//! from the wire may hold anything.

mod event;
mod id;
mod status;

/// Why a message is not what the model knows.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A field holds what it must not.
    #[error("field {field} can't be read")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An enumeration holds a number that this build does not know.
    #[error("field {field} holds the unknown value {value}")]
    Unknown {
        /// Which.
        field: &'static str,
        /// The number.
        value: i32,
    },
}

impl ConvertError {
    fn invalid(
        field: &'static str,
    ) -> impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> Self {
        move |source| Self::Invalid { field, source }
    }
}

/// Parses a text field.
fn parse<T>(field: &'static str, text: &str) -> Result<T, ConvertError>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| ConvertError::invalid(field)(Box::new(error)))
}

/// Narrows a number field.
fn narrow<T>(field: &'static str, value: u32) -> Result<T, ConvertError>
where
    T: TryFrom<u32>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    T::try_from(value).map_err(|error| ConvertError::invalid(field)(Box::new(error)))
}

/// Converts every element of a list field.
fn all<M, T, E>(messages: Vec<M>) -> Result<Vec<T>, E>
where
    T: TryFrom<M, Error = E>,
{
    messages.into_iter().map(T::try_from).collect()
}

/// An empty text stands for none.
fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests;
