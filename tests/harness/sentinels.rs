//! A primary with replicas, and three sentinels that watch it, all of a test's own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Process, RedisServer, Reply, Resp, free_port};

/// The name of the master.
pub const MASTER: &str = "mymaster";

/// How many must agree that the primary is down.
const QUORUM: usize = 2;
const SENTINELS: usize = 3;

/// For servers to know each other: sentinels meet by messages that go out every 2 s.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

pub struct Sentinels {
    /// The first one begins as the primary.
    pub servers: Vec<RedisServer>,
    pub sentinels: Vec<Sentinel>,
}

/// One sentinel.
pub struct Sentinel {
    process: Option<Process>,
    port: u16,
    config: PathBuf,
    _directory: tempfile::TempDir,
}

impl Sentinels {
    /// A primary and a replica, and the sentinels, which know each other and both.
    pub fn start() -> Self {
        let primary = RedisServer::start(&["--repl-diskless-sync-delay", "0"]);
        let port = primary.port().to_string();
        let replica = ["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        let replica = RedisServer::start(&replica);
        let linked = || info(replica.port(), "replication").contains("master_link_status:up");
        until("the replica follows", linked);
        let sentinels = (0..SENTINELS).map(|_| Sentinel::of(primary.port(), "")).collect();
        let sentinels = Self { servers: vec![primary, replica], sentinels };
        until("the sentinels are usable", || sentinels.are_usable());
        sentinels
    }

    /// Whether each knows the others and the replica, and may lead a failover.
    fn are_usable(&self) -> bool {
        self.sentinels.iter().all(|sentinel| {
            let master = sentinel.master();
            master.contains(&["num-other-sentinels".to_owned(), (SENTINELS - 1).to_string()])
                && master.contains(&["num-slaves".to_owned(), "1".to_owned()])
                && master.contains(&["flags".to_owned(), "master".to_owned()])
        })
    }

    /// The table of a shard in the configuration of a node.
    pub fn shard(&self) -> String {
        let nodes: Vec<String> = self.sentinels.iter().map(Sentinel::address).collect();
        shard(&nodes, "")
    }

    /// The port of the primary, as most sentinels tell it.
    pub fn primary(&self) -> u16 {
        let told = self.told();
        let most = |port: &&u16| told.iter().filter(|other| other == port).count() * 2 > SENTINELS;
        *told.iter().find(most).unwrap_or(&told[0])
    }

    /// What each of those that run tells.
    pub fn told(&self) -> Vec<u16> {
        let running = self.sentinels.iter().filter(|sentinel| sentinel.process.is_some());
        running.map(Sentinel::primary).collect()
    }

    /// The server of a port, and the others.
    pub fn server(&mut self, port: u16) -> &mut RedisServer {
        self.servers.iter_mut().find(|server| server.port() == port).expect("it is one of these")
    }

    /// Waits until all servers but the primary are replicas that follow it, and the sentinels know.
    pub fn until_healed(&self) {
        let healed = || {
            let primary = self.primary();
            let replicas = self.servers.iter().filter(|server| server.port() != primary);
            let follows = |server: &RedisServer| {
                let info = info(server.port(), "replication");
                info.contains("master_link_status:up") && info.contains(&format!(":{primary}\r"))
            };
            replicas.clone().all(follows) && self.are_usable()
        };
        until("the old primary is a replica", healed);
    }
}

impl Sentinel {
    /// A sentinel of a primary, with more lines of configuration.
    pub fn of(primary: u16, lines: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let (config, port) = (directory.path().join("sentinel.conf"), free_port());
        let text = format!(
            "port {port}\nbind 127.0.0.1\ndir {}\n\
             sentinel monitor {MASTER} 127.0.0.1 {primary} {QUORUM}\n\
             sentinel down-after-milliseconds {MASTER} 500\n\
             sentinel failover-timeout {MASTER} 3000\n{lines}\n",
            directory.path().display(),
        );
        fs::write(&config, text).expect("a file");
        let mut sentinel = Self { process: None, port, config, _directory: directory };
        sentinel.launch();
        sentinel
    }

    /// Starts it, or starts it again with all that it knew.
    pub fn launch(&mut self) {
        let mut command = Command::new("redis-sentinel");
        self.process = Some(Process::start(command.arg(&self.config)));
        let port = self.port;
        until("the sentinel listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    }

    /// Kills it without a goodbye.
    pub fn kill(&mut self) {
        self.process.take().expect("it runs").finish();
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Asks something of it.
    pub fn ask(&self, command: &[&str]) -> Reply {
        Resp::connect(self.port).ask(command)
    }

    /// The port of the primary, as it tells it.
    fn primary(&self) -> u16 {
        match self.ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER]) {
            Reply::List(parts) => match &parts[..] {
                [_, Reply::Text(port)] => port.parse().expect("a port"),
                other => panic!("{other:?} is no address"),
            },
            other => panic!("{other:?} is no address"),
        }
    }

    /// What it knows of the master: names and values.
    fn master(&self) -> Vec<[String; 2]> {
        let Reply::List(parts) = self.ask(&["SENTINEL", "MASTER", MASTER]) else {
            return Vec::new();
        };
        let text = |reply: &Reply| match reply {
            Reply::Text(text) => text.clone(),
            other => panic!("{other:?} is no text"),
        };
        parts.chunks_exact(2).map(|pair| [text(&pair[0]), text(&pair[1])]).collect()
    }
}

/// The table of a shard in the configuration of a node, with more keys of its sentinels.
pub fn shard(nodes: &[String], keys: &str) -> String {
    format!("{{ name = \"r1\", sentinel = {{ master = \"{MASTER}\", nodes = {nodes:?}{keys} }} }}")
}

/// A section of what a server tells of itself.
pub fn info(port: u16, section: &str) -> String {
    match Resp::connect(port).ask(&["INFO", section]) {
        Reply::Text(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + KNOWN_WITHIN;
    while !holds() {
        assert!(Instant::now() < end, "not within {KNOWN_WITHIN:?}: {what}");
        std::thread::sleep(POLL);
    }
}
