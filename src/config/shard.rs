//! An item of `layouts.<name>.redis`: a Redis shard.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{KeyType, NAME};
use super::section::Section;
use super::sentinel::SentinelConfig;
use crate::redis::{RedisUrl, RedisUrlError, ShardAddress};

/// One Redis primary.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its name, the same on every node; unique in its layout, and the same shard in every layout.
    pub name: String,
    /// Its address. It may differ between nodes.
    pub address: ShardAddress,
    /// The keys that gave the address, if sentinels name the server.
    sentinel: Option<SentinelConfig>,
}

impl ShardConfig {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let name = NAME.read(s, "name");
        if s.has("sentinel") {
            let sentinel = SentinelConfig::read(s)?;
            let address = sentinel.options().into();
            return Some(Self { name, address, sentinel: Some(sentinel) });
        }
        let url = s.sealed("url")?.parse::<RedisUrl>().map_err(|error: RedisUrlError| {
            s.report("url", error.to_string());
        });
        Some(Self { name, address: url.ok()?.into(), sentinel: None })
    }

    /// The key that says where the shard is.
    pub(super) const fn address_key(&self) -> &'static str {
        if self.sentinel.is_some() { "sentinel" } else { "url" }
    }
}

/// Prints what was given, passwords masked.
impl Serialize for ShardConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shard = serializer.serialize_map(None)?;
        shard.serialize_entry("name", &self.name)?;
        match &self.sentinel {
            Some(sentinel) => sentinel.print(&mut shard)?,
            None => shard.serialize_entry("url", &self.address.to_string())?,
        }
        shard.end()
    }
}
