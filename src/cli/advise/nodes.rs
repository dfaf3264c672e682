//! What running nodes state of themselves: read from their operators' listeners.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::advice::{ClassCounts, LayoutTable, ObservedCluster};
use crate::cli::CliFailure;
use crate::domain::Class;
use crate::layout::{BucketCount, BucketCounts, Placement};
use crate::monitor::{NodeReading, NodeView, OperatorUrl, Samples};

/// What running nodes counted, and the layout that they publish by.
#[derive(Debug)]
pub(super) struct RunningCluster {
    pub(super) observed: ObservedCluster,
    pub(super) layout: LayoutTable,
    /// What the reader should know, though it stops nothing.
    pub(super) warnings: Vec<String>,
}

/// Reads all nodes twice, so far apart.
pub(super) async fn read_nodes(
    urls: &[OperatorUrl],
    apart: Duration,
    placement: Placement,
) -> Result<RunningCluster, CliFailure> {
    let before = read_all(urls).await?;
    check_deployment(&before)?;
    check_all_are_given(&before)?;
    let layout = layout_of(&before)?;
    let began = Instant::now();
    tokio::time::sleep(apart).await;
    let after = read_all(urls).await?;
    let seconds = began.elapsed().as_secs_f64();
    let observed = observe(&before, &after, seconds, &layout, placement)?;
    Ok(RunningCluster { observed, layout, warnings: warnings(&before) })
}

async fn read_all(urls: &[OperatorUrl]) -> Result<Vec<NodeReading>, CliFailure> {
    let mut nodes = Vec::new();
    for url in urls {
        nodes.push(url.read().await.map_err(CliFailure::failed)?);
    }
    Ok(nodes)
}

/// All nodes are of one deployment, and each is given once.
fn check_deployment(nodes: &[NodeReading]) -> Result<(), CliFailure> {
    let [first, others @ ..] = nodes else {
        return Err(CliFailure::Usage("--from: at least one node is needed".to_owned()));
    };
    for other in others {
        let of = |node: &NodeReading| (node.cluster.namespace.clone(), node.cluster.store.clone());
        if of(first) != of(other) {
            let ((one, here), (two, there)) = (of(first), of(other));
            return Err(CliFailure::Failed(format!(
                "{} and {} are of two deployments: namespace {one} on store {here}, and namespace \
                 {two} on store {there}",
                first.url, other.url
            )));
        }
    }
    for (place, node) in nodes.iter().enumerate() {
        let earlier = nodes[..place].iter().find(|it| it.cluster.boot == node.cluster.boot);
        if let Some(earlier) = earlier {
            let text = format!("--from: {} and {} are one node", earlier.url, node.url);
            return Err(CliFailure::Usage(text));
        }
    }
    Ok(())
}

/// What a node receives counts, so no live node may be left out.
fn check_all_are_given(nodes: &[NodeReading]) -> Result<(), CliFailure> {
    let is_given = |node: &&NodeView| nodes.iter().any(|it| it.cluster.boot == node.boot);
    for reading in nodes {
        if let Some(missing) = reading.cluster.nodes.iter().find(|node| !is_given(node)) {
            return Err(CliFailure::Failed(format!(
                "node {} lives too and is not given: add --from http://{}",
                missing.name, missing.operator
            )));
        }
        if !reading.cluster.nodes.iter().any(|node| node.boot == reading.cluster.boot) {
            return Err(CliFailure::Failed(format!(
                "{} does not know itself as a live node: wait until /readyz says ready",
                reading.url
            )));
        }
    }
    Ok(())
}

