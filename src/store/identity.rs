//! What is made with a store and never changes.

use std::fmt;

/// A store's own random number: anything with another number belongs to another store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StoreId(pub u64);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The key that cursors are sealed with. It prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct CursorKey([u8; 32]);

impl CursorKey {
    /// Makes a key of these bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes.
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(masked)")
    }
}

/// What is made with a store and never changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The store's number.
    pub id: StoreId,
    /// The key that cursors of this store are sealed with.
    pub cursor_key: CursorKey,
    /// The namespace that the store belongs to.
    pub namespace: String,
}

impl Identity {
    /// Makes a fresh identity, from the thread's cryptographically secure generator.
    pub fn random(namespace: &str) -> Self {
        Self {
            id: StoreId(rand::random()),
            cursor_key: CursorKey(rand::random()),
            namespace: namespace.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_key_prints_masked() {
        let identity =
            Identity { cursor_key: CursorKey::new([0xAB; 32]), ..Identity::random("main") };
        let text = format!("{identity:?}");
        assert!(text.contains("CursorKey(masked)"), "{text}");
        // The store's id is random: it may hold these digits itself.
        let text = format!("{:?}", identity.cursor_key);
        assert!(!text.contains("171") && !text.to_lowercase().contains("abab"), "{text}");
    }

    #[test]
    fn identities_differ() {
        let (one, two) = (Identity::random("main"), Identity::random("main"));
        assert_ne!(one.id, two.id);
        assert_ne!(one.cursor_key, two.cursor_key);
    }
}
