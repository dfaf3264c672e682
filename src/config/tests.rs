//! The room as its users see it.

use std::time::Duration;

use super::{Config, ConfigErrors, Origin};
use crate::layout::{BucketCount, BucketCounts};

mod documentation;
mod masking;
mod never_panics;
mod redis_access;
mod refusals;
mod sentinels;

fn load(text: &str) -> Result<Config, ConfigErrors> {
    Config::load(Some(text), [])
}

fn load_env(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let owned = variables.iter().map(|(name, text)| ((*name).into(), (*text).into()));
    Config::load(Some(text), owned)
}

/// The mistakes as they print, without their count.
fn mistakes(loaded: Result<Config, ConfigErrors>) -> Vec<String> {
    loaded.map_or_else(|all| all.iter().map(ToString::to_string).collect(), |_| Vec::new())
}

#[test]
fn the_default_is_what_it_says() {
    let config = Config::default();
    assert_eq!((config.node.namespace.as_str(), config.workers), ("main", 1));
    assert_eq!(config.layouts.all.len(), 1);
    assert_eq!(config.layouts.named("a").unwrap().buckets.room.get(), 1 << 20);
    assert!(config.layouts.named("a").unwrap().shards.is_empty());
    assert_eq!(config.timeouts.http.header, Duration::from_secs(5));
    assert_eq!(config.timeouts.redis.connect.keepalive, Duration::from_secs(10));
    assert_eq!(config.auth.rules.audience, None);
}

#[test]
fn a_file_merges_key_by_key() {
    let config = load("[limits]\npatterns = 7\n[auth]\nissuer = \"me\"").unwrap();
    assert_eq!((config.limits.requests.patterns, config.limits.fragments), (7, 16));
    assert_eq!(config.auth.rules.issuer.as_deref(), Some("me"));
    assert_eq!(config.auth.keys[0].kid, "dev");
}

#[test]
fn layouts_and_keys_are_replaced() {
    let text = r#"
        [layouts.b]
        buckets = { user = 1, room = 2, topic = 4 }
        redis = [{ name = "r2", url = "redis://h2" }, { name = "r1", url = "redis://h1:1/1" }]
        [routing]
        publish = "b"
        subscribe = ["b"]
        [[auth.keys]]
        kid = "k"
        alg = "HS256"
        secret = "0123456789012345678901234567890123456789"
    "#;
    let config = load(text).unwrap();
    assert!(config.layouts.named("a").is_none());
    let layout = config.layouts.named("b").unwrap();
    let BucketCounts { user, room, topic } = layout.buckets;
    assert_eq!([user, room, topic].map(BucketCount::get), [1, 2, 4]);
    let shards: Vec<&str> = layout.shards.iter().map(|shard| shard.name.as_str()).collect();
    assert_eq!(shards, ["r2", "r1"], "the order is the operator's");
    assert_eq!(layout.shards[1].address.to_string(), "redis://h1:1/1");
    assert_eq!(config.auth.keys.len(), 1);
    assert_eq!(config.auth.keys[0].kid, "k");
}

#[test]
fn several_layouts_may_be_heard() {
    let text = r#"
        [layouts.old]
        [layouts.new]
        buckets.user = 2
        [routing]
        publish = "old"
        subscribe = ["new", "old"]
    "#;
    let config = load(text).unwrap();
    assert_eq!(config.published().name, "old");
    let heard: Vec<_> =
        config.subscribed().map(|it| (it.name.as_str(), it.buckets.user.get())).collect();
    assert_eq!(heard, [("new", 2), ("old", 1 << 20)], "the order is the operator's");
}

