//! What strikes one node: clients that flood it or do not read, and a machine that has no more to
//! give. Each fault has a node of its own.

use std::collections::VecDeque;
use std::io::{PipeReader, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use narrowcast::client::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::alarms::talkers::Talkers;
use crate::alarms::watch::Watch;
use crate::cluster::chat::{login, publish, send, subscribe};
use crate::harness::{Demo, Process, Served, eventually, free_port, token};
use crate::wire::full_disk::{inside, supervisor, until_refused};
use crate::wire::raw::{Raw, text};
use crate::wire::{serve_by, with_own_ports};

pub const ALERTS: [&str; 10] = [
    "NarrowcastNodeNotReady",
    "NarrowcastStoreFailing",
    "NarrowcastWorkerOverflows",
    "NarrowcastEventsShed",
    "NarrowcastOutboxNearlyFull",
    "NarrowcastSendsRefused",
    "NarrowcastConnectionsDropped",
    "NarrowcastAcceptErrors",
    "NarrowcastDescriptorsNearlyOut",
    "NarrowcastLogLinesDropped",
];

/// How long an alert may take: ten minutes in faster time, twice.
const SOON: Duration = Duration::from_secs(80);

/// Between two steps of a flood, so that there are some hundred in the range of a rule.
const STEP: Duration = Duration::from_millis(100);

/// Few places for connections without a token, and few of a worker's queue: less of a flood fills
/// them.
const FEW_PLACES: (&str, &str) = ("listen.handshakes", "16");
const FEW_QUEUED: (&str, &str) = ("LIMITS__WORKER_QUEUE", "16");

/// Large frames fill outboxes with less work. Clients that read nothing, pings included, stay: by
/// default each is gone after 10 s, and others would have to follow.
const LARGE: [(&str, &str); 7] = [
    ("limits.body_bytes", "262144"),
    ("limits.data_bytes", "262144"),
    ("limits.frame_bytes", "300000"),
    ("limits.outbox_bytes", "8388608"),
    ("timeouts.write_stall_timeout_ms", "300000"),
    ("timeouts.ping_ms", "600000"),
    ("rates.byte_burst", "1073741824"),
];
const LARGE_BODY: usize = 250_000;

/// Clients that do not read: 8 MiB of each are more than `limits.node_outbox_bytes`.
const SLOW: usize = 40;

/// 85 % of the default of `limits.node_outbox_bytes`.
const NEARLY_FULL: u64 = (256 << 20) / 100 * 85;

/// Nodes, each for a fault of its own. The directories come last, as they are dropped in this order.
struct Scene {
    limited: Served,
    crowded: Served,
    slow: Served,
    few_files: FewFiles,
    silent_log: Demo,
    /// Kept open: a reader that is gone is another fault.
    log: PipeReader,
    few_queued: Demo,
    full: FullDisk,
    watch: Watch,
    _stores: Vec<TempDir>,
}

/// A node that is started again by its configuration.
struct FewFiles {
    node: Served,
    config: PathBuf,
}

/// A node on a small file system, whose supervisor starts it again.
struct FullDisk {
    node: Served,
    ballast: PathBuf,
}

impl Scene {
    async fn set() -> Self {
        let (first, limited) = serve_by(Served::with_rates, &[]).await;
        let (second, crowded) = serve_by(Served::start, &[FEW_PLACES]).await;
        let (third, slow) = serve_by(Served::start, &LARGE).await;
        let (fourth, few_files) = FewFiles::start().await;
        let (fifth, full) = FullDisk::start().await;
        let (log, silent_log) = without_reader();
        let few_queued = Demo::start(2, &[], &[FEW_QUEUED]);
        let served = [&limited, &crowded, &slow, &few_files.node, &full.node];
        let served = served.map(|served| &served.operator);
        let demos = [&silent_log, &few_queued].into_iter().flat_map(|demo| &demo.nodes);
        let operators = served.into_iter().chain(demos.map(|node| &node.operator));
        let targets: Vec<String> =
            operators.map(|operator| operator.address().to_owned()).collect();
        let watch = Watch::start(&targets).await;
        Self {
            limited,
            crowded,
            slow,
            few_files,
            silent_log,
            log,
            few_queued,
            full,
            watch,
            _stores: vec![first, second, third, fourth, fifth],
        }
    }
}

/// Writes a configuration with a port for operators where Prometheus finds the node again.
fn with_lasting_port(home: &TempDir, store: &Path) -> PathBuf {
    let operator = format!("\"127.0.0.1:{}\"", free_port());
    with_own_ports(home.path(), store, &[("listen.operator", operator.as_str())])
}

impl FewFiles {
    async fn start() -> (TempDir, Self) {
        let home = tempfile::tempdir().expect("a directory");
        let config = with_lasting_port(&home, &home.path().join("data"));
        let node = Served::start(&config);
        is_ready(&node).await;
        (home, Self { node, config })
    }

    /// A supervisor does it where the store found no descriptor, by which the node ends with 75.
    async fn restart(&mut self) {
        self.node.process.finish();
        self.node = Served::start(&self.config);
        is_ready(&self.node).await;
    }
}

impl FullDisk {
    async fn start() -> (TempDir, Self) {
        let home = tempfile::tempdir().expect("a directory");
        let disk = home.path().join("disk");
        std::fs::create_dir(&disk).expect("a directory");
        let config = with_lasting_port(&home, &disk.join("data"));
        let node = Served::of(supervisor(&disk, &config));
        let ballast = inside(&node.process, &disk.join("ballast"));
        is_ready(&node).await;
        (home, Self { node, ballast })
    }
}

async fn is_ready(node: &Served) {
    eventually("the node is ready", || node.operator.get("/readyz").0 == 200).await;
}

/// Logs all there is to a pipe without a reader.
fn without_reader() -> (PipeReader, Demo) {
    let (reader, writer) = pipe().expect("a pipe");
    let mut command: Command = Demo::command(1, &[], &[("TELEMETRY__LOG", "trace")]);
    let demo = Demo::of(Process::start_with_errors(&mut command, Stdio::from(writer)));
    (reader, demo)
}

#[tokio::test]
#[ignore = "needs prometheus, and takes minutes"]
async fn floods_slow_clients_and_a_machine_without_room_fire_alerts() {
    let mut scene = Scene::set().await;
    scene.watch.is_calm(Duration::from_secs(10)).await;
    overflow_queue(&mut scene).await;
    lose_log_reader(&mut scene).await;
    run_out_of_files(&mut scene).await;
    fill_disk(&mut scene).await;
    drop_connections(&mut scene).await;
    refuse_sends(&mut scene).await;
    fill_outboxes(&mut scene).await;
    scene.watch.end().await;
}

/// Repeats a step until all alerts of the fault have fired.
async fn flood(watch: &mut Watch, mut step: impl AsyncFnMut()) {
    let until = Instant::now() + SOON;
    while !watch.have_fired().await {
        if Instant::now() > until {
            // It says what is missing.
            watch.fire(Duration::ZERO).await;
        }
        step().await;
        tokio::time::sleep(STEP).await;
    }
}

async fn overflow_queue(scene: &mut Scene) {
    let nodes = &scene.few_queued.nodes;
    let mut bob = login(&nodes[0].url, &token("bob")).await;
    subscribe(&mut bob, "topic.t.>").await;
    let mut alice = Raw::greeted(&nodes[1].url, &token("alice")).await;
    let event = text(&json!({"op": "publish", "subject": "topic.t.x", "data": 1}).to_string());
    let burst = event.repeat(200);
    let name = "events in bursts of 200 for a worker that queues 16";
    scene.watch.expect(name, &["NarrowcastWorkerOverflows"]).await;
    flood(&mut scene.watch, async || alice.send(&burst).await).await;
    scene.watch.heal();
}

async fn lose_log_reader(scene: &mut Scene) {
    let name = "nobody reads the log, at level trace";
    scene.watch.expect(name, &["NarrowcastLogLinesDropped"]).await;
    let _talkers = Talkers::start(&[scene.silent_log.nodes[0].url.clone()], 30);
    scene.watch.fire(SOON).await;
    // It is read again, for as long as the node logs.
    let mut log = scene.log.try_clone().expect("a handle");
    std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    scene.watch.heal();
}

fn open_files(served: &Served) -> usize {
    let files = format!("/proc/{}/fd", served.process.id());
    std::fs::read_dir(files).expect("it runs").count()
}

/// Changes how many files a running node may open.
fn limit_files(served: &Served, files: usize) {
    let mut command = Command::new("prlimit");
    command.args(["--pid", &served.process.id().to_string(), &format!("--nofile={files}:")]);
    let done = Process::run(&mut command);
    assert_eq!(done.code, Some(0), "{}", done.errors);
}

async fn run_out_of_files(scene: &mut Scene) {
    let node = &scene.few_files.node;
    let mut clients = Vec::new();
    for number in 0..150 {
        clients.push(login(&node.url, &token(&format!("user{number}"))).await);
    }
    let name = "its limit is lowered to 5 % above its open files";
    scene.watch.expect(name, &["NarrowcastDescriptorsNearlyOut"]).await;
    limit_files(node, open_files(node) * 105 / 100);
    scene.watch.fire(SOON).await;
    scene.watch.heal();

    let name = "its limit is lowered below its open files";
    scene.watch.expect(name, &["NarrowcastAcceptErrors"]).await;
    limit_files(node, open_files(node) - 1);
    let mut newcomers = Vec::new();
    for _ in 0..3 {
        newcomers.push(Raw::connect(&node.url).await);
    }
    scene.watch.fire(SOON).await;
    scene.few_files.restart().await;
    scene.watch.heal();
}

async fn fill_disk(scene: &mut Scene) {
    let node = &scene.full.node;
    let mut alice = login(&node.url, &token("alice")).await;
    until_refused(&mut alice).await;
    let alerts = ["NarrowcastStoreFailing", "NarrowcastNodeNotReady"];
    scene.watch.expect("the disk of the embedded store is full", &alerts).await;
    let request = json!({"op": "send", "conversation": "user.bob", "body": "x"});
    flood(&mut scene.watch, async || {
        alice.ask(request.clone()).await.expect("an answer");
    })
    .await;
    std::fs::remove_file(&scene.full.ballast).expect("room is made");
    scene.watch.heal();
}

async fn drop_connections(scene: &mut Scene) {
    let mut open = VecDeque::new();
    let name = "clients connect and say nothing";
    scene.watch.expect(name, &["NarrowcastConnectionsDropped"]).await;
    flood(&mut scene.watch, async || {
        for _ in 0..4 {
            open.push_back(Raw::connect(&scene.crowded.url).await);
        }
        while open.len() > 64 {
            open.pop_front();
        }
    })
    .await;
    scene.watch.heal();
}

async fn refuse_sends(scene: &mut Scene) {
    let client = login(&scene.limited.url, &token("alice")).await;
    let (mut source, sink) = client.into_halves();
    let read = tokio::spawn(async move { while source.next().await.is_ok() {} });
    let request = json!({"op": "send", "conversation": "user.bob", "body": "x"}).to_string();
    let name = "a user sends 400 messages a second";
    scene.watch.expect(name, &["NarrowcastSendsRefused"]).await;
    flood(&mut scene.watch, async || {
        for _ in 0..40 {
            sink.send(&request).await.expect("the session goes on");
        }
    })
    .await;
    scene.watch.heal();
    read.abort();
}

async fn fill_outboxes(scene: &mut Scene) {
    let node = &scene.slow;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut client = Raw::cramped(&node.url, &token("bob")).await;
        let subscribe = json!({"op": "subscribe", "id": 1, "patterns": ["topic.t.>"]});
        client.send(&text(&subscribe.to_string())).await;
        client.receive_op("ok").await;
        slow.push(client);
    }
    let mut alice: Client = login(&node.url, &token("alice")).await;
    let filler: Value = "x".repeat(LARGE_BODY).into();
    let name = "40 clients do not read events";
    scene.watch.expect(name, &["NarrowcastEventsShed"]).await;
    flood(&mut scene.watch, async || publish(&mut alice, "topic.t.x", filler.clone()).await).await;
    scene.watch.heal();

    let name = "40 clients do not read messages";
    scene.watch.expect(name, &["NarrowcastOutboxNearlyFull"]).await;
    flood(&mut scene.watch, async || {
        if node.operator.metric("narrowcast_outbox_bytes") < NEARLY_FULL {
            send(&mut alice, "bob", filler.clone()).await;
        }
    })
    .await;
    drop(slow);
    scene.watch.heal();
}
