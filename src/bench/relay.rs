//! `bench relay`: CPU per delivery. Events are published to topics that both devices of a user
//! subscribe to, and nothing is stored; or direct messages are sent. Every publish is answered. The
//! servers are processes of their own; Redis reports its own CPU time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;

use super::clients::{ClientRole, LoadTokens, Member, assemble, settle, user_name};
use super::cpu_split::{CpuMeter, ServersAre};
use super::delivery_log::DeliveryLog;
use super::error::BenchError;
use super::fanout::{finish_all, finish_one};
use super::preflight::check_sockets;
use super::process::ServerProcess;
use super::report::TableRow;
use super::usage::RedisServers;

/// Most publishes that are unanswered at once, when the rate is not limited.
const IN_FLIGHT: usize = 256;

/// Sessions per user.
const DEVICES: u32 = 2;

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// An event to a topic that both devices of a user subscribe to.
    Event,
    /// A direct message: to both devices of another user, and the sender's other one.
    Message,
}

impl Payload {
    /// Sessions that receive one publish.
    const fn deliveries(self) -> u32 {
        match self {
            Self::Event => DEVICES,
            Self::Message => 2 * DEVICES - 1,
        }
    }
}

/// A measurement.
#[derive(Debug, Clone)]
pub struct Relay {
    /// Nodes; 0 is the plain loop.
    pub nodes: u32,
    /// Redis shards; without one the nodes are joined in memory.
    pub redis: Vec<String>,
    /// Users, two sessions each, on nodes at random.
    pub users: u32,
    /// What is published.
    pub payload: Payload,
    /// How many.
    pub events: u32,
    /// Whether users have limits.
    pub limits: bool,
    /// Deliveries per second; none is as many as possible.
    pub rate: Option<u32>,
    /// Seed of every random draw.
    pub seed: u64,
}

/// What a delivery cost.
#[derive(Debug, Clone, Serialize)]
pub struct RelayRow {
    /// The server.
    pub server: String,
    /// Redis shards.
    pub shards: usize,
    /// Deliveries per second that were asked for; zero is as many as possible.
    pub rate: u32,
    /// Frames delivered to sessions.
    pub delivered: u64,
    /// Deliveries per second, from the first publish to the last delivery.
    pub delivered_per_s: f64,
    /// Microseconds of CPU per delivery, of the nodes.
    pub nodes_us: f64,
    /// Microseconds of CPU per delivery, of Redis.
    pub redis_us: f64,
    /// Microseconds of CPU per delivery, of the load generator.
    pub generator_us: f64,
    /// Deliveries that did not arrive.
    pub lost: u64,
}

impl TableRow for RelayRow {
    const HEADERS: &'static [&'static str] = &[
        "server",
        "shards",
        "rate",
        "delivered",
        "a second",
        "nodes us",
        "redis us",
        "generator us",
        "lost",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.server.clone(),
            self.shards.to_string(),
            if self.rate == 0 { "full".into() } else { self.rate.to_string() },
            self.delivered.to_string(),
            format!("{:.0}", self.delivered_per_s),
            format!("{:.1}", self.nodes_us),
            format!("{:.1}", self.redis_us),
            format!("{:.1}", self.generator_us),
            self.lost.to_string(),
        ]
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

