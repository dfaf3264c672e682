//! An item of `layouts.<name>.redis`: a Redis shard.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{KeyType, NAME};
use super::redis_access::{OwnKeys, read_own, tls_key};
use super::section::Section;
use crate::redis::{RedisAccess, RedisAddress, RedisUrl, RedisUrlError};

/// One Redis primary.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its name, the same on every node; unique in its layout, and the same shard in every layout.
    pub name: String,
    /// Its address. It may differ between nodes.
    pub address: RedisAddress,
    /// The keys beside its URL that it gives itself.
    own: OwnKeys,
}

impl ShardConfig {
    /// Reads an item; what it omits is that of all shards.
    pub(super) fn read(s: &mut Section, shared: &RedisAccess) -> Option<Self> {
        let name = NAME.read(s, "name");
        let (access, own) = read_own(s, shared);
        let url = s.sealed("url")?.parse::<RedisUrl>().map_err(|error: RedisUrlError| {
            s.report("url", error.to_string());
        });
        let url = url.ok()?;
        relate(s, &url, &access, &own);
        Some(Self { name, address: RedisAddress::new(url, access), own })
    }

    /// Returns the keys beside the URL that the item gives itself, as they are written.
    pub(super) fn own_keys(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.own.iter().map(|(key, given)| (*key, given.as_str()))
    }
}

/// A key that would change nothing is a mistake, and so are two passwords.
fn relate(s: &mut Section, url: &RedisUrl, access: &RedisAccess, own: &OwnKeys) {
    if let Some(key) = tls_key(own).filter(|_| !url.is_encrypted()) {
        s.report(key, "a URL with rediss:// is required beside it");
    }
    if url.has_password() && access.password_file.is_some() {
        let complaint = "a URL without user and password is required, since password_file is given";
        s.report("url", complaint);
    }
}

/// Prints what was given, passwords masked.
impl Serialize for ShardConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shard = serializer.serialize_map(None)?;
        shard.serialize_entry("name", &self.name)?;
        shard.serialize_entry("url", &self.address.to_string())?;
        for (key, given) in self.own_keys() {
            shard.serialize_entry(key, given)?;
        }
        shard.end()
    }
}
