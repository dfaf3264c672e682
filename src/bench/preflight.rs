//! What is checked before a measurement begins, so that a mistake costs one line and no time.

use super::error::BenchError;
use super::nodes::RunningNode;
use crate::client::http_get;
use crate::config::Config;
use crate::node::descriptor_limit;
use crate::redis::{RedisUrl, ShardAddress};

/// Files that the load generator opens beside the sockets of its clients: its log, its event loop,
/// and connections to nodes and Redis.
const OTHER_FILES: usize = 64;

/// Refuses more client sockets than this process may open. `flags` names what decides their number.
pub(super) fn check_sockets(flags: &str, sockets: usize) -> Result<(), BenchError> {
    let limit = descriptor_limit()?;
    let most = limit.saturating_sub(OTHER_FILES);
    if sockets <= most {
        return Ok(());
    }
    Err(BenchError::Input(format!(
        "{flags}: {sockets} sockets are more than {most}, which the limit of {limit} open files \
         leaves; raise `ulimit -n`"
    )))
}

/// Refuses Redis servers that do not answer, or cannot be shards.
pub async fn check_redis(urls: &[String]) -> Result<(), BenchError> {
    let options = Config::default().timeouts.redis.connect;
    for url in urls {
        let url: RedisUrl =
            url.parse().map_err(|error| BenchError::Input(format!("--redis: {error}")))?;
        // The URL may hold a password: it is not shown.
        let server = url.server();
        let connected = ShardAddress::from(url).connect(&options, |_push| ()).await;
        connected.map_err(|error| BenchError::Input(format!("--redis {server}: {error}")))?;
    }
    Ok(())
}

/// Refuses running nodes whose operator's listener does not answer.
pub(super) async fn check_nodes(nodes: &[RunningNode]) -> Result<(), BenchError> {
    for node in nodes {
        let answer = http_get(&node.operator, "/metrics").await;
        let status = answer
            .map_err(|error| {
                BenchError::Input(format!("--node http://{}: {error}", node.operator))
            })?
            .0;
        if status != 200 {
            let operator = &node.operator;
            return Err(BenchError::Input(format!(
                "--node http://{operator}: it answers {status} to /metrics: it is no operator's \
                 listener"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_sockets_are_refused_with_bound_and_value() {
        assert!(check_sockets("--sessions", 1).is_ok());
        let error = check_sockets("--sessions", usize::MAX).unwrap_err().to_string();
        let starts = format!("--sessions: {} sockets are more than ", usize::MAX);
        assert!(error.starts_with(&starts) && error.contains("ulimit -n"), "{error}");
    }
}
