//! `bench fanout`: how many nodes receive a publish, by layout, next to the predicted number.

use std::sync::Arc;

use rand::RngExt;
use rand::rngs::StdRng;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::clients::{ClientRole, LoadTokens, Member, assemble, settle, user_name};
use super::cpu_split::{CpuMeter, CpuSplit, ServersAre};
use super::delivery_log::DeliveryLog;
use super::error::BenchError;
use super::fanout_load::{FanoutLoad, FanoutSetup};
use super::nodes::{Counts, Nodes, RunningNode};
use super::preflight::{check_nodes, check_redis, check_sockets};
use super::report::TableRow;
use crate::node::ClusterOptions;

/// Most publishes that are unanswered at once.
const IN_FLIGHT: usize = 64;

/// A measurement.
#[derive(Debug, Clone)]
pub struct FanoutBench {
    /// Nodes.
    pub nodes: u32,
    /// Redis shards; without one the nodes are joined in memory.
    pub redis: Vec<String>,
    /// Running nodes: if there are any, they are measured and none is started.
    pub running: Vec<RunningNode>,
    /// Where clients connect instead: a load balancer in front of the running nodes, which places
    /// users.
    pub through: Option<String>,
    /// The load.
    pub load: FanoutLoad,
}

/// What one layout cost.
#[derive(Debug, Clone, Serialize)]
pub struct FanoutRow {
    /// What was measured.
    #[serde(flatten)]
    pub setup: FanoutSetup,
    /// Frames delivered to sessions, `sent` not counted.
    pub delivered: u64,
    /// Pushes that nodes received from the bus, echoes counted.
    pub node_events: u64,
    /// Node events per delivery.
    pub node_events_per_delivery: f64,
    /// The prediction for the layout.
    pub predicted: f64,
    /// The same if every node received everything.
    pub broadcast: f64,
    /// Useful pushes among those received, echoes left out.
    pub useful_share: f64,
    /// Deliveries that did not arrive.
    pub lost: u64,
    /// CPU time.
    #[serde(flatten)]
    pub cpu: CpuSplit,
}

impl TableRow for FanoutRow {
    const HEADERS: &'static [&'static str] = &[
        "nodes",
        "buckets",
        "placement",
        "delivered",
        "node events",
        "a delivery",
        "predicted",
        "broadcast",
        "useful share",
        "lost",
        CpuSplit::HEADER,
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.setup.nodes.to_string(),
            self.setup.buckets.to_string(),
            self.setup.placement.to_owned(),
            self.delivered.to_string(),
            self.node_events.to_string(),
            format!("{:.3}", self.node_events_per_delivery),
            format!("{:.3}", self.predicted),
            format!("{:.3}", self.broadcast),
            format!("{:.3}", self.useful_share),
            self.lost.to_string(),
            self.cpu.cell(),
        ]
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// The node and the topics of every session.
struct Crew {
    /// The node of each session, user by user.
    places: Vec<u32>,
    /// The topics of the first device of each user.
    topics: Vec<Vec<u32>>,
}

impl FanoutBench {
    /// Measures one bucket count, on fresh nodes unless running ones are given.
    pub async fn run(&self, buckets: u32) -> Result<FanoutRow, BenchError> {
        self.check().await?;
        let fleet = self.fleet(buckets).await?;
        let servers =
            if self.running.is_empty() { ServersAre::Here } else { ServersAre::Elsewhere };
        let log = Arc::new(DeliveryLog::new((self.load.messages + self.load.events) as usize));
        let mut draws = self.load.draws();
        let crew = self.crew(&mut draws);
        let members = assemble(self.roles(&fleet, &crew), &log).await?;
        let (before, cpu) = (fleet.counts().await?, CpuMeter::begin(servers)?);
        self.publish(&mut draws, &members, &log).await?;
        settle(|| log.lost() == 0).await;
        let (counts, cpu) = (fleet.counts().await?.since(before), cpu.end()?);
        let row = self.row(buckets, counts, cpu, &log);
        drop(members);
        fleet.stop().await;
        Ok(row)
    }

    async fn check(&self) -> Result<(), BenchError> {
        let sessions = self.load.users as usize * self.load.devices as usize;
        // Both ends of a socket are in this process.
        let ends = if self.running.is_empty() { 2 } else { 1 };
        check_sockets("--users, --devices", sessions * ends)?;
        check_redis(&self.redis).await?;
        check_nodes(&self.running).await
    }

