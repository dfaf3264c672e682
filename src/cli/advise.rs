//! `advise`: which bucket counts and how many shards suit a deployment.

mod nodes;

use std::fmt::Write;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use self::nodes::{RunningCluster, read_nodes};
use super::operators::operator_urls;
use super::output::{print_line, print_text};
use super::placement::PlacementName;
use super::{CliFailure, block_on};
use crate::advice::{
    Advice, Baseline, BucketCost, ClassAdvice, ClusterLoad, Deployment, LayoutTable, advise,
    layout_edits, layout_table,
};
use crate::config::Config;
use crate::redis::POOL_CONNECTIONS_MAX;
use crate::telemetry::say_error;

/// The connections of an event loop to a shard: one publishes, and some count for the limits.
const SHARD_CONNECTIONS: u32 = 1 + POOL_CONNECTIONS_MAX;

/// The URL that is written for a shard that does not exist yet.
const NEW_URL: &str = "redis://ADDRESS";

/// Advises bucket counts and shards.
#[derive(Debug, Args)]
pub(super) struct Advise {
    /// The operator's listener of a running node, as http://HOST:PORT; all live nodes are needed.
    #[arg(long, value_name = "URL", num_args = 1.., conflicts_with_all = ["nodes", "users"])]
    from: Vec<String>,
    /// For how many seconds running nodes are watched.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How users reach nodes.
    #[arg(long, default_value = "random")]
    placement: PlacementName,
    #[command(flatten)]
    numbers: DeploymentNumbers,
    /// One JSON object.
    #[arg(long)]
    json: bool,
}

/// A deployment that is planned.
#[derive(Debug, Args)]
struct DeploymentNumbers {
    /// Nodes.
    #[arg(long, required_unless_present = "from")]
    nodes: Option<u64>,
    /// Users who are connected.
    #[arg(long, required_unless_present = "from")]
    users: Option<u64>,
    /// Sessions of a user.
    #[arg(long, default_value_t = 2)]
    devices: u64,
    /// Rooms of a user.
    #[arg(long, default_value_t = 0)]
    rooms_per_user: u64,
    /// Members of a room.
    #[arg(long, default_value_t = 20)]
    room_size: u64,
    /// Topics with a subscriber.
    #[arg(long, default_value_t = 0)]
    topics: u64,
    /// Sessions that subscribe to a topic.
    #[arg(long, default_value_t = 2)]
    watchers: u64,
    /// Direct messages a second, of all users together.
    #[arg(long, default_value_t = 1000)]
    messages_per_s: u64,
    /// Messages to rooms a second.
    #[arg(long, default_value_t = 0)]
    room_messages_per_s: u64,
    /// Events to topics a second.
    #[arg(long, default_value_t = 0)]
    events_per_s: u64,
    /// Event loops of a node.
    #[arg(long, default_value_t = 1)]
    workers: u64,
}

/// What is printed.
struct Report {
    load: ClusterLoad,
    advice: Advice,
    /// The configuration of each roll; the tables of a new deployment if nothing runs yet.
    edits: Vec<String>,
    warnings: Vec<String>,
}

impl Advise {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let report = if self.from.is_empty() {
            self.planned()?
        } else {
            let apart = Duration::from_secs(self.seconds);
            let urls = operator_urls(&self.from)?;
            of_running(block_on(read_nodes(&urls, apart, self.placement.into()))?)?
        };
        for warning in &report.warnings {
            say_error(format_args!("narrowcast: warning: {warning}"));
        }
        if self.json { print_line(report.json()) } else { print_text(&report.text()) }
    }

    fn planned(&self) -> Result<Report, CliFailure> {
        let numbers = &self.numbers;
        let deployment = Deployment {
            nodes: numbers.nodes.unwrap_or_default(),
            users: numbers.users.unwrap_or_default(),
            devices: numbers.devices,
            rooms_per_user: numbers.rooms_per_user,
            room_size: numbers.room_size,
            topics: numbers.topics,
            watchers: numbers.watchers,
            messages_per_s: numbers.messages_per_s,
            room_messages_per_s: numbers.room_messages_per_s,
            events_per_s: numbers.events_per_s,
            workers: numbers.workers,
            placement: self.placement.into(),
        };
        let load = deployment.load().map_err(CliFailure::usage)?;
        let shipped = Config::default().published().buckets;
        let advice = advise(&load, Baseline::Shipped(&shipped));
        let table = with_shards("a", &advice, Vec::new());
        Ok(Report { load, advice, edits: vec![layout_table(&table)], warnings: Vec::new() })
    }
}

