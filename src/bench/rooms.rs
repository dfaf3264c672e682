//! `bench rooms`: what a room message costs the cluster, by the size of the room, next to a publish
//! to each of its members and to broadcast.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::index::sample;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::backend::Backend;
use super::clients::{ClientRole, LoadTokens, Member, assemble, settle, user_name};
use super::cpu_split::{CpuMeter, CpuSplit, ServersAre};
use super::delivery_log::DeliveryLog;
use super::error::BenchError;
use super::fanout::{finish_all, finish_one};
use super::preflight::{check_redis, check_sockets};
use super::report::TableRow;
use crate::node::{Cluster, ClusterOptions, Node};

/// Most sends that are unanswered at once.
const IN_FLIGHT: usize = 64;

/// A measurement.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// Nodes.
    pub nodes: u32,
    /// Redis shards; without one the nodes are joined in memory.
    pub redis: Vec<String>,
    /// Buckets of each class.
    pub buckets: u32,
    /// Users, whose sessions are on nodes at random.
    pub users: u32,
    /// Sessions per user.
    pub devices: u32,
    /// Rooms of each size.
    pub rooms: u32,
    /// Messages to the rooms of each size.
    pub messages: u32,
    /// Seed of every random draw.
    pub seed: u64,
}

/// What a message to a room of one size cost.
#[derive(Debug, Clone, Serialize)]
pub struct RoomsRow {
    /// Nodes.
    pub nodes: u32,
    /// Members of a room.
    pub members: u32,
    /// Messages.
    pub sent: u32,
    /// Publishes per message.
    pub publishes: f64,
    /// Pushes per message that nodes received from the bus, echoes counted.
    pub node_events: f64,
    /// The two together.
    pub cost: f64,
    /// The same if each member had a separate publish, which only nodes with a session of that
    /// member receive. It is the least that such a fan-out can cost.
    pub cost_by_member: f64,
    /// The same if every node received every message.
    pub cost_by_broadcast: f64,
    /// Deliveries that did not arrive.
    pub lost: u64,
    /// CPU time.
    #[serde(flatten)]
    pub cpu: CpuSplit,
}

impl TableRow for RoomsRow {
    const HEADERS: &'static [&'static str] = &[
        "nodes",
        "members",
        "sent",
        "publishes",
        "node events",
        "together",
        "by member",
        "broadcast",
        "lost",
        CpuSplit::HEADER,
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.nodes.to_string(),
            self.members.to_string(),
            self.sent.to_string(),
            format!("{:.2}", self.publishes),
            format!("{:.2}", self.node_events),
            format!("{:.2}", self.cost),
            format!("{:.2}", self.cost_by_member),
            format!("{:.2}", self.cost_by_broadcast),
            self.lost.to_string(),
            self.cpu.cell(),
        ]
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// The node of every session, and the members of every room.
struct RoomSessions {
    /// The node of each device of each user.
    places: Vec<Vec<usize>>,
    /// The members of each room.
    rooms: Vec<Vec<usize>>,
}

/// What the nodes counted.
struct RoomCounts {
    publishes: u64,
    node_events: u64,
}

impl RoomCounts {
    fn of(nodes: &[Node]) -> Self {
        let sum = |count: fn(&Node) -> u64| nodes.iter().map(count).sum();
        Self {
            // A room message is one publish, to its bucket or to all.
            publishes: sum(|node| node.metrics().shards.bucket_publishes())
                + sum(|node| node.metrics().shards.publishes_to_all.get()),
            node_events: sum(|node| node.metrics().bus.node_events()),
        }
    }
}

impl Rooms {
    /// Refuses rooms with more members than there are users.
    pub fn check(&self, members: u32) -> Result<(), BenchError> {
        if members <= self.users {
            return Ok(());
        }
        let users = self.users;
        Err(BenchError::Input(format!(
            "--members {members}: at most {users}, as many as there are --users"
        )))
    }