/// The layout that all publish by, if that is also the only one that they hear.
fn layout_of(nodes: &[NodeReading]) -> Result<LayoutTable, CliFailure> {
    let all = || nodes.iter().flat_map(|reading| &reading.cluster.nodes);
    let first = all().next().map(|node| &node.layouts.publish);
    let none = || CliFailure::Failed("no node is known as live".to_owned());
    let layout = first.ok_or_else(none)?;
    let is_other = |node: &&NodeView| {
        node.layouts.publish != *layout || node.layouts.subscribe.iter().any(|it| it != layout)
    };
    if let Some(node) = all().find(is_other) {
        return Err(CliFailure::Failed(format!(
            "node {} publishes or subscribes by another layout too: finish that change first",
            node.name
        )));
    }
    let count = |count: u64| {
        BucketCount::new(count).map_err(|error| CliFailure::Failed(format!("buckets: {error}")))
    };
    let buckets = BucketCounts {
        user: count(layout.user)?,
        room: count(layout.room)?,
        topic: count(layout.topic)?,
    };
    let view = &nodes[0].cluster;
    let item = |name: &String| {
        let shard = view.shards.iter().find(|it| it.name == *name)?;
        Some((name.clone(), inline(shard.config.as_ref()?)))
    };
    let shards = layout.shards.iter().filter_map(item).collect();
    Ok(LayoutTable { name: view.routing.publish.clone(), buckets, shards })
}

/// Returns JSON as an inline value of TOML, whose strings are written alike.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| format!("{key} = {}", inline(value));
            format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", "))
        }
        plain => plain.to_string(),
    }
}

fn warnings(nodes: &[NodeReading]) -> Vec<String> {
    let all = nodes.iter().flat_map(|reading| &reading.cluster.nodes);
    let mut versions: Vec<String> = all.map(|node| node.version.clone()).collect();
    versions.sort();
    versions.dedup();
    let is_mixed = versions.len() > 1;
    is_mixed
        .then(|| format!("the nodes are of several versions: {}", versions.join(", ")))
        .into_iter()
        .collect()
}

fn observe(
    before: &[NodeReading],
    after: &[NodeReading],
    seconds: f64,
    layout: &LayoutTable,
    placement: Placement,
) -> Result<ObservedCluster, CliFailure> {
    for (then, now) in before.iter().zip(after) {
        if then.cluster.boot != now.cluster.boot {
            let text = format!("{} was started anew meanwhile: ask again", now.url);
            return Err(CliFailure::Failed(text));
        }
    }
    let now = |name: &str| after.iter().map(|node| node.samples.of(name)).sum::<f64>();
    let then = |name: &str| before.iter().map(|node| node.samples.of(name)).sum::<f64>();
    let since = |name: &str| (now(name) - then(name)).max(0.0);
    let classes = Class::ALL.map(|class| class_since(before, after, class.name()));
    let publishes_to_all = since("narrowcast_publishes_to_all_total");
    let published: f64 = classes.iter().map(|class| class.publishes).sum();
    if published + publishes_to_all <= 0.0 {
        return Err(CliFailure::Failed(format!(
            "nothing was published within {seconds:.0} s: ask under load, or for longer by --seconds"
        )));
    }
    let BucketCounts { user, room, topic } = layout.buckets;
    let workers = after.iter().map(|node| node.samples.count("narrowcast_worker_sessions{"));
    Ok(ObservedCluster {
        nodes: after.len() as u32,
        seconds,
        buckets: [user, room, topic],
        classes,
        publishes_to_all,
        deliveries: since("narrowcast_deliveries_total"),
        limited_sends: since("narrowcast_sends_total{outcome=\"sent\"}"),
        sessions: now("narrowcast_sessions"),
        workers: workers.sum::<usize>() as f64,
        repair_reads_per_s: now("narrowcast_recovery_reads_per_second_max{kind=\"repair\"}")
            / after.len() as f64,
        placement,
    })
}

/// What all nodes counted of a class between two readings. What they hold is of the second one.
fn class_since(before: &[NodeReading], after: &[NodeReading], class: &str) -> ClassCounts {
    let sum = |nodes: &[NodeReading], field: fn(&ClassCounts) -> f64| {
        nodes.iter().map(|node| field(&class_counts(&node.samples, class))).sum::<f64>()
    };
    let since = |field| (sum(after, field) - sum(before, field)).max(0.0);
    ClassCounts {
        keys_held: sum(after, |counts| counts.keys_held),
        buckets_held: sum(after, |counts| counts.buckets_held),
        publishes: since(|counts| counts.publishes),
        copies: since(|counts| counts.copies),
        useful: since(|counts| counts.useful),
        echo: since(|counts| counts.echo),
    }
}

