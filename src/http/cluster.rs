//! `/v1/cluster`: all live nodes, as this node last read the cluster table.

use serde::Serialize;

use crate::agent::{ClusterTable, LiveNode};
use crate::bus::BootId;
use crate::cluster::NodeState;
use crate::config::{Config, ShardConfig};
use crate::domain::Micros;
use crate::health::Readiness;
use crate::layout::{BucketCounts, Layout};
use crate::services::Services;
use crate::shards::{LinkReport, LinkState};

/// The document. Times are milliseconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub(super) struct ClusterDocument {
    /// When the cluster table was last read; null before the first time.
    as_of: Option<u64>,
    /// How long ago that was.
    age_ms: Option<u64>,
    namespace: String,
    /// The store, by which two deployments differ.
    store: String,
    /// The boot of the node that answers.
    boot: String,
    /// The layouts by their names in the configuration of that node.
    routing: LayoutNames,
    nodes: Vec<NodeDocument>,
    shards: Vec<ShardDocument>,
}

#[derive(Debug, Serialize)]
struct LayoutNames {
    publish: String,
    subscribe: Vec<String>,
}

/// A live node. What its program does not report is empty.
#[derive(Debug, Serialize)]
struct NodeDocument {
    name: String,
    boot: String,
    address: String,
    operator: String,
    version: String,
    since: u64,
    state: NodeState,
    status: String,
    reasons: Vec<String>,
    sessions: u64,
    watermark_lag_ms: Option<u64>,
    layouts: LayoutsDocument,
}

#[derive(Debug, Serialize)]
struct LayoutsDocument {
    publish: LayoutDocument,
    subscribe: Vec<LayoutDocument>,
}

#[derive(Debug, Serialize)]
struct LayoutDocument {
    user: u32,
    room: u32,
    topic: u32,
    shards: Vec<String>,
}

/// A shard as the connections of the node that answers know it.
#[derive(Debug, Serialize)]
struct ShardDocument {
    name: String,
    /// The item of that node's configuration, secrets masked; null in memory.
    config: Option<ShardConfig>,
    up: bool,
    /// Of its server, as that reported it; null while no connection is up, or in memory.
    version: Option<String>,
    run_id: Option<String>,
}

/// Returns the document of this moment.
pub(super) fn cluster(
    services: &Services,
    readiness: &Readiness,
    table: &ClusterTable,
) -> ClusterDocument {
    let live = table.live();
    let now = services.clocks.wall.now();
    ClusterDocument {
        as_of: live.as_of.map(Micros::millis),
        age_ms: live.as_of.map(|read| now.since(read).as_millis() as u64),
        namespace: services.config.node.namespace.clone(),
        store: format!("{:016x}", services.identity.store_tag.0),
        boot: services.identity.boot.to_string(),
        routing: LayoutNames {
            publish: services.config.published().name.clone(),
            subscribe: services.config.subscribed().map(|layout| layout.name.clone()).collect(),
        },
        nodes: live.nodes.iter().map(node).collect(),
        shards: shards(services.cluster.layouts.shards(), &services.config, &readiness.links()),
    }
}

fn node(node: &LiveNode) -> NodeDocument {
    let (about, report) = (&node.about, node.about.report.clone());
    NodeDocument {
        name: about.node.clone(),
        boot: BootId(about.boot).to_string(),
        address: about.address.clone(),
        operator: report.operator,
        version: report.version,
        since: about.started.millis(),
        state: about.state,
        status: report.status,
        reasons: report.reasons,
        sessions: report.sessions,
        watermark_lag_ms: report.lag_ms,
        layouts: LayoutsDocument {
            publish: layout(&about.publish),
            subscribe: about.subscribe.iter().map(layout).collect(),
        },
    }
}

fn layout(layout: &Layout) -> LayoutDocument {
    let BucketCounts { user, room, topic } = layout.buckets();
    let [user, room, topic] = [user, room, topic].map(|count| count.get());
    LayoutDocument { user, room, topic, shards: layout.shards().to_vec() }
}

fn shards(names: &[String], config: &Config, links: &[LinkReport]) -> Vec<ShardDocument> {
    let shard = |name: &String| {
        let mut servers = Vec::new();
        let mut up = true;
        for link in links.iter().filter(|link| link.shard == *name) {
            match &link.state {
                LinkState::Up { server } => servers.push(server),
                LinkState::Down { .. } | LinkState::Starting { .. } => up = false,
            }
        }
        let mut known = config.subscribed().flat_map(|layout| &layout.shards);
        let config = known.find(|shard| shard.name == *name).cloned();
        let server = servers.first();
        let version = server.and_then(|server| server.described());
        let run_id = server.map(|server| server.run_id.to_string());
        ShardDocument { name: name.clone(), config, up, version, run_id }
    };
    names.iter().map(shard).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::ServerInfo;
    use crate::shards::LinkRole;

    #[test]
    fn a_shard_is_up_if_all_its_connections_are() {
        let link = |shard: &str, state| LinkReport {
            shard: shard.into(),
            role: LinkRole::Subscriber,
            state,
        };
        let up = || LinkState::Up { server: ServerInfo::in_memory("a") };
        let down = LinkState::Down { reason: "cut".into() };
        let links = [link("r1", up()), link("r2", up()), link("r2", down)];
        let text = "[layouts.a]\nredis = [{ name = \"r1\", url = \"redis://u:secret@h\" }]";
        let config = Config::load(Some(text), []).unwrap();
        let shown = shards(&["r1".into(), "r2".into(), "r3".into()], &config, &links[..]);
        let brief: Vec<_> = shown.iter().map(|shard| (shard.up, shard.run_id.as_deref())).collect();
        let item = serde_json::to_string(&shown[0].config).unwrap();
        assert_eq!(item, r#"{"name":"r1","url":"redis://u:MASKED@h"}"#);
        assert_eq!(brief, [(true, Some("a")), (false, Some("a")), (true, None)]);
    }
}