    /// Measures one size of rooms on fresh nodes.
    pub async fn run(&self, members: u32) -> Result<RoomsRow, BenchError> {
        self.check(members)?;
        // Both ends of a socket are in this process.
        check_sockets("--users, --devices", self.users as usize * self.devices as usize * 2)?;
        check_redis(&self.redis).await?;
        let directory = tempfile::tempdir()?;
        let plan = ClusterOptions {
            nodes: self.nodes,
            buckets: Some(self.buckets),
            redis: self.redis.clone(),
            unlimited: true,
            unknown_frames: false,
            tables: Vec::new(),
            addresses: Vec::new(),
        };
        let cluster = Cluster::start(&plan, directory.path())?;
        cluster.ready().await?;
        let mut rng = StdRng::seed_from_u64(self.seed);
        let setup = self.setup(members, &mut rng);
        make(&cluster.url(0), &setup.rooms).await?;
        let log = Arc::new(DeliveryLog::new(self.messages as usize));
        let sessions = assemble(Self::roles(&cluster, &setup), &log).await?;
        let (before, cpu) = (RoomCounts::of(&cluster.nodes), CpuMeter::begin(ServersAre::Here)?);
        let by_member = self.send(&setup, &sessions, &log, &mut rng).await?;
        settle(|| log.lost() == 0).await;
        let (after, cpu) = (RoomCounts::of(&cluster.nodes), cpu.end()?);
        drop(sessions);
        cluster.stop().await;
        let each = |count: u64| count as f64 / f64::from(self.messages);
        let publishes = each(after.publishes - before.publishes);
        let node_events = each(after.node_events - before.node_events);
        Ok(RoomsRow {
            nodes: self.nodes,
            members,
            sent: self.messages,
            publishes,
            node_events,
            cost: publishes + node_events,
            cost_by_member: each(by_member),
            cost_by_broadcast: f64::from(1 + self.nodes),
            lost: log.lost(),
            cpu,
        })
    }

    fn setup(&self, members: u32, rng: &mut StdRng) -> RoomSessions {
        let nodes = self.nodes as usize;
        let mut places =
            || (0..self.devices).map(|_| rng.random_range(0..nodes)).collect::<Vec<_>>();
        let places = (0..self.users).map(|_| places()).collect();
        let (users, members) = (self.users as usize, members as usize);
        let rooms = (0..self.rooms).map(|_| sample(rng, users, members).into_vec()).collect();
        RoomSessions { places, rooms }
    }

    fn roles(cluster: &Cluster, setup: &RoomSessions) -> Vec<ClientRole> {
        let tokens = LoadTokens::new();
        let devices = |(user, places): (usize, &Vec<usize>)| {
            let token = tokens.of(&user_name(user as u32));
            let role = |place: &usize| ClientRole {
                url: cluster.url(*place),
                token: token.clone(),
                patterns: Vec::new(),
            };
            places.iter().map(role).collect::<Vec<_>>()
        };
        setup.places.iter().enumerate().flat_map(devices).collect()
    }

    /// Sends the messages, and returns what they would cost by member.
    async fn send(
        &self,
        setup: &RoomSessions,
        sessions: &[Member],
        log: &Arc<DeliveryLog>,
        rng: &mut StdRng,
    ) -> Result<u64, BenchError> {
        let (mut asking, mut by_member) = (JoinSet::new(), 0);
        for message in 0..self.messages {
            if asking.len() >= IN_FLIGHT {
                finish_one(&mut asking).await?;
            }
            let room = rng.random_range(0..setup.rooms.len());
            let members = &setup.rooms[room];
            by_member += members.iter().map(|user| 1 + nodes_of(&setup.places[*user])).sum::<u64>();
            log.expect(message as usize, members.len() as u32 * self.devices - 1);
            let sender = members[rng.random_range(0..members.len())];
            let device =
                sender * self.devices as usize + rng.random_range(0..self.devices as usize);
            let session = sessions[device].clone();
            let conversation = format!("room.r{room}");
            let request = json!({"op": "send", "conversation": conversation, "body": message});
            asking.spawn(async move { session.ask(u64::from(message), request).await });
        }
        finish_all(asking).await?;
        Ok(by_member)
    }
}

/// How many different nodes these places are on.
fn nodes_of(places: &[usize]) -> u64 {
    let mut nodes = places.to_vec();
    nodes.sort_unstable();
    nodes.dedup();
    nodes.len() as u64
}

async fn make(url: &str, rooms: &[Vec<usize>]) -> Result<(), BenchError> {
    let mut backend = Backend::connect(url).await?;
    for (room, members) in rooms.iter().enumerate() {
        backend.put(&format!("/v1/rooms/r{room}"), "{}").await?;
        for member in members {
            backend
                .put(&format!("/v1/rooms/r{room}/members/{}", user_name(*member as u32)), "{}")
                .await?;
        }
    }
    Ok(())
}
