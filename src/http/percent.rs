//! Percent-encoding of paths and queries (RFC 3986, section 2.1), decoded exactly once.

/// Why a text is not percent-encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PercentError {
    /// `%` without its digits.
    #[error("`%` at byte {at} must be followed by two hex digits")]
    Escape {
        /// The place of the `%`.
        at: usize,
    },
    /// The decoded bytes are not text.
    #[error("it does not decode to UTF-8")]
    Utf8,
}

/// Decodes a text. `+` stays as it is, because ids may contain it.
pub(super) fn decode(text: &str) -> Result<String, PercentError> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let pair = bytes.get(at + 1).copied().zip(bytes.get(at + 2).copied());
            let byte = pair.and_then(|(high, low)| Some(hex(high)? << 4 | hex(low)?));
            decoded.push(byte.ok_or(PercentError::Escape { at })?);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).map_err(|_| PercentError::Utf8)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_once() {
        assert_eq!(decode("a%2525+b%c3%A4").as_deref(), Ok("a%25+bä"));
        assert_eq!(decode(""), Ok(String::new()));
        assert_eq!(decode("ab%4"), Err(PercentError::Escape { at: 2 }));
        assert_eq!(decode("%+1"), Err(PercentError::Escape { at: 0 }));
        assert_eq!(decode("%"), Err(PercentError::Escape { at: 0 }));
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
