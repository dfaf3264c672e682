//! What is made with a store. It changes only when the store is restored from a backup.

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

/// What is made with a store, and replaced only after it was restored from a backup.
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

    /// The same with a fresh number: its cursors are those of another store. The key stays, so that
    /// clients still recognise messages that they hold.
    pub fn renumbered(&self) -> Self {
        Self { id: StoreId(rand::random()), ..self.clone() }
    }
}

/// The store's number before and after its identity was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetaggedStore {
    /// Cursors with this number are refused from then on.
    pub before: StoreId,
    /// The number that new cursors have.
    pub after: StoreId,
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
