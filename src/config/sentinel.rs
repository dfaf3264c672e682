//! `sentinel` of a shard: the sentinels that name its primary.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Secret;
use super::key_type::{Checked, Integer, KeyType, Text};
use super::section::Section;
use crate::redis::{Endpoint, RedisUrl, SentinelOptions};

/// The port on which sentinels listen by default.
const SENTINEL_PORT: u16 = 26379;

/// Sentinels name the host of the primary, so this one is never connected to.
const ANY_HOST: &str = "sentinel.invalid";

const MASTER: Checked =
    Checked("1 to 128 of A-Z, a-z, 0-9, `.`, `-` and `_` are required", is_master);
const NODES_RULE: &str = "host or host:port is required, an IPv6 address in brackets";
const USERNAME: Text = Text(1..=128);
const PASSWORD_BYTES_MAX: usize = 512;

/// The last database that a Redis can be made to have.
const DATABASE: Integer = Integer(0..=65_535);

/// The sentinels of a shard.
#[derive(Clone, Debug)]
pub(super) struct SentinelConfig {
    master: String,
    sentinels: Vec<Endpoint>,
    sentinel: Login,
    primary: Login,
}

/// How to get into a server.
#[derive(Clone, Debug, Default)]
struct Login {
    username: Option<String>,
    password: Option<Secret>,
    database: Option<u32>,
}

impl SentinelConfig {
    /// Reads the table of a shard.
    pub(super) fn read(s: &mut Section) -> Option<Self> {
        if s.has("url") {
            s.skip("url");
            s.report("url", "the sentinels name the server: either `url` or `sentinel`");
        }
        let primary = Login::read(s);
        let database = s.has("database").then(|| DATABASE.read(s, "database"));
        s.section("sentinel", |s| {
            let master = MASTER.read(s, "master");
            let is_node = |text: &str| Endpoint::parse(text, SENTINEL_PORT).is_some();
            let nodes = s.strings("nodes", &(1..=16), NODES_RULE, is_node);
            let sentinels: Vec<Endpoint> =
                nodes.iter().filter_map(|node| Endpoint::parse(node, SENTINEL_PORT)).collect();
            let spelled: Vec<String> = sentinels.iter().map(ToString::to_string).collect();
            s.unique("nodes", "node", spelled.iter().map(String::as_str));
            let primary = Login { database, ..primary };
            Some(Self { master, sentinels, sentinel: Login::read(s), primary })
        })
    }

    /// The same for room `redis`.
    pub(super) fn options(&self) -> SentinelOptions {
        SentinelOptions {
            master: self.master.clone(),
            sentinels: self.sentinels.clone(),
            sentinel: self.sentinel.url().into(),
            primary: self.primary.url().into(),
        }
    }

    /// Prints the keys of the shard's table that stand here.
    pub(super) fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("sentinel", &Sentinels(self))?;
        self.primary.print(map)
    }
}

/// Prints the table of the sentinels.
struct Sentinels<'a>(&'a SentinelConfig);

impl Serialize for Sentinels<'_> {
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
    fn read(s: &mut Section) -> Self {
        let username = s.has("username").then(|| USERNAME.read(s, "username"));
        let password = s.has("password").then(|| password(s)).flatten();
        if username.is_some() && password.is_none() && !s.is_mistaken("password") {
            s.report("password", "missing: a user has one");
        }
        Self { username, password, database: None }
    }

    fn url(&self) -> RedisUrl {
        let host = Endpoint::new(ANY_HOST, SENTINEL_PORT).expect("it is a DNS name");
        let user = self.username.as_deref().unwrap_or_default();
        let password = self.password.as_ref().map(Secret::expose).unwrap_or_default();
        RedisUrl::of(&host, user, password, self.database.unwrap_or_default())
    }

    fn print<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if let Some(username) = &self.username {
            map.serialize_entry("username", username)?;
        }
        if let Some(password) = &self.password {
            map.serialize_entry("password", password)?;
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
    s.report(
        "password",
        format!("1 to {PASSWORD_BYTES_MAX} bytes are required, {} were given", password.len()),
    );
    None
}

fn is_master(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=128).contains(&name.len()) && name.chars().all(is_plain)
}
