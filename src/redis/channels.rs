//! The names of channels.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use crate::layout::Bucket;

/// Buckets share this many hash tags: enough that the slots of a Redis Cluster would be spread,
/// few enough that their names repeat.
pub(super) const TAGS: u32 = 1024;

/// A Redis channel.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Arc<str>);

impl Channel {
    /// The channel's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Channel {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The channels of a namespace.
#[derive(Debug, Clone)]
pub struct Channels {
    namespace: Arc<str>,
}

impl Channels {
    /// The channels of `namespace`, which the configuration checked.
    pub fn new(namespace: &str) -> Self {
        Self { namespace: namespace.into() }
    }

    /// A bucket's: `nc:<namespace>:<class><B>:{<bucket mod 1024>}:<bucket>`.
    pub fn bucket(&self, bucket: Bucket) -> Channel {
        let Bucket { class, of, index } = bucket;
        let (class, tag) = (class.letter(), index % TAGS);
        Channel(format!("nc:{}:{class}{of}:{{{tag}}}:{index}", self.namespace).into())
    }

    /// The one that every node receives on every shard.
    pub fn all(&self) -> Channel {
        Channel(format!("nc:{}:all", self.namespace).into())
    }

    /// The one that nodes with wide patterns subscribe to on every shard.
    pub fn tap(&self) -> Channel {
        Channel(format!("nc:{}:tap", self.namespace).into())
    }

    /// One without subscribers: a publish to it shows that the server takes publishes.
    pub fn probe(&self) -> Channel {
        Channel(format!("nc:{}:probe", self.namespace).into())
    }

    /// One that a node subscribes to for a moment, to see that it may.
    pub fn trial(&self) -> Channel {
        Channel(format!("nc:{}:trial", self.namespace).into())
    }

    /// A node's own, by its boot: two nodes of one name would hear each other's canaries.
    pub fn node(&self, boot: &str) -> Channel {
        Channel(format!("nc:{}:n:{boot}", self.namespace).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RoutingKey;
    use crate::layout::BucketCount;

    #[test]
    fn golden_names() {
        let channels = Channels::new("main");
        let of = BucketCount::new(1 << 20).unwrap();
        let bucket =
            |key: &str| channels.bucket(Bucket::of_key(&RoutingKey::parse(key).unwrap(), of));
        assert_eq!(bucket("user.alice").as_str(), "nc:main:u1048576:{202}:310474");
        assert_eq!(bucket("topic.scores").as_str(), "nc:main:t1048576:{630}:497270");
        assert_eq!(channels.all().as_str(), "nc:main:all");
        assert_eq!(channels.tap().as_str(), "nc:main:tap");
        assert_eq!(channels.probe().as_str(), "nc:main:probe");
        assert_eq!(channels.trial().as_str(), "nc:main:trial");
        assert_eq!(channels.node("05ab").as_str(), "nc:main:n:05ab");
    }
}
