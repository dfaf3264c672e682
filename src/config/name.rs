//! The names that an operator gives: namespace, node, layout, shard.

/// What a name may be. Names become parts of Redis channels and metric labels, so they are short
/// and plain.
pub(super) const NAME: &str = "1 to 32 of a-z, 0-9, _ and - are allowed";

const NAME_BYTES_MAX: usize = 32;

/// Whether `text` is a name.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("a") && is_name("node_1-b") && is_name(&"n".repeat(32)));
        for bad in ["", "A", "a.b", "ä", "a b", "{a}", &"n".repeat(33)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