impl Relay {
    /// Measures once, on a fresh server.
    pub async fn run(&self) -> Result<RelayRow, BenchError> {
        check_sockets("--users", (self.users * DEVICES) as usize)?;
        let server = self.server().await?;
        let redis = RedisServers::new(&self.redis)?;
        let log = Arc::new(DeliveryLog::new(self.events as usize));
        let mut rng = StdRng::seed_from_u64(self.seed);
        let members = assemble(self.roles(&server, &mut rng), &log).await?;
        let cpu = CpuMeter::begin(ServersAre::In(server.pid))?;
        let (redis_cpu, began) = (redis.cpu().await?, Instant::now());
        self.publish(&mut rng, &members, &log).await?;
        settle(|| log.lost() == 0).await;
        // What is waited for in vain takes no time of those that came.
        let (elapsed, cpu) = (log.last_arrival().saturating_duration_since(began), cpu.end()?);
        let redis_cpu = redis.cpu().await?.saturating_sub(redis_cpu);
        server.stop().await?;
        let delivered = log.deliveries();
        let each = |seconds: f64| seconds * 1e6 / delivered.max(1) as f64;
        Ok(RelayRow {
            server: if self.nodes == 0 { "plain".into() } else { format!("{} nodes", self.nodes) },
            shards: redis.count(),
            rate: self.rate.unwrap_or_default(),
            delivered,
            delivered_per_s: per_s(delivered, elapsed),
            nodes_us: each(cpu.servers_cpu_s.unwrap_or_default()),
            redis_us: each(redis_cpu.as_secs_f64()),
            generator_us: each(cpu.generator_cpu_s.unwrap_or_default()),
            lost: log.lost(),
        })
    }

    async fn server(&self) -> Result<ServerProcess, BenchError> {
        if self.nodes == 0 {
            return ServerProcess::start(&["bench".into(), "plain-loop".into()], &[]).await;
        }
        let mut arguments =
            ["demo", "--json", "--listen", "127.0.0.1:0", "--nodes"].map(String::from).to_vec();
        arguments.push(self.nodes.to_string());
        for url in &self.redis {
            arguments.extend(["--redis".into(), url.clone()]);
        }
        ServerProcess::start(&arguments, &[("RATES__LIMIT_USERS", self.limits.to_string())]).await
    }

    fn roles(&self, server: &ServerProcess, rng: &mut StdRng) -> Vec<ClientRole> {
        let (mut roles, tokens) = (Vec::new(), LoadTokens::new());
        for user in 0..self.users {
            let token = tokens.of(&user_name(user));
            for _ in 0..DEVICES {
                roles.push(ClientRole {
                    url: server.urls[rng.random_range(0..server.urls.len())].clone(),
                    token: token.clone(),
                    patterns: vec![format!("topic.u{user}.>")],
                });
            }
        }
        roles
    }

    /// The `event`-th publish, by a device of a user.
    fn request(&self, event: u32, user: u32, rng: &mut StdRng) -> serde_json::Value {
        match self.payload {
            Payload::Event => {
                let subject = format!("topic.u{}.x", rng.random_range(0..self.users));
                json!({"op": "publish", "subject": subject, "data": event})
            }
            Payload::Message => {
                let other = (user + rng.random_range(1..self.users)) % self.users;
                let conversation = format!("user.{}", user_name(other));
                json!({"op": "send", "conversation": conversation, "body": event})
            }
        }
    }

    async fn publish(
        &self,
        rng: &mut StdRng,
        members: &[Member],
        log: &Arc<DeliveryLog>,
    ) -> Result<(), BenchError> {
        let mut asking = JoinSet::new();
        let began = tokio::time::Instant::now();
        for event in 0..self.events {
            if let Some(rate) = self.rate {
                let due = f64::from(event * self.payload.deliveries()) / f64::from(rate);
                tokio::time::sleep_until(began + Duration::from_secs_f64(due)).await;
            }
            if asking.len() >= IN_FLIGHT {
                finish_one(&mut asking).await?;
            }
            let place = rng.random_range(0..members.len());
            let request = self.request(event, place as u32 / DEVICES, rng);
            log.expect(event as usize, self.payload.deliveries());
            let member = members[place].clone();
            asking.spawn(async move { member.ask(u64::from(event), request).await });
        }
        finish_all(asking).await
    }
}

/// Deliveries per second; 0 if there were none.
fn per_s(delivered: u64, elapsed: Duration) -> f64 {
    if delivered == 0 { 0.0 } else { delivered as f64 / elapsed.as_secs_f64() }
}
