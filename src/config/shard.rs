//! An item of `layouts.<name>.redis`: a Redis shard.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{KeyType, NAME};
use super::section::Section;
use crate::redis::{RedisAddress, RedisUrl, RedisUrlError};

/// One Redis primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardConfig {
    /// Its name, the same on every node; unique in its layout, and the same shard in every layout.
    pub name: String,
    /// Its address. It may differ between nodes.
    pub address: RedisAddress,
}

impl ShardConfig {
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        let name = NAME.read(s, "name");
        let url = s.sealed("url")?.parse::<RedisUrl>().map_err(|error: RedisUrlError| {
            s.report("url", error.to_string());
        });
        Some(Self { name, address: url.ok()?.into() })
    }
}

/// Prints what was given, passwords masked.
impl Serialize for ShardConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut shard = serializer.serialize_map(Some(2))?;
        shard.serialize_entry("name", &self.name)?;
        shard.serialize_entry("url", &self.address.to_string())?;
        shard.end()
    }
}
