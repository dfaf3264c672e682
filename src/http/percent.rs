//! Percent-encoding of paths and queries (RFC 3986, section 2.1), decoded exactly once.

use crate::domain::{BadEscape, percent_decode};

/// Why a text is not percent-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PercentError {
    /// `%` without its digits.
    #[error("{0}")]
    Escape(#[from] BadEscape),
    /// The decoded bytes are not text.
    #[error("it does not decode to UTF-8")]
    Utf8,
}

/// Decodes a text. `+` stays as it is, because ids may contain it.
pub(super) fn decode(text: &str) -> Result<String, PercentError> {
    String::from_utf8(percent_decode(text)?).map_err(|_| PercentError::Utf8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_once() {
        assert_eq!(decode("a%2525+b%c3%A4").as_deref(), Ok("a%25+bä"));
        assert_eq!(decode(""), Ok(String::new()));
        assert_eq!(decode("ab%4"), Err(PercentError::Escape(BadEscape { at: 2 })));
        assert_eq!(decode("%+1"), Err(PercentError::Escape(BadEscape { at: 0 })));
        assert_eq!(decode("%"), Err(PercentError::Escape(BadEscape { at: 0 })));
        assert_eq!(decode("%ff"), Err(PercentError::Utf8));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in ".*") {
            let encoded: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(decode(&encoded.concat()), Ok(text));
        }

        #[test]
        fn any_text_is_answered(text in ".*") {
            let _answered = decode(&text);
        }
    }
}
