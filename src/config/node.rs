//! `namespace` and `[node]`: the identity of this process.

use super::key_type::{Checked, LoneKey, NAME};
use super::keys::keys;

/// As long as a label of DNS, and so as long as the name of a host or of a pod.
const NAME_BYTES_MAX: usize = 63;

/// A node may be named as its host, with dots and capitals, or as its pod.
const NODE_NAME: Checked =
    Checked("1 to 63 of a-z, A-Z, 0-9, _, - and . are allowed", is_node_name);

keys! {
    /// The identity of this process.
    pub struct NodeConfig {
        /// The deployment; part of every Redis channel.
        pub namespace: String = NAME,
        /// Its name in the cluster table, the logs and its own Redis channel.
        pub name: String = LoneKey("name", NODE_NAME) => "node",
    }
}

fn is_node_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::is_node_name;

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
