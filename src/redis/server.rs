//! Which server a connection reaches.

use std::fmt;

use ::redis::aio::MultiplexedConnection;
use ::redis::{RedisResult, cmd};

/// The first major version with sharded publish/subscribe.
pub(super) const MAJOR_MIN: u32 = 7;

/// The id of one run of a Redis server. A restart or a failover gives another one.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// The id as the server reports it.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a server reports of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// Its run.
    pub run_id: RunId,
    /// `Redis`, `Valkey` or `Dragonfly`.
    product: &'static str,
    /// Its version, `7.0.15`.
    version: String,
    /// The version of Redis that it is compatible with.
    redis_version: String,
    mode: ServerMode,
}

/// How a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ServerMode {
    Standalone,
    Cluster,
    Sentinel,
}

/// Why a server cannot be a shard, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnfitServer {
    /// It is older than sharded publish/subscribe.
    #[error("{0} is too old: sharded publish/subscribe needs version {MAJOR_MIN} or later")]
    Old(String),
    /// It reports no run id, so that a restart or a failover would not be seen.
    #[error(
        "the server reports no run id, as proxies and serverless services do: name each primary \
         behind it as a shard"
    )]
    NoRunId,
    /// It belongs to a Redis Cluster.
    #[error(
        "the server is in cluster mode: use primaries without cluster mode, and name each as a \
         shard"
    )]
    Cluster,
    /// It confirms an unsubscription from a sharded channel as one from a plain channel.
    #[error(
        "the server confirms SUNSUBSCRIBE by another name, as Dragonfly does: use Redis or Valkey"
    )]
    Misnaming,
    /// It watches servers and is none.
    #[error(
        "this is a sentinel: use the key `sentinel` with the name of the primary that it watches"
    )]
    Sentinel,
}

impl ServerInfo {
    /// What stands for a server where the bus is in memory: its run alone.
    pub fn in_memory(run_id: &str) -> Self {
        Self {
            run_id: RunId::new(run_id),
            product: "memory",
            version: String::new(),
            redis_version: String::new(),
            mode: ServerMode::Standalone,
        }
    }

    /// Returns its product and version, `Redis 7.0.15`; none in memory.
    pub fn described(&self) -> Option<String> {
        (!self.version.is_empty()).then(|| format!("{} {}", self.product, self.version))
    }

    /// Asks by `INFO` on the connection in question.
    pub(super) async fn read(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let server: String = cmd("INFO").arg("server").query_async(connection).await?;
        let cluster: String = cmd("INFO").arg("cluster").query_async(connection).await?;
        Ok(Self::parse(&(server + "\r\n" + &cluster)))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let value =
                |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
            text.lines().find_map(value)
        };
        let redis_version = field("redis_version").unwrap_or_default();
        let of = |product, key: &str| Some((product, field(key)?));
        let (product, version) = of("Valkey", "valkey_version")
            .or_else(|| of("Dragonfly", "dragonfly_version"))
            .unwrap_or_else(|| ("Redis", redis_version.clone()));
        let mode = match field("redis_mode").as_deref() {
            Some("sentinel") => ServerMode::Sentinel,
            Some("cluster") => ServerMode::Cluster,
            _ if field("cluster_enabled").as_deref() == Some("1") => ServerMode::Cluster,
            _ => ServerMode::Standalone,
        };
        let run_id = RunId::new(&field("run_id").unwrap_or_default());
        Self { run_id, product, version, redis_version, mode }
    }

    /// Checks that the server can be a shard.
    pub(super) fn check(&self) -> Result<(), UnfitServer> {
        match self.mode {
            ServerMode::Sentinel => Err(UnfitServer::Sentinel),
            _ if self.is_too_old() => {
                Err(UnfitServer::Old(format!("{} {}", self.product, self.version)))
            }
            ServerMode::Cluster => Err(UnfitServer::Cluster),
            ServerMode::Standalone if self.run_id.0.is_empty() => Err(UnfitServer::NoRunId),
            ServerMode::Standalone => Ok(()),
        }
    }

    /// A version that is no number is that of a build from source.
    fn is_too_old(&self) -> bool {
        let major = self.redis_version.split('.').next().unwrap_or_default();
        major.parse::<u32>().is_ok_and(|major| major < MAJOR_MIN)
    }
}

/// As `Redis 7.0.15, run 6ad1...`.
impl fmt::Display for ServerInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, run {}", self.product, self.version, self.run_id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(text: &str) -> (String, Result<(), UnfitServer>) {
        let info = ServerInfo::parse(&text.replace(' ', "\r\n"));
        (info.to_string(), info.check())
    }

    #[test]
    fn reads_what_a_server_tells() {
        for (text, told) in [
            ("redis_version:7.0.15 run_id:abc redis_mode:standalone", "Redis 7.0.15, run abc"),
            ("redis_version:255.255.255 run_id:a", "Redis 255.255.255, run a"),
            (
                "redis_version:7.2.4 server_name:valkey valkey_version:8.0.1 run_id:b",
                "Valkey 8.0.1, run b",
            ),
            (
                "redis_version:7.4.0 dragonfly_version:df-v1.30.0 run_id:c",
                "Dragonfly df-v1.30.0, run c",
            ),
        ] {
            assert_eq!(judged(text), (told.to_owned(), Ok(())));
        }
    }

    #[test]
    fn a_server_that_cannot_be_a_shard_is_refused_by_its_reason() {
        for (text, reason) in [
            ("redis_version:6.2.14 run_id:abc", UnfitServer::Old("Redis 6.2.14".into())),
            ("redis_version:7.0.15 redis_mode:standalone", UnfitServer::NoRunId),
            ("redis_version:7.0.15 run_id:", UnfitServer::NoRunId),
            ("redis_version:7.0.15 run_id:a redis_mode:cluster", UnfitServer::Cluster),
            ("redis_version:7.0.15 run_id:a cluster_enabled:1", UnfitServer::Cluster),
            ("redis_version:7.0.15 run_id:a redis_mode:sentinel", UnfitServer::Sentinel),
        ] {
            assert_eq!(judged(text).1, Err(reason), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_judged(text in "((run_id|redis_version|redis_mode|x):\\PC{0,9}\\s){0,5}\\PC{0,20}") {
            let info = ServerInfo::parse(&text);
            let _ = (info.check(), info.to_string());
        }
    }
}
