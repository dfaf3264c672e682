//! `bench crowd`: what a room with very many sessions on one node costs another session there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, timeout_at};

use super::backend::Backend;
use super::clients::{LoadTokens, settle};
use super::cpu_split::{CpuMeter, CpuSplit, ServersAre};
use super::error::BenchError;
use super::latency::{LatencyPercentiles, LatencyRecorder};
use super::preflight::check_sockets;
use super::process::ServerProcess;
use super::report::TableRow;
use super::timer::ExactTimer;
use crate::client::Client;

/// The room.
const ROOM: &str = "crowd";

/// Connections over which members are added.
const AT_ONCE: usize = 32;

/// Between two messages of the bystander.
const PROBE_EVERY: Duration = Duration::from_millis(20);

/// How long a probe may be under way.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// A measurement.
#[derive(Debug, Clone)]
pub struct LargeRoom {
    /// Members of the room, with one session each, on one node.
    pub members: usize,
    /// How long each load lasts.
    pub seconds: u64,
    /// Messages to the room per second.
    pub per_s: f64,
    /// Event loops of the node.
    pub workers: u32,
}

/// What the bystander measured.
#[derive(Debug, Clone, Serialize)]
pub struct LargeRoomRow {
    /// The other load.
    pub load: String,
    /// Messages to the room.
    pub sent: u64,
    /// Frames delivered to its members.
    pub delivered: u64,
    /// Messages of the bystander.
    pub probes: u64,
    /// From the intended time of the bystander's send to the friend's receipt.
    #[serde(flatten)]
    pub latencies: LatencyPercentiles,
    /// CPU time.
    #[serde(flatten)]
    pub cpu: CpuSplit,
}

impl TableRow for LargeRoomRow {
    const HEADERS: &'static [&'static str] = &[
        "load                 ",
        "sent",
        "delivered",
        "probes",
        "p50 ms",
        "p99 ms",
        "max ms",
        CpuSplit::HEADER,
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.load.clone(),
            self.sent.to_string(),
            self.delivered.to_string(),
            self.probes.to_string(),
            millis(self.latencies.p50_us),
            millis(self.latencies.p99_us),
            millis(self.latencies.max_us),
            self.cpu.cell(),
        ]
    }
}

fn millis(micros: u64) -> String {
    format!("{:.2}", micros as f64 / 1000.0)
}

impl LargeRoom {
    /// Measures without the crowd's messages, then with them.
    pub async fn run(&self) -> Result<Vec<LargeRoomRow>, BenchError> {
        check_sockets("--members", self.members)?;
        let arguments = ["demo", "--json", "--listen", "127.0.0.1:0"].map(String::from);
        let server =
            ServerProcess::start(&arguments, &[("WORKERS", self.workers.to_string())]).await?;
        let url = server.urls[0].clone();
        self.make_room(&url).await?;
        let heard = Arc::new(AtomicU64::new(0));
        let crowd = self.connect(&url, &heard).await?;
        let tokens = LoadTokens::new();
        let mut speaker = Client::login(&url, &tokens.of(&name(0))).await?;
        let quiet = self.measure(&server, &heard, None).await?;
        let busy = self.measure(&server, &heard, Some(&mut speaker)).await?;
        drop(crowd);
        server.stop().await?;
        Ok(vec![quiet, busy])
    }

