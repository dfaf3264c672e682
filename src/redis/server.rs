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
    /// Its version, `7.0.15`; empty for one in memory.
    pub version: String,
}

impl ServerInfo {
    /// A server of a run and a version.
    pub fn new(run_id: &str, version: &str) -> Self {
        Self { run_id: RunId::new(run_id), version: version.to_owned() }
    }

    /// Asks by `INFO server` on the connection in question.
    pub(super) async fn read(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let text: String = cmd("INFO").arg("server").query_async(connection).await?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Self {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        Self::new(field("run_id"), field("redis_version"))
    }

    pub(super) fn is_too_old(&self) -> bool {
        let major = self.version.split('.').next().unwrap_or_default();
        major.parse::<u32>().is_ok_and(|major| major < MAJOR_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_server_tells() {
        let info = ServerInfo::parse("# Server\r\nredis_version:6.2.14\r\nrun_id:abc\r\n");
        assert_eq!((info.run_id.to_string().as_str(), info.version.as_str()), ("abc", "6.2.14"));
        assert!(info.is_too_old());
        assert!(!ServerInfo::parse("redis_version:7.0.15\r\nrun_id:x\r\n").is_too_old());
        assert!(!ServerInfo::parse("redis_version:255.255.255\r\n").is_too_old(), "unstable");
    }
}
