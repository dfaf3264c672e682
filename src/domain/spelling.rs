//! The spellings of an id. Every byte may be written as `%XX`, in any case of the digits, as URLs
//! have it (RFC 3986, section 2.1). One spelling is canonical, and every answer has that one.

use std::borrow::Cow;
use std::fmt::Write;

/// `%` without two hex digits behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`%` at byte {at} must be followed by two hex digits")]
pub struct BadEscape {
    /// The place of the `%`.
    pub at: usize,
}

/// Whether a byte may be written as it is in a token.
pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'@' | b':' | b'~' | b'+' | b'=' | b'|')
}

/// Decodes each `%XX` of a text, once. `+` stays as it is, because ids may contain it.
pub fn percent_decode(text: &str) -> Result<Vec<u8>, BadEscape> {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            decoded.push(escaped(bytes, at).ok_or(BadEscape { at })?);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    Ok(decoded)
}

/// Returns a subject or a pattern in which each `%XX` is canonical: upper-case digits, and none for
/// a byte that may stand plainly. What is no escape stays, so that the parser can refuse it.
pub(super) fn respelled(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find('%') else { return Cow::Borrowed(text) };
    let mut canonical = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(at) = rest.find('%') {
        canonical.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some(byte) = escaped(rest.as_bytes(), 0) else {
            canonical.push('%');
            rest = &rest[1..];
            continue;
        };
        push_encoded(&mut canonical, byte);
        rest = &rest[3..];
    }
    canonical.push_str(rest);
    Cow::Owned(canonical)
}

/// Adds the canonical spelling of a byte.
pub(super) fn push_encoded(token: &mut String, byte: u8) {
    if is_plain(byte) {
        token.push(char::from(byte));
    } else {
        write!(token, "%{byte:02X}").expect("writing to a String cannot fail");
    }
}

/// Returns the byte that the `%XX` at `at` encodes.
fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
    Some((digit(at + 1)? << 4 | digit(at + 2)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_decoded_once() {
        assert_eq!(percent_decode("a%2525+b%c3%A4").unwrap(), "a%25+bä".as_bytes());
        for (text, at) in [("ab%4", 2), ("%+1", 0), ("%", 0), ("%zz", 0), ("%4é", 0)] {
            assert_eq!(percent_decode(text), Err(BadEscape { at }), "{text}");
        }
    }

    #[test]
    fn escapes_of_subjects_become_canonical() {
        let table = [
            ("topic.a", "topic.a"),
            ("presence.bob%40example%2ecom", "presence.bob@example%2Ecom"),
            ("topic.%c3%a9.%2A.*.>", "topic.%C3%A9.%2A.*.>"),
            ("topic.%zz%4.%", "topic.%zz%4.%"),
            ("topic.%é", "topic.%é"),
        ];
        for (text, canonical) in table {
            assert_eq!(respelled(text), canonical, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in ".*") {
            let _decoded = percent_decode(&text);
            let _respelled = respelled(&text);
        }
    }
}