    async fn make_room(&self, url: &str) -> Result<(), BenchError> {
        let mut backend = Backend::connect(url).await?;
        backend.put(&format!("/v1/rooms/{ROOM}"), r#"{"title":"Crowd"}"#).await?;
        let mut adding = JoinSet::new();
        for lane in 0..AT_ONCE {
            let (url, members) = (url.to_owned(), self.members);
            adding.spawn(async move {
                let mut backend = Backend::connect(&url).await?;
                for index in (lane..members).step_by(AT_ONCE) {
                    let path = format!("/v1/rooms/{ROOM}/members/{}", name(index));
                    backend.put(&path, "{}").await?;
                }
                Ok::<_, BenchError>(())
            });
        }
        while let Some(added) = adding.join_next().await {
            added.map_err(|error| BenchError::Answer(error.to_string()))??;
        }
        Ok(())
    }

    /// Connects the members; the frames that they receive are counted.
    async fn connect(&self, url: &str, heard: &Arc<AtomicU64>) -> Result<JoinSet<()>, BenchError> {
        let mut crowd = JoinSet::new();
        let tokens = LoadTokens::new();
        for index in 0..self.members {
            let mut client = Client::login(url, &tokens.of(&name(index))).await?;
            let heard = Arc::clone(heard);
            crowd.spawn(async move {
                while let Ok(frame) = client.next().await {
                    heard.fetch_add(u64::from(frame["op"] == "message"), Ordering::Relaxed);
                }
            });
        }
        Ok(crowd)
    }

    /// The bystander writes to a friend, while the speaker, if there is one, writes to the crowd.
    async fn measure(
        &self,
        server: &ServerProcess,
        heard: &Arc<AtomicU64>,
        speaker: Option<&mut Client>,
    ) -> Result<LargeRoomRow, BenchError> {
        let before = heard.load(Ordering::Relaxed);
        let cpu = CpuMeter::begin(ServersAre::In(server.pid))?;
        let is_busy = speaker.is_some();
        let until = Instant::now() + Duration::from_secs(self.seconds);
        let probing = tokio::spawn(probe(server.urls[0].clone(), until));
        let sent = match speaker {
            Some(speaker) => self.speak(speaker, until).await?,
            None => 0,
        };
        let waits = probing.await.map_err(|error| BenchError::Answer(error.to_string()))??;
        let due = before + sent * self.members as u64;
        settle(|| heard.load(Ordering::Relaxed) >= due).await;
        let load =
            if is_busy { format!("{} members receive", self.members) } else { "quiet".into() };
        Ok(LargeRoomRow {
            load,
            sent,
            delivered: heard.load(Ordering::Relaxed) - before,
            probes: waits.count(),
            latencies: waits.percentiles(),
            cpu: cpu.end()?,
        })
    }

    async fn speak(&self, speaker: &mut Client, until: Instant) -> Result<u64, BenchError> {
        let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / self.per_s));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = 0;
        // The next message may be due long after the end.
        while Instant::now() < until && timeout_at(until, ticks.tick()).await.is_ok() {
            let request =
                json!({"op": "send", "conversation": format!("room.{ROOM}"), "body": messages});
            let answer = speaker.ask(request).await?;
            if answer["op"] != "sent" {
                return Err(BenchError::Answer(answer.to_string()));
            }
            messages += 1;
        }
        Ok(messages)
    }
}

/// Writes to a friend, one message at a time, until a time. Returns how long after its intended time
/// each was received: one that waits for the message before it is late as well.
async fn probe(url: String, until: Instant) -> Result<LatencyRecorder, BenchError> {
    let tokens = LoadTokens::new();
    let mut bystander = Client::login(&url, &tokens.of("bystander")).await?;
    let mut friend = Client::login(&url, &tokens.of("friend")).await?;
    let (mut timer, mut waits) = (ExactTimer::new()?, LatencyRecorder::new());
    let mut intended = Instant::now();
    while intended < until {
        timer.sleep(intended.saturating_duration_since(Instant::now())).await?;
        let request = json!({"op": "send", "conversation": "user.friend", "body": waits.count()});
        let answer = bystander.ask(request).await?;
        if answer["op"] != "sent" {
            return Err(BenchError::Answer(answer.to_string()));
        }
        while friend.next_within(PROBE_TIMEOUT).await?["op"] != "message" {}
        waits.record(intended.elapsed());
        intended += PROBE_EVERY;
    }
    Ok(waits)
}

fn name(index: usize) -> String {
    format!("member-{index}")
}
