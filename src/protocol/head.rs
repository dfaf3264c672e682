//! The id and the op of a frame that is refused, as far as they can be read.

use super::error::ErrorReply;
use super::frame::RequestId;

/// The most characters of an op's name that a refusal repeats.
pub(super) const OP_CHARS_MAX: usize = 32;

/// The id and the op of a frame that is refused.
#[derive(Debug, Default)]
pub struct RequestHead {
    /// Its id.
    pub id: Option<RequestId>,
    op: Option<String>,
}

impl RequestHead {
    /// Reads what stands before the first fault of a frame. The values of other fields are skipped,
    /// however large they are and however deep they nest. Of a field that is given twice the first
    /// counts.
    pub fn scan(text: &str) -> Self {
        let mut head = Self::default();
        let mut rest = text.trim_start().strip_prefix('{').unwrap_or_default();
        while let Some((key, value, behind)) = split_field(rest) {
            match key.as_str() {
                "id" if head.id.is_none() => head.id = RequestId::read_text(value),
                "op" if head.op.is_none() => head.op = serde_json::from_str(value).ok(),
                _ => {}
            }
            rest = behind;
        }
        head
    }

    /// The refusal of the frame, with its op.
    pub fn refusal(&self, refusal: ErrorReply) -> ErrorReply {
        match &self.op {
            Some(op) => refusal.of_op(op.chars().take(OP_CHARS_MAX).collect::<String>()),
            None => refusal,
        }
    }
}

/// Splits the first field off the inside of an object: its name, its value and what follows.
fn split_field(text: &str) -> Option<(String, &str, &str)> {
    let (key, rest) = split_value(text)?;
    let (value, rest) = split_value(rest.strip_prefix(':')?)?;
    Some((serde_json::from_str(key).ok()?, value, rest.strip_prefix(',').unwrap_or_default()))
}

/// Splits the first JSON value off a text, without the space around it.
fn split_value(text: &str) -> Option<(&str, &str)> {
    let (value, rest) = text.split_at(value_end(text)?);
    Some((value.trim(), rest))
}

/// Returns where a value ends: at the sign behind it.
fn value_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (true, _) => {}
            (false, b',' | b':' | b'}' | b']') if depth == 0 => return Some(at),
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth -= 1,
            (false, _) => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &str) -> (Option<RequestId>, Option<String>) {
        let RequestHead { id, op } = RequestHead::scan(text);
        (id, op)
    }

    #[test]
    fn the_head_is_read_around_what_cannot_be() {
        let id = |text: &str| RequestId::read_text(text);
        let deep = format!(r#"{{"body":{}{},"op":"send","id":7}}"#, "[".repeat(99), "]".repeat(99));
        assert_eq!(scan(&deep), (id("7"), Some("send".into())));
        for (text, expected) in [
            (
                r#" { "id" : "a,}\"b" , "x" : {"id":1} , "\u006fp" : "ping" } "#,
                (id(r#""a,}\"b""#), Some("ping")),
            ),
            (r#"{"id":1,"id":2,"op":"a","op":"b"}"#, (id("1"), Some("a"))),
            (r#"{"id":1,"op":"send","body":nonsense,"#, (id("1"), Some("send"))),
            (r#"{"id":1,"body":"not ended"#, (id("1"), None)),
            (r#"{"id":1.5,"op":7}"#, (None, None)),
            ("[1]", (None, None)),
            ("{", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(scan(text), (expected.0, expected.1.map(Into::into)), "{text}");
        }
    }

    #[test]
    fn a_long_op_is_cut() {
        let head = RequestHead::scan(&format!(r#"{{"op":"{}"}}"#, "é".repeat(99)));
        let refusal = head.refusal(ErrorReply::bad_request("no"));
        assert_eq!(refusal.op, Some("é".repeat(OP_CHARS_MAX).into()));
    }

    proptest! {
        #[test]
        fn any_text_is_scanned(text in ".*", frame in r#"\{("id":[0-9]|"op":"x"|[{}\[\]",:\\ ]){0,9}"#) {
            let _scanned = (scan(&text), scan(&frame));
        }
    }
}