fn of_running(cluster: RunningCluster) -> Result<Report, CliFailure> {
    let RunningCluster { observed, layout, warnings } = cluster;
    let none = || CliFailure::Failed("no node was watched for any time".to_owned());
    let load = observed.load().ok_or_else(none)?;
    let shards = layout.shards.len().max(1) as u32;
    let advice = advise(&load, Baseline::InForce(&layout.buckets, shards));
    let mut edits = Vec::new();
    if advice.is_change() {
        let name = if layout.name == "a" { "b" } else { "a" };
        let new = with_shards(name, &advice, layout.shards.clone());
        edits.extend(layout_edits(&layout, &new));
    }
    Ok(Report { load, advice, edits, warnings })
}

/// The table of the advised layout: the shards that are known, and further ones to be filled in.
fn with_shards(name: &str, advice: &Advice, mut shards: Vec<(String, String)>) -> LayoutTable {
    let mut number = 0;
    while shards.len() < advice.shards.shards as usize {
        number += 1;
        let shard = format!("r{number}");
        if shards.iter().all(|(known, _)| *known != shard) {
            let item = format!("{{ name = \"{shard}\", url = \"{NEW_URL}\" }}");
            shards.push((shard, item));
        }
    }
    LayoutTable { name: name.to_owned(), buckets: advice.buckets, shards }
}

impl Report {
    fn json(&self) -> serde_json::Value {
        json!({
            "advice": self.advice,
            "is_change": self.advice.is_change(),
            "descriptors_per_node":
                self.load.descriptors_per_node(self.advice.shards.shards, SHARD_CONNECTIONS),
            "repair_round_s": self.load.repair_round_s(),
            "edits": self.edits,
            "warnings": self.warnings,
        })
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for class in &self.advice.classes {
            text.push_str(&class_text(class));
        }
        text.push_str(&self.summary());
        let is_planned = self.advice.shards_now.is_none();
        for (roll, edit) in self.edits.iter().enumerate() {
            let _infallible = match (is_planned, roll) {
                (true, _) => write!(text, "\n# Every node's layout\n{edit}"),
                (false, roll) => {
                    write!(text, "\n# Roll {}: {}\n{edit}", roll + 1, ROLLS[roll])
                }
            };
        }
        text
    }

    fn summary(&self) -> String {
        let (advice, shards) = (&self.advice, &self.advice.shards);
        let now =
            |text: Option<String>| text.map_or_else(String::new, |now| format!("{now} now, "));
        let mut text = format!(
            "node events a delivery: {}{:.3} advised\n",
            now(advice.node_events_per_delivery_now.map(|now| format!("{now:.3}"))),
            advice.node_events_per_delivery,
        );
        let _infallible = writeln!(
            text,
            "shards: {}{} advised; each about {:.1} % of a core (over 50 % is unwise), {:.1} MB for \
             subscriptions, and {:.2} s of CPU to take them all after a reconnect",
            now(advice.shards_now.map(|now| now.to_string())),
            shards.shards,
            shards.cpu * 100.0,
            shards.bytes / 1e6,
            shards.subscribe_s,
        );
        let _infallible = writeln!(
            text,
            "each node: {:.0} descriptors for sessions and shards, {:.1} s for its longest recovery \
             round",
            self.load.descriptors_per_node(shards.shards, SHARD_CONNECTIONS),
            self.load.repair_round_s(),
        );
        if advice.shards_now.is_some() && !advice.is_change() {
            text.push_str("leave the layout as it is\n");
        }
        text
    }
}

/// What each edit does.
const ROLLS: [&str; 3] = [
    "subscribe to both, publish by the old one (tables layouts and routing of every node)",
    "publish by the new one",
    "drop the old one",
];

fn class_text(advice: &ClassAdvice) -> String {
    let mut text = format!(
        "{:>7} {:>9} {:>14} {:>9} {:>12} {:>20}\n",
        advice.class, "buckets", "node events/s", "reach", "useful share", "subscriptions a node"
    );
    for cost in &advice.costs {
        let BucketCost { buckets, node_events_per_s, reach, useful_share, .. } = cost;
        let mark = match *buckets {
            advised if advised == advice.buckets => "advised",
            now if Some(now) == advice.now => "now",
            _ => "",
        };
        let _infallible = writeln!(
            text,
            "{mark:>7} {buckets:>9} {node_events_per_s:>14.1} {reach:>9.2} {useful_share:>12.2} \
             {:>20.0}",
            cost.subscriptions_per_node
        );
    }
    let _infallible = writeln!(text, "{}: {}\n", advice.class, advice.why);
    text
}