    async fn fleet(&self, buckets: u32) -> Result<Nodes, BenchError> {
        if !self.running.is_empty() {
            return Ok(Nodes::Running(self.running.clone()));
        }
        let plan = ClusterOptions {
            nodes: self.nodes,
            buckets: Some(buckets),
            redis: self.redis.clone(),
            unlimited: true,
            unknown_frames: false,
            tables: Vec::new(),
            addresses: Vec::new(),
        };
        Nodes::start(&plan).await
    }

    fn crew(&self, draws: &mut StdRng) -> Crew {
        let places = self.load.places(self.nodes, draws);
        let mut topics = vec![Vec::new(); self.load.users as usize];
        for topic in 0..self.load.topics {
            for user in self.load.subscribers_of_topic(draws) {
                topics[user].push(topic);
            }
        }
        Crew { places, topics }
    }

    fn roles(&self, fleet: &Nodes, crew: &Crew) -> Vec<ClientRole> {
        let (mut roles, tokens) = (Vec::new(), LoadTokens::new());
        for (user, places) in crew.places.chunks(self.load.devices as usize).enumerate() {
            let token = tokens.of(&user_name(user as u32));
            for (device, place) in places.iter().enumerate() {
                let heard = if device == 0 { crew.topics[user].as_slice() } else { &[] };
                roles.push(ClientRole {
                    url: self.url(fleet, *place as usize),
                    token: token.clone(),
                    patterns: heard.iter().map(|topic| format!("topic.t{topic}.>")).collect(),
                });
            }
        }
        roles
    }

    /// Returns where a device connects. A load balancer goes by the user that the client names.
    fn url(&self, fleet: &Nodes, place: usize) -> String {
        self.through.clone().unwrap_or_else(|| fleet.url(place))
    }

    async fn publish(
        &self,
        draws: &mut StdRng,
        members: &[Member],
        log: &Arc<DeliveryLog>,
    ) -> Result<(), BenchError> {
        let mut asking = JoinSet::new();
        for publish in 0..self.load.messages + self.load.events {
            if asking.len() >= IN_FLIGHT {
                finish_one(&mut asking).await?;
            }
            let (member, request, deliveries) = self.draw(draws, publish);
            log.expect(publish as usize, deliveries);
            let member = members[member].clone();
            asking.spawn(async move { member.ask(u64::from(publish), request).await });
        }
        finish_all(asking).await
    }

    /// Draws the next publish and its sender: messages and events in turn, until one kind is used
    /// up.
    fn draw(&self, draws: &mut StdRng, publish: u32) -> (usize, serde_json::Value, u32) {
        let load = &self.load;
        let (sender, member) = load.sender(draws);
        let both = 2 * load.messages.min(load.events);
        let is_message =
            if publish < both { publish.is_multiple_of(2) } else { load.messages > load.events };
        if is_message {
            let conversation = format!("user.{}", user_name(load.receiver(sender, draws)));
            let request = json!({"op": "send", "conversation": conversation, "body": publish});
            (member as usize, request, 2 * load.devices - 1)
        } else {
            let subject = format!("topic.t{}.x", draws.random_range(0..load.topics));
            let request = json!({"op": "publish", "subject": subject, "data": publish});
            (member as usize, request, load.topic_subscribers())
        }
    }

    fn row(&self, buckets: u32, counts: Counts, cpu: CpuSplit, log: &DeliveryLog) -> FanoutRow {
        let prediction = self.load.workload(self.nodes, buckets).predict();
        let (node_events, delivered) = (counts.all, log.deliveries());
        let mut setup = self.load.setup(self.nodes, buckets);
        if self.through.is_some() {
            setup.placement = "balancer";
        }
        FanoutRow {
            setup,
            delivered,
            node_events,
            node_events_per_delivery: node_events as f64 / delivered.max(1) as f64,
            predicted: prediction.per_delivery(),
            broadcast: prediction.broadcast_per_delivery(),
            useful_share: counts.useful_share(),
            lost: log.lost(),
            cpu,
        }
    }
}

/// Waits for one answer, which must not be a refusal.
pub(super) async fn finish_one(
    asking: &mut JoinSet<Result<bool, BenchError>>,
) -> Result<(), BenchError> {
    match asking.join_next().await {
        Some(Ok(Ok(true))) | None => Ok(()),
        Some(Ok(Ok(false))) => Err(BenchError::Answer("a publish was refused".into())),
        Some(Ok(Err(error))) => Err(error),
        Some(Err(error)) => Err(BenchError::Answer(error.to_string())),
    }
}

/// Waits for all that are left.
pub(super) async fn finish_all(
    mut asking: JoinSet<Result<bool, BenchError>>,
) -> Result<(), BenchError> {
    while !asking.is_empty() {
        finish_one(&mut asking).await?;
    }
    Ok(())
}
