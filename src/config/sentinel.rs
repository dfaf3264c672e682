//! `sentinel` of a shard: the sentinels that name its primary.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::key_type::{Checked, Flag, Integer, KeyType};
use super::name::{SERVER_RULE, is_plain};
use super::redis_access::OwnKeys;
use super::section::Section;
use crate::redis::{Endpoint, RedisAccess, RedisAddress, RedisUrl, SentinelOptions};
use crate::secret::Secret;

/// The port on which sentinels listen by default.
const SENTINEL_PORT: u16 = 26379;

/// Sentinels and what they name replace this host, so that it is never connected to.
const ANY_HOST: &str = "sentinel.invalid";

const MASTER: Checked =
    Checked("1 to 128 of A-Z, a-z, 0-9, `.`, `-` and `_` are required", is_master);

/// Beside encrypted servers a password in plain text is hardly meant.
const TLS_NOT_SAID: &str = "missing, since the servers have tls = true: false if the sentinels have \
                            none, since passwords then go in plain text";
const PASSWORD_BYTES_MAX: usize = 4096;

/// The last database that a Redis can be made to have.
const DATABASE: Integer = Integer(0..=65_535);

/// The sentinels of a shard.
#[derive(Clone, Debug)]
pub(super) struct SentinelConfig {
    master: String,
    sentinels: Vec<Endpoint>,
    /// How to get into a sentinel.
    sentinel: Login,
    /// How to get into the primary.
    primary: Login,
}

/// How to get into a server.
#[derive(Clone, Debug)]
struct Login {
    password: Option<Secret>,
    database: Option<u32>,
    tls: Option<bool>,
    access: RedisAccess,
    own: OwnKeys,
}

impl SentinelConfig {
    /// Reads the item of a shard, but for its name. What it omits is that of all shards; sentinels
    /// share the authorities and this node's certificate with them, but no user and no name.
    pub(super) fn read(s: &mut Section, shared: &RedisAccess) -> Option<Self> {
        if s.has("url") {
            s.skip("url");
            s.report("url", "the sentinels name the server: either url or sentinel is required");
        }
        let mut primary = Login::read(s, shared);
        primary.database = s.has("database").then(|| DATABASE.read(s, "database"));
        let shared = RedisAccess {
            username: None,
            password_file: None,
            server_name: None,
            ..shared.clone()
        };
        s.section("sentinel", |s| {
            let master = MASTER.read(s, "master");
            let is_node = |text: &str| Endpoint::parse(text, SENTINEL_PORT).is_some();
            let nodes = s.strings("nodes", &(1..=16), SERVER_RULE, is_node);
            let sentinels: Vec<Endpoint> =
                nodes.iter().filter_map(|node| Endpoint::parse(node, SENTINEL_PORT)).collect();
            let spelled: Vec<String> = sentinels.iter().map(ToString::to_string).collect();
            s.unique("nodes", "node", spelled.iter().map(String::as_str));
            let sentinel = Login::read(s, &shared);
            if primary.tls == Some(true) && sentinel.tls.is_none() {
                s.report("tls", TLS_NOT_SAID);
            }
            Some(Self { master, sentinels, sentinel, primary })
        })
    }

    /// The same for room `redis`.
    pub(super) fn options(&self) -> SentinelOptions {
        SentinelOptions {
            master: self.master.clone(),
            sentinels: self.sentinels.clone(),
            sentinel: self.sentinel.address(),
            primary: self.primary.address(),
        }
    }

    /// What the item gives itself for its connections, each with the path of its table within the
    /// item.
    pub(super) fn own_access(&self) -> Vec<(&'static str, &RedisAccess)> {
        let logins = [("", &self.primary), (".sentinel", &self.sentinel)];
        let own = logins.into_iter().filter(|(_, login)| !login.own.is_empty());
        own.map(|(table, login)| (table, &login.access)).collect()
    }

    /// The files that hold secrets, each with the key that names it.
    pub(super) fn secret_files(&self) -> Vec<(String, &str)> {
        let of_sentinels = self.sentinel.own.secret_files();
        let of_sentinels = of_sentinels.map(|(key, file)| (format!("sentinel.{key}"), file));
        let of_primary = self.primary.own.secret_files().map(|(key, file)| (key.to_owned(), file));
        of_primary.chain(of_sentinels).collect()
    }

    /// Whether any of its connections has TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        [&self.primary, &self.sentinel].into_iter().any(|login| login.tls == Some(true))
    }

    /// The passwords that are written in the configuration.
    pub(super) fn written_secrets(&self) -> Vec<&[u8]> {
        let logins = [&self.primary, &self.sentinel].into_iter();
        logins.filter_map(|login| login.password.as_ref().map(Secret::expose)).collect()
    }

    /// Prints the keys of the shard's item that are read here.
    pub(super) fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("sentinel", &SentinelTable(self))?;
        self.primary.print(map)
    }
}

/// Prints the table of the sentinels.
struct SentinelTable<'a>(&'a SentinelConfig);

impl Serialize for SentinelTable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SentinelConfig { master, sentinels, sentinel, .. } = self.0;
        let nodes: Vec<String> = sentinels.iter().map(ToString::to_string).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("master", master)?;
        map.serialize_entry("nodes", &nodes)?;
        sentinel.print(&mut map)?;
        map.end()
    }
}

impl Login {
    fn read(s: &mut Section, shared: &RedisAccess) -> Self {
        let password = s.has("password").then(|| password(s)).flatten();
        let tls = s.has("tls").then(|| Flag.read(s, "tls"));
        let (access, own) = OwnKeys::read(s, shared, password.is_some());
        if password.is_some() && access.password_file.is_some() {
            s.report("password", "either password or password_file is required");
        }
        if let Some(key) = own.tls_key().filter(|_| tls != Some(true)) {
            s.report(key, "tls = true is required beside it");
        }
        Self { password, database: None, tls, access, own }
    }

    fn address(&self) -> RedisAddress {
        let host = Endpoint::new(ANY_HOST, SENTINEL_PORT).expect("it is a DNS name");
        let user = self.access.username.as_deref().unwrap_or_default();
        let password = self.password.as_ref().map(|it| String::from_utf8_lossy(it.expose()));
        let credentials = [user, password.as_deref().unwrap_or_default()];
        let (is_encrypted, database) = (self.tls == Some(true), self.database.unwrap_or_default());
        let url = RedisUrl::of(&host, is_encrypted, credentials, database);
        RedisAddress::new(url, self.access.clone())
    }

    fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.own.print(map)?;
        if let Some(password) = &self.password {
            map.serialize_entry("password", password)?;
        }
        if let Some(tls) = self.tls {
            map.serialize_entry("tls", &tls)?;
        }
        if let Some(database) = self.database {
            map.serialize_entry("database", &database)?;
        }
        Ok(())
    }
}

fn password(s: &mut Section) -> Option<Secret> {
    let password = s.sealed("password")?;
    if (1..=PASSWORD_BYTES_MAX).contains(&password.len()) {
        return Some(Secret::new(password));
    }
    let given = password.len();
    s.report("password", format!("1 to {PASSWORD_BYTES_MAX} bytes are required, not {given}"));
    None
}

fn is_master(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(is_plain)
}
