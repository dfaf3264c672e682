//! The names that an operator gives. Those of namespaces, layouts and shards have one rule; a
//! node's name may be a host's.

/// The rule for a name. Names become parts of Redis channels and metric labels, so they are short
/// and plain.
pub(super) const NAME_RULE: &str = "1 to 32 of a-z, 0-9, _ and - are allowed";

const NAME_BYTES_MAX: usize = 32;

/// The rule for where a server is.
pub(super) const SERVER_RULE: &str = "host or host:port is required, an IPv6 address in brackets";

/// As long as a label of DNS, and so as long as the name of a host or of a pod.
const NODE_NAME_BYTES_MAX: usize = 63;

/// The name of a node whose host has none.
const UNNAMED_HOST: &str = "unnamed";

/// Whether `text` is a name.
pub(super) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

/// The rule for the name of a node in a configuration.
pub(super) const GIVEN_NODE_NAME_RULE: &str =
    "1 to 63 of a-z, A-Z, 0-9, _, - and . are allowed, or \"\" for the name of the host";

/// Whether `text` names a node, or leaves that to its host.
pub(super) fn is_given_node_name(text: &str) -> bool {
    text.is_empty() || is_node_name(text)
}

/// Returns the name of a node on a host: the host's, cut to what the name of a node may be. Any
/// other byte becomes a `-`.
pub(super) fn node_name_of_host(host: &str) -> String {
    let plain = |byte: u8| if is_plain(byte) { char::from(byte) } else { '-' };
    let name: String = host.bytes().take(NODE_NAME_BYTES_MAX).map(plain).collect();
    if name.is_empty() { UNNAMED_HOST.to_owned() } else { name }
}

/// Whether `text` is a node's name.
pub(super) fn is_node_name(text: &str) -> bool {
    (1..=NODE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_plain)
}

/// Whether a byte may be in the name of a host, and so in those that are made of it.
pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
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

    #[test]
    fn the_name_of_any_host_makes_one_of_a_node() {
        for (host, name) in [
            ("chat-7.eu.example.com", "chat-7.eu.example.com"),
            (&"h".repeat(64), &*"h".repeat(63)),
            ("(none)", "-none-"),
            ("", "unnamed"),
            ("z\u{fc}rich", "z--rich"),
        ] {
            assert_eq!(node_name_of_host(host), name);
            assert!(is_node_name(name));
        }
    }

    #[test]
    fn a_node_is_named_as_its_host() {
        for good in ["a", "Chat-7.eu_west.example.com", &"N".repeat(63)] {
            assert!(is_node_name(good), "{good}");
        }
        for bad in ["", "ä", "a b", "a:b", "{a}", "a/b", &"n".repeat(64)] {
            assert!(!is_node_name(bad), "{bad}");
        }
    }
}
