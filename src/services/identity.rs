//! What a node is known by, and the keys that it seals and verifies with.

use crate::auth::Verifier;
use crate::bus::{BootId, Envelope, EnvelopeMac, StoreTag};
use crate::protocol::{CursorSeal, DedupKey};

/// What a node is known by, and its keys. It is fixed when the node starts.
#[derive(Debug)]
pub struct NodeIdentity {
    /// The node's name.
    pub node: String,
    /// The id of this start of the node.
    pub boot: BootId,
    /// The tag of the node's store, by which other nodes recognise it.
    pub store_tag: StoreTag,
    /// Seals what the node publishes.
    pub bus_seal: EnvelopeMac,
    /// Seals cursors.
    pub cursor_seal: CursorSeal,
    /// Makes what readers collapse the tries of a send by.
    pub dedup_key: DedupKey,
    /// Verifies tokens.
    pub verifier: Verifier,
}

impl NodeIdentity {
    /// Returns a notice of this node. Envelopes of other kinds are made of it.
    pub fn notice(&self, about: &str) -> Envelope {
        Envelope::notice(self.boot, self.store_tag, about)
    }
}
