//! JSON that is passed on unchanged, and that every recipient must be able to read.

/// Why some readers would refuse a JSON text: a number beyond the range of a double, or half of a
/// surrogate pair. The grammar allows both, and one such message would make its conversation
/// unreadable.
pub(super) fn unreadable(text: &str) -> Option<serde_json::Error> {
    if !(has_large_number(text) || text.contains("\\u")) {
        return None;
    }
    serde_json::from_str::<serde_json::Value>(text).err()
}

/// Whether there may be such a number: an exponent, or very many digits. A string that looks like
/// one costs a needless check.
fn has_large_number(text: &str) -> bool {
    /// A number with fewer digits is never too large.
    const DIGITS: usize = 300;
    let bytes = text.as_bytes();
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    // Without a branch the compiler takes many bytes at a time. Every body passes here.
    let has_exponent = pairs.fold(false, |found, (byte, next)| {
        found | (byte.is_ascii_digit() & matches!(next, b'e' | b'E'))
    });
    let mut runs = bytes.split(|byte| !byte.is_ascii_digit());
    has_exponent || (bytes.len() >= DIGITS && runs.any(|run| run.len() >= DIGITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_reader_would_refuse_is_found() {
        let large = format!("[{}]", "9".repeat(400));
        for text in ["1e999", "{\"a\":[-1E400]}", r#""\ud800""#, r#"{"\udc00":1}"#, &large] {
            assert!(unreadable(text).is_some(), "{text}");
        }
        for text in ["1e3", "1E-999", r#""\ud83d\ude00 3e999""#, r#""\u0000""#, "\"2ecb\"", "{}"] {
            assert!(unreadable(text).is_none(), "{text}");
        }
        for (digits, is_looked_at) in [(299, false), (300, true)] {
            let text = format!("[{}, 1.5]", "9".repeat(digits));
            assert_eq!(has_large_number(&text), is_looked_at, "{digits}");
        }
        assert!(has_large_number("[7,1e9]") && !has_large_number("[7,\"e\"]"));
    }
}