#[test]
fn a_layout_may_leave_out_what_the_default_has() {
    let config = load("[layouts.a.buckets]\nuser = 4").unwrap();
    let buckets = config.layouts.named("a").unwrap().buckets;
    assert_eq!((buckets.user.get(), buckets.room.get()), (4, 1 << 20));
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load_env(
        "namespace = \"file\"\nworkers = 2\n[limits]\npatterns = 7",
        &[
            ("NARROWCAST__NAMESPACE", "env"),
            ("NARROWCAST__LISTEN__CLIENTS", "0.0.0.0:80"),
            ("NARROWCAST__LIMITS__BODY_BYTES", "1000"),
            ("NARROWCAST__LISTEN__ORIGINS", r#"["https://a.example"]"#),
            ("NARROWCAST__LAYOUTS__A__BUCKETS__USER", "8"),
            ("NARROWCAST_TOKEN", "not ours"),
            ("PATH", "/bin"),
        ],
    );
    let config = config.unwrap();
    assert_eq!((config.node.namespace.as_str(), config.workers), ("env", 2));
    assert_eq!(config.listen.clients.to_string(), "0.0.0.0:80");
    assert_eq!((config.limits.requests.body_bytes, config.limits.requests.patterns), (1000, 7));
    assert_eq!(config.listen.origins, ["https://a.example"]);
    let buckets = config.layouts.named("a").unwrap().buckets;
    assert_eq!((buckets.user.get(), buckets.room.get()), (8, 1 << 20));
}

#[test]
fn a_node_may_be_named_as_its_host() {
    let name = format!("Chat-7.{}", "n".repeat(56));
    assert_eq!(load(&format!("node.name = {name:?}")).unwrap().node.name, name);
}

#[test]
fn a_variable_for_a_string_is_text_whatever_it_looks_like() {
    for (text, name) in
        [("4", "4"), ("true", "true"), ("\"quoted\"", "quoted"), ("1979-05-27", "1979-05-27")]
    {
        let config = load_env("", &[("NARROWCAST__NODE__NAME", text)]).unwrap();
        assert_eq!(config.node.name, name);
    }
}

#[test]
fn a_table_in_a_variable_comes_before_the_keys_in_it() {
    let bus = ("NARROWCAST__BUS", "{ batch = 1, publish_queue = 20 }");
    let batch = ("NARROWCAST__BUS__BATCH", "2");
    for order in [[bus, batch], [batch, bus]] {
        let config = load_env("", &order).unwrap();
        assert_eq!((config.delivery.bus.batch, config.delivery.bus.publish_queue), (2, 20));
    }
}

#[test]
fn layouts_in_a_variable_replace_those_of_the_file() {
    let variables =
        [("NARROWCAST__LAYOUTS", "{ c = { redis = [] } }"), ("NARROWCAST__ROUTING__PUBLISH", "c")];
    let both = [variables[0], variables[1], ("NARROWCAST__ROUTING__SUBSCRIBE", "['c']")];
    let config = load_env("[layouts.a]\n[layouts.b]", &both).unwrap();
    let names: Vec<&str> = config.layouts.all.iter().map(|layout| layout.name.as_str()).collect();
    assert_eq!(names, ["c"]);
}

#[test]
fn a_secret_may_come_from_a_file() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text =
        format!("auth.keys = [{{ kid = \"k\", alg = \"HS256\", file = {:?} }}]", file.path());
    for (written, secret) in
        [("s".repeat(32), 32), ("s".repeat(40) + "\n", 40), ("s".repeat(4096) + "\r\n", 4096)]
    {
        std::fs::write(file.path(), written).unwrap();
        let config = load(&text).unwrap();
        assert_eq!(config.auth.keys[0].secret.expose(), "s".repeat(secret).as_bytes());
        assert_eq!(config.auth.keys[0].file.as_deref(), Some(file.path()));
        assert_eq!(load(&config.print()).unwrap().print(), config.print());
    }
}

#[test]
fn a_mistake_says_who_said_it() {
    let all = load_env("workers = 0", &[("NARROWCAST__BUS__BATCH", "0")]).unwrap_err();
    let said: Vec<_> = all.iter().map(|it| (it.key(), it.said_by().unwrap().clone())).collect();
    let variable = Origin::Variable("NARROWCAST__BUS__BATCH".to_owned());
    assert_eq!(said, [("workers", Origin::File), ("bus.batch", variable)]);
}

#[test]
fn changed_values_are_printed_with_where_they_come_from() {
    let text =
        "workers = 2\n[limits]\npatterns = 7\n[store]\nusername = \"u\"\npassword = \"hunter2\"";
    let variables = [("NARROWCAST__LIMITS__PATTERNS".into(), "8".into())];
    let printed = Config::print_changed(Some(text), variables).unwrap();
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(
        lines,
        [
            "limits.patterns = 8  # from NARROWCAST__LIMITS__PATTERNS",
            "store.password = \"MASKED\"  # from the file",
            "store.username = \"u\"  # from the file",
            "workers = 2  # from the file",
        ]
    );
    assert_eq!(Config::print_changed(None, []).unwrap(), "");
}
