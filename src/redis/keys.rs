//! The names of keys.

use std::sync::Arc;

use super::channels::TAGS;
use crate::domain::{RoutingKey, UserId};
use crate::layout::Layouts;

/// The keys of a namespace. All keys of one user have one hash tag, so that one script may touch
/// several.
#[derive(Debug, Clone)]
pub struct Keys {
    namespace: Arc<str>,
    store: u64,
}

impl Keys {
    /// The keys of `namespace`, which the configuration checked, and of a store. So two deployments
    /// that share a namespace by mistake share no limits.
    pub fn new(namespace: &str, store: u64) -> Self {
        Self { namespace: namespace.into(), store }
    }

    /// One that a node writes for a millisecond, to see that it may.
    pub fn trial(&self) -> String {
        format!("nc:{}:l:trial", self.namespace)
    }

    /// What a user has used of a limit:
    /// `nc:<namespace>:l:<store>:{<bucket mod 1024>}:<policy>:<user>`. The store's id is in hex, and
    /// the bucket is the user's own in the published layout. The name of a policy has no colon.
    pub fn limit(&self, layouts: &Layouts, policy: &str, user: &UserId) -> String {
        let tag = layouts.route(&RoutingKey::user(user)).bucket.index % TAGS;
        format!("nc:{}:l:{:016x}:{{{tag}}}:{policy}:{user}", self.namespace, self.store)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{BucketCount, BucketCounts, Layout};

    #[test]
    fn golden_names() {
        let buckets = BucketCounts::all(BucketCount::new(1 << 20).unwrap());
        let layouts = Layouts::from(Layout::new(buckets, vec!["r1".to_owned()]));
        let user = UserId::parse("alice").unwrap();
        let key = Keys::new("main", 0xab).limit(&layouts, "sends", &user);
        assert_eq!(Keys::new("main", 0xab).trial(), "nc:main:l:trial");
        assert_eq!(key, "nc:main:l:00000000000000ab:{202}:sends:alice");
    }
}
