//! What the nodes of a deployment must have alike, and what each has for itself.

use std::collections::BTreeMap;

use toml::Value;

use super::{Config, LayoutConfig, StoreBackend};

/// Keys and tables that are the same on all nodes: what clients may do must not depend on the node
/// that they reach, and what nodes share must mean the same to each.
const ALIKE: [&str; 23] = [
    "namespace",
    "auth.audience",
    "auth.issuer",
    "policy",
    "rates",
    "limits.frame_bytes",
    "limits.fragments",
    "limits.body_bytes",
    "limits.data_bytes",
    "limits.json_depth",
    "limits.patterns",
    "limits.pattern_bytes",
    "limits.sends_in_flight",
    "limits.reads_in_flight",
    "limits.held_frames",
    "limits.held_bytes",
    "limits.outbox_bytes",
    "limits.history_messages",
    "limits.history_bytes",
    "limits.places_by_adder",
    "store.backend",
    "store.keyspace",
    "store.retention_days",
];

/// Keys in those tables that follow from the machine and not from the deployment.
const FREE: [&str; 3] = ["rates.remembered", "rates.waiting", "rates.connections_per_address"];

/// The configuration of a node, and the name of its file.
#[derive(Debug)]
pub struct NamedConfig {
    /// The file.
    pub name: String,
    /// What it says.
    pub config: Config,
}

/// Returns what keeps these nodes from being one deployment, one text for each mistake.
pub fn misfits(nodes: &[NamedConfig]) -> Vec<String> {
    let Some((first, others)) = nodes.split_first() else { return Vec::new() };
    let mut found = Vec::new();
    for other in others {
        found.extend(differing_keys(first, other));
        found.extend(differing_secrets(first, other));
        found.extend(differing_layouts(first, other));
        found.extend(unheard(first, other).into_iter().chain(unheard(other, first)));
    }
    found.extend(shared_names(nodes));
    if !others.is_empty() && first.config.store.backend == StoreBackend::Embedded {
        found.push(
            "store.backend = \"embedded\": each node would have a store of its own; several nodes \
             need \"cql\""
                .to_owned(),
        );
    }
    found
}

