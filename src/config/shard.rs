//! An item of `layouts.<name>.redis`: a Redis shard.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{KeyType, NAME};
use super::redis_access::OwnKeys;
use super::section::Section;
use super::sentinel::SentinelConfig;
use crate::redis::{RedisAccess, RedisAddress, RedisUrl, RedisUrlError, ShardAddress};

/// One Redis primary.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// Its name, the same on every node; unique in its layout, and the same shard in every layout.
    pub name: String,
    /// Its address. It may differ between nodes.
    pub address: ShardAddress,
    given: Given,
}

/// The keys of an item that say where the shard is.
#[derive(Clone, Debug)]
enum Given {
    /// A URL, and the keys beside it that the item gives itself.
    Url(OwnKeys),
    /// The sentinels that name the server.
    Sentinels(Box<SentinelConfig>),
}

impl ShardConfig {
    /// Reads an item; what it omits is that of all shards.
    pub(super) fn read(s: &mut Section, shared: &RedisAccess) -> Option<Self> {
        let name = NAME.read(s, "name");
        if s.has("sentinel") {
            let sentinels = SentinelConfig::read(s, shared)?;
            let address = sentinels.options().into();
            return Some(Self { name, address, given: Given::Sentinels(Box::new(sentinels)) });
        }
        let (access, own) = OwnKeys::read(s, shared, false);
        let url = s.sealed("url")?.parse::<RedisUrl>().map_err(|error: RedisUrlError| {
            s.report("url", error.to_string());
        });
        let url = url.ok()?;
        relate(s, &url, &access, &own);
        let address = RedisAddress::new(url, access).into();
        Some(Self { name, address, given: Given::Url(own) })
    }

    /// The key that says where the shard is.
    pub(super) const fn address_key(&self) -> &'static str {
        match self.given {
            Given::Url(_) => "url",
            Given::Sentinels(_) => "sentinel",
        }
    }

    /// Whether any of its connections has TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        match (&self.given, &self.address) {
            (Given::Sentinels(sentinels), _) => sentinels.is_encrypted(),
            (Given::Url(_), ShardAddress::Server(address)) => address.is_encrypted(),
            (Given::Url(_), ShardAddress::Sentinels(_)) => false,
        }
    }

    /// The passwords that are written in the configuration, each within the text that it has there.
    pub(super) fn written_secrets(&self) -> Vec<&[u8]> {
        match &self.given {
            Given::Sentinels(sentinels) => sentinels.written_secrets(),
            Given::Url(_) => self.address.secret().into_iter().collect(),
        }
    }

    /// What the item gives itself for its connections, each with the path of its table within the
    /// item.
    pub(super) fn own_access(&self) -> Vec<(&'static str, &RedisAccess)> {
        match (&self.given, &self.address) {
            (Given::Sentinels(sentinels), _) => sentinels.own_access(),
            (Given::Url(own), ShardAddress::Server(address)) if !own.is_empty() => {
                vec![("", address.access())]
            }
            (Given::Url(_), _) => Vec::new(),
        }
    }

    /// The files of the item's own that hold secrets, each with the key that names it.
    pub(super) fn secret_files(&self) -> Vec<(String, &str)> {
        match &self.given {
            Given::Url(own) => {
                own.secret_files().map(|(key, file)| (key.to_owned(), file)).collect()
            }
            Given::Sentinels(sentinels) => sentinels.secret_files(),
        }
    }
}

/// A key that would change nothing is a mistake, and so are two passwords.
fn relate(s: &mut Section, url: &RedisUrl, access: &RedisAccess, own: &OwnKeys) {
    if let Some(key) = own.tls_key().filter(|_| !url.is_encrypted()) {
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
        match &self.given {
            Given::Url(own) => {
                shard.serialize_entry("url", &self.address.to_string())?;
                own.print(&mut shard)?;
            }
            Given::Sentinels(sentinels) => sentinels.print(&mut shard)?,
        }
        shard.end()
    }
}