/// What one node counted of a class.
fn class_counts(samples: &Samples, class: &str) -> ClassCounts {
    let by_class = |name: &str| samples.of(&format!("narrowcast_{name}{{class=\"{class}\"}}"));
    let received = |outcome: &str| {
        let labels = format!("{{outcome=\"{outcome}\",class=\"{class}\"}}");
        samples.of(&format!("narrowcast_bus_received_total{labels}"))
    };
    ClassCounts {
        keys_held: by_class("keys_held"),
        buckets_held: by_class("buckets_held"),
        publishes: by_class("publishes_to_buckets_total"),
        copies: by_class("bucket_copies_total"),
        useful: received("useful"),
        echo: received("echo"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, version: &str) -> Value {
        let layout = json!({"user": 1, "room": 1, "topic": 1, "shards": ["r1"]});
        let layouts = json!({"publish": layout, "subscribe": [layout]});
        json!({"name": name, "boot": name, "operator": "h:1", "version": version, "layouts": layouts})
    }

    /// A reading of a node among nodes.
    fn reading(boot: &str, nodes: &[Value]) -> NodeReading {
        let view = json!({
            "namespace": "main", "store": "00", "boot": boot, "routing": {"publish": "a"},
            "nodes": nodes, "shards": [{"name": "r1", "config": {"name": "r1", "url": "redis://h"}}],
        });
        let view = serde_json::from_value(view).expect("a view");
        NodeReading { url: format!("http://{boot}"), cluster: view, samples: Samples::default() }
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T, CliFailure>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn nodes_of_two_versions_are_told_and_advised_on() {
        let nodes = [node("n1", "0.1.0"), node("n2", "0.2.0")];
        let both = [reading("n1", &nodes), reading("n2", &nodes)];
        assert!(check_deployment(&both).is_ok() && check_all_are_given(&both).is_ok());
        assert_eq!(warnings(&both), ["the nodes are of several versions: 0.1.0, 0.2.0"]);
        let layout = layout_of(&both).expect("one layout");
        assert_eq!(
            layout.shards,
            [("r1".to_owned(), r#"{ name = "r1", url = "redis://h" }"#.to_owned())]
        );
        assert!(warnings(&[reading("n1", &nodes[..1])]).is_empty());
    }

    #[test]
    fn what_a_node_counted_of_a_class_is_found() {
        let text = "narrowcast_keys_held{class=\"room\"} 7\n\
                    narrowcast_bus_received_total{outcome=\"echo\",class=\"room\"} 2\n";
        let room = class_counts(&Samples::read(text), "room");
        assert_eq!((room.keys_held, room.echo, room.useful), (7.0, 2.0, 0.0));
    }

    #[test]
    fn a_change_of_layout_must_end_before_the_next() {
        let mut nodes = [node("n1", "1"), node("n2", "1")];
        let other = json!({"user": 2, "room": 1, "topic": 1, "shards": ["r1"]});
        nodes[1]["layouts"]["subscribe"] = json!([nodes[1]["layouts"]["publish"], other]);
        let text = refusal(layout_of(&[reading("n1", &nodes)]));
        assert!(text.starts_with("node n2 publishes or subscribes by another layout"), "{text}");
        nodes[0]["layouts"]["publish"]["user"] = json!(3);
        nodes[0]["layouts"]["subscribe"] = json!([nodes[0]["layouts"]["publish"]]);
        let text = refusal(layout_of(&[reading("n1", &nodes[..1])]));
        assert!(text.contains("must be a power of two"), "{text}");
    }

    #[test]
    fn a_node_that_restarts_meanwhile_or_does_not_know_itself_is_named() {
        let nodes = [node("n1", "1")];
        let layout = layout_of(&[reading("n1", &nodes)]).expect("a layout");
        let watch = |now: &str| {
            let readings = ([reading("n1", &nodes)], [reading(now, &nodes)]);
            observe(&readings.0, &readings.1, 1.0, &layout, Placement::Random)
        };
        assert!(refusal(watch("n2")).ends_with("was started anew meanwhile: ask again"));
        assert!(refusal(watch("n1")).starts_with("nothing was published within 1 s"));
        let text = refusal(check_all_are_given(&[reading("n1", &nodes), reading("n9", &nodes)]));
        assert!(text.contains("does not know itself"), "{text}");
    }
}