/// Returns whether all nodes need the same value of a key.
pub fn is_alike(path: &str) -> bool {
    let is_in = |key: &&str| {
        path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    ALIKE.iter().any(is_in) && !FREE.contains(&path)
}

fn differing_keys(first: &NamedConfig, other: &NamedConfig) -> Vec<String> {
    let [ours, theirs] = [first, other].map(|node| node.config.leaves());
    let differs = |(path, value): (&String, &Value)| {
        let their = theirs.get(path)?;
        (is_alike(path) && their != value).then(|| {
            let (here, there) = (&first.name, &other.name);
            format!("{path}: {value} in {here}, {their} in {there}; all nodes need the same")
        })
    };
    ours.iter().filter_map(differs).collect()
}

/// Keys are named by their `kid`, so their order does not count: a rotation may list them anyhow.
fn differing_secrets(first: &NamedConfig, other: &NamedConfig) -> Option<String> {
    let keys = |node: &NamedConfig| -> BTreeMap<String, Vec<u8>> {
        let keys = node.config.auth.keys.iter();
        keys.map(|key| (key.kid.clone(), key.secret.expose().to_vec())).collect()
    };
    let (here, there) = (&first.name, &other.name);
    (keys(first) != keys(other))
        .then(|| format!("auth.keys: those of {here} and {there} differ; all nodes need the same"))
}

/// Layouts of one name that are not the same layout. URLs may differ between nodes.
fn differing_layouts(first: &NamedConfig, other: &NamedConfig) -> Vec<String> {
    let shards = |layout: &LayoutConfig| -> Vec<String> {
        layout.shards.iter().map(|shard| shard.name.clone()).collect()
    };
    let differs = |layout: &LayoutConfig| {
        let their = other.config.layouts.named(&layout.name)?;
        let is_same = their.buckets == layout.buckets && shards(their) == shards(layout);
        (!is_same).then(|| {
            format!(
                "layouts.{}: the buckets or the names of the shards differ between {} and {}; all \
                 nodes need the same",
                layout.name, first.name, other.name
            )
        })
    };
    first.config.subscribed().filter_map(differs).collect()
}

/// A node that publishes by a layout which the other one does not hear.
fn unheard(speaker: &NamedConfig, listener: &NamedConfig) -> Option<String> {
    let layout = &speaker.config.layouts.choice.publish;
    let is_heard = listener.config.layouts.choice.subscribe.contains(layout);
    (!is_heard).then(|| {
        format!(
            "routing.subscribe: {} publishes by layout {layout}, which {} does not subscribe to",
            speaker.name, listener.name
        )
    })
}

fn shared_names(nodes: &[NamedConfig]) -> Vec<String> {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    // Those without a name are named by their hosts.
    for node in nodes.iter().filter(|node| !node.config.node.name.is_empty()) {
        named.entry(&node.config.node.name).or_default().push(&node.name);
    }
    let shared = named.into_iter().filter(|(_, files)| files.len() > 1);
    shared
        .map(|(name, files)| {
            let files = files.join(" and ");
            format!("node.name: {name} in {files}; each node needs a name of its own")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CQL: &str =
        "store.backend = \"cql\"\nlayouts.a.redis = [{ name = \"r\", url = \"redis://h\" }]\n";

    fn node(name: &str, more: &str) -> NamedConfig {
        let text = format!("node.name = \"{name}\"\n{CQL}{more}");
        NamedConfig { name: format!("{name}.toml"), config: Config::load(Some(&text), []).unwrap() }
    }

    #[test]
    fn nodes_that_differ_as_they_may_fit() {
        let own = "workers = 4\nlisten.clients = \"10.0.0.2:8080\"\nrates.remembered = 2048";
        assert_eq!(misfits(&[node("n1", ""), node("n2", own)]), [""; 0]);
    }

    #[test]
    fn keys_may_come_in_any_order() {
        let key = |kid: &str| {
            format!("{{ kid = \"{kid}\", alg = \"HS256\", secret = \"{}\" }}", kid.repeat(40))
        };
        let list = |keys: [&str; 2]| format!("auth.keys = [{}]", keys.map(key).join(", "));
        let [first, turned, other] = [["a", "b"], ["b", "a"], ["b", "c"]].map(list);
        assert_eq!(misfits(&[node("n1", &first), node("n2", &turned)]), [""; 0]);
        assert_eq!(misfits(&[node("n1", &first), node("n2", &other)]).len(), 1);
    }

    #[test]
    fn each_misfit_is_named() {
        for (more, part) in [
            ("namespace = \"b\"", "namespace: \"main\" in n1.toml, \"b\" in n2.toml"),
            ("limits.held_frames = 7", "limits.held_frames: 1024 in n1.toml, 7 in n2.toml"),
            ("limits.patterns = 7", "limits.patterns: 100 in n1.toml, 7 in n2.toml"),
            ("rates.sends_per_s = 7", "rates.sends_per_s: 50 in n1.toml, 7 in n2.toml"),
            ("layouts.a.buckets.user = 2", "layouts.a: the buckets"),
            (
                "auth.keys = [{ kid = \"dev\", alg = \"HS256\", secret = \"0123456789012345678901234567890123\" }]",
                "auth.keys: those of n1.toml and n2.toml differ",
            ),
        ] {
            let found = misfits(&[node("n1", ""), node("n2", more)]);
            assert!(found.len() == 1 && found[0].starts_with(part), "{more}: {found:?}");
        }
        let twice = misfits(&[node("n1", ""), node("n2", ""), node("n1", "")]);
        assert!(twice.len() == 1 && twice[0].starts_with("node.name: n1 in "), "{twice:?}");
        assert_eq!(
            misfits(&[node("", ""), node("", "")]),
            [""; 0],
            "hosts have names of their own"
        );
    }

    #[test]
    fn a_node_that_is_not_heard_is_named() {
        let other = NamedConfig {
            name: "n2.toml".into(),
            config: Config::load(
                Some(
                    "node.name = \"n2\"\nstore.backend = \"cql\"\n\
                     layouts.b.redis = [{ name = \"r\", url = \"redis://h\" }]\n\
                     routing = { publish = \"b\", subscribe = [\"b\"] }",
                ),
                [],
            )
            .unwrap(),
        };
        let found = misfits(&[node("n1", ""), other]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(|it| it.starts_with("routing.subscribe: n")), "{found:?}");
    }
}
