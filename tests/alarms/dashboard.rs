//! The dashboard: three nodes under load, one of which is restarted, and a Redis that freezes. Each
//! query of each panel is asked as Grafana asks it.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::rules;
use super::talkers::Talkers;
use crate::cluster::watch::world::Nodes;
use crate::harness::{CqlServer, Prometheus, RedisServer, Series, Served, shipped};
use crate::k6::load_test::seconds;
use crate::parts::keyspace::Keyspace;
use crate::parts::layout::{MANY, Named, layouts};
use crate::parts::plant::Plant;

const NODES: usize = 3;

/// Users of each node.
const USERS: usize = 4;

/// How long a Redis is frozen: until nodes give its connections up (5 s), and some more.
const FROZEN: Duration = Duration::from_secs(12);

/// What Grafana puts for `$__rate_interval`: four scrapes, with its step of one.
const RATE_INTERVAL: &str = "5s";

/// A query of a panel.
struct Query {
    panel: String,
    expression: String,
    legend: String,
}

fn queries() -> Vec<Query> {
    let file: Value = serde_json::from_str(&shipped("config/grafana.json")).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let mut queries = Vec::new();
    for panel in file["panels"].as_array().expect("panels") {
        for target in panel["targets"].as_array().into_iter().flatten() {
            queries.push(Query {
                panel: text(&panel["title"]),
                expression: text(&target["expr"]).replace("$__rate_interval", RATE_INTERVAL),
                legend: text(&target["legendFormat"]),
            });
        }
    }
    queries
}

impl Query {
    /// What is wrong with an answer.
    fn fault(&self, series: &[Series]) -> Option<String> {
        let Self { panel, expression, .. } = self;
        if !series.iter().any(Series::is_drawn) {
            return Some(format!("{panel}: nothing is drawn by {expression}"));
        }
        let labels = self.legend.split("{{").skip(1).filter_map(|part| part.split("}}").next());
        let missing = |label: &&str| !series.iter().all(|one| one.labels.contains_key(*label));
        let label = labels.into_iter().find(missing)?;
        Some(format!("{panel}: no label `{label}` by {expression}"))
    }
}

#[tokio::test]
#[ignore = "needs prometheus, redis-server and a CQL server, and takes minutes"]
async fn every_query_of_the_dashboard_draws_something_under_load() {
    let cql = CqlServer::start();
    let redis: Vec<RedisServer> = (0..2).map(|_| RedisServer::start(&[])).collect();
    let layout = Named::new("a", MANY, &redis);
    let plan = layouts(&layout, &[&layout]);
    let mut plant = Plant::new(Keyspace::on(vec![cql.address()])).started_by(Served::with_rates);
    for _ in 0..NODES {
        plant.add(&plan).await;
    }
    plant.all_ready().await;
    let targets: Vec<String> =
        plant.operators().iter().map(|operator| operator.address().to_owned()).collect();
    let prometheus = Prometheus::start(&targets, &rules::faster()).await;
    let (begun, third) = (Instant::now(), Duration::from_secs(seconds().max(30)) / 3);
    let talkers = Talkers::start(&plant.urls(), USERS);
    tokio::time::sleep(third).await;
    plant.restart(1, &plan).await;
    tokio::time::sleep(third).await;
    redis[0].process().signal("STOP");
    tokio::time::sleep(FROZEN).await;
    redis[0].process().signal("CONT");
    tokio::time::sleep(third).await;
    let mut faults = Vec::new();
    for query in queries() {
        let series = prometheus.range(&query.expression, begun.elapsed().as_secs(), 1).await;
        println!("{}: {} series", query.panel, series.len());
        faults.extend(query.fault(&series));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    drop(talkers);
    plant.end_all();
}
