//! What keeps a node from the primary is told, one reason for each sentinel.

use std::path::Path;
use std::sync::Arc;

use narrowcast::config::Config;
use narrowcast::node::{Node, NodeOptions, open_store, redis_bus};
use narrowcast::store::Store;

use super::until_heard_by;
use crate::harness::sentinels::{MASTER, shard};
use crate::harness::{
    Authority, Certificate, FalseSentinel, RedisServer, Resp, Sentinel, eventually, free_port,
};

/// A node of this process on one shard.
struct Lone {
    node: Node,
    store: Arc<dyn Store>,
}

impl Lone {
    fn start(shard: &str, directory: &Path) -> Self {
        let text = format!(
            "[listen]\nclients = \"127.0.0.1:0\"\noperator = \"127.0.0.1:0\"\n\
             [layouts.a]\nredis = [{shard}]\n"
        );
        let config = Arc::new(Config::load(Some(&text), []).expect("it is within its bounds"));
        let store = open_store(&config, directory).expect("a store");
        let (bus, machine) = (redis_bus(&config), narrowcast::clock::MachineClock::default());
        let plan = NodeOptions { config, bus, store: Arc::clone(&store), machine };
        Self { node: Node::start(&plan).expect("it starts"), store }
    }

    /// Waits until the reasons against it hold all of these texts; returns them.
    async fn says(&self, texts: &[String]) -> String {
        let mut said = String::new();
        let mut says = || {
            let reasons = self.node.readiness().verdict().1;
            said = reasons.into_iter().map(|reason| reason.detail + "\n").collect();
            texts.iter().all(|text| said.contains(text))
        };
        let waited = tokio::time::timeout(crate::harness::PATIENCE, async {
            while !says() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        let is_said = waited.await.is_ok();
        assert!(is_said, "{texts:#?} in {said}");
        said
    }

    async fn is_ready(&self) {
        eventually("it is ready", || self.node.readiness().verdict().1.is_empty()).await;
    }

    async fn stop(self) {
        self.node.stop().await;
        self.store.close().await;
    }
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn each_sentinel_has_its_reason() {
    let directory = tempfile::tempdir().expect("a directory");
    let primary = RedisServer::start(&[]);
    let replicaof = ["--replicaof", "127.0.0.1", &primary.port().to_string()];
    let replica = RedisServer::start(&replicaof);
    let to_replica = FalseSentinel::naming("127.0.0.1", &replica.port().to_string());
    let nobody = free_port().to_string();
    let to_nobody = FalseSentinel::naming("127.0.0.1", &nobody);
    let garbage = FalseSentinel::answering("+OK\r\n");
    let address = FalseSentinel::naming("not a host", "6379");
    let ignorant = FalseSentinel::answering("*-1\r\n");
    let guarded = Sentinel::of(primary.port(), "requirepass right");
    let down = format!("127.0.0.1:{}", free_port());
    let plain = format!("127.0.0.1:{}", primary.port());
    let sentinels = [
        to_replica.address(),
        to_nobody.address(),
        garbage.address(),
        address.address(),
        ignorant.address(),
        guarded.address(),
        down.clone(),
        plain.clone(),
    ];
    let node = Lone::start(&shard(&sentinels, ""), directory.path());
    let reasons = [
        format!("no primary of master \"{MASTER}\""),
        format!("{} names 127.0.0.1:{}: it is a replica", to_replica.address(), replica.port()),
        format!("{} names 127.0.0.1:{nobody}: Connection refused", to_nobody.address()),
        format!("{}: its answer is no address", garbage.address()),
        format!("{}: its answer is no address", address.address()),
        format!("{}: it knows no master \"{MASTER}\"", ignorant.address()),
        format!("{}: \"NOAUTH\": HELLO must be called", guarded.address()),
        format!("{down}: Connection refused"),
        format!("{plain}: it is no sentinel"),
    ];
    node.says(&reasons).await;
    node.stop().await;
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn sentinels_and_servers_have_passwords_of_their_own() {
    let primary = RedisServer::start(&["--requirepass", "redis@:/#%secret"]);
    let lines =
        format!("requirepass sentinel@secret\nsentinel auth-pass {MASTER} redis@:/#%secret");
    let sentinel = Sentinel::of(primary.port(), &lines);
    let with = |sentinels: &str, server: &str| {
        let keys = format!(", password = \"{sentinels}\"");
        shard(&[sentinel.address()], &keys).replacen(
            '{',
            &format!("{{ password = \"{server}\","),
            1,
        )
    };
    for (given, reason) in [
        (with("hunter2", "redis@:/#%secret"), "sentinel"),
        (with("sentinel@secret", "hunter2"), "names"),
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let node = Lone::start(&given, directory.path());
        let said = node.says(&[reason.to_owned(), "assword".to_owned()]).await;
        assert!(!said.contains("hunter2") && !said.contains("secret"), "{said}");
        node.stop().await;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let node = Lone::start(&with("sentinel@secret", "redis@:/#%secret"), directory.path());
    node.is_ready().await;
    node.stop().await;
}

/// The lines of a configuration, of a Redis or a sentinel, by which it takes TLS on a port.
fn tls(port: u16, authority: &Authority) -> Vec<String> {
    let Certificate { file, key } = authority.issue("127.0.0.1");
    let ca = authority.file();
    vec![
        format!("tls-port {port}"),
        format!("tls-cert-file {file}"),
        format!("tls-key-file {key}"),
        format!("tls-ca-cert-file {ca}"),
        "tls-auth-clients no".to_owned(),
    ]
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn sentinels_and_servers_may_have_tls_and_their_passwords_in_files() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().expect("a directory"));
    let secret = |name: &str, text: &str| {
        let file = directory.path().join(name);
        std::fs::write(&file, format!("{text}\n")).expect("it can be written");
        format!("tls = true, ca_file = {:?}, password_file = {file:?}", authority.file())
    };
    let [of_primary, of_sentinel] = [free_port(), free_port()];
    let lines = tls(of_primary, &authority).join(" ");
    let arguments: Vec<&str> = lines.split(' ').collect();
    let options: Vec<String> = arguments
        .chunks_exact(2)
        .flat_map(|pair| [format!("--{}", pair[0]), pair[1].to_owned()])
        .chain(["--requirepass", "redis-secret"].map(str::to_owned))
        .collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let _primary = RedisServer::start(&options);
    let mut lines = tls(of_sentinel, &authority);
    lines.push("tls-replication yes\nrequirepass sentinel-secret".to_owned());
    lines.push(format!("sentinel auth-pass {MASTER} redis-secret"));
    let _sentinel = Sentinel::of(of_primary, &lines.join("\n"));
    let keys = format!(", {}", secret("sentinel", "sentinel-secret"));
    let keys = shard(&[format!("127.0.0.1:{of_sentinel}")], &keys);
    let own = format!("{{ {},", secret("primary", "redis-secret"));
    let node = Lone::start(&keys.replacen('{', &own, 1), &directory.path().join("store"));
    node.is_ready().await;
    node.stop().await;
}

#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_node_gets_in_when_its_sentinels_come() {
    let directory = tempfile::tempdir().expect("a directory");
    let primary = RedisServer::start(&[]);
    let mut sentinel = Sentinel::of(primary.port(), "");
    sentinel.kill();
    let node = Lone::start(&shard(&[sentinel.address()], ""), directory.path());
    node.says(&[format!("sentinel {}: Connection refused", sentinel.address())]).await;
    sentinel.launch();
    node.is_ready().await;
    node.stop().await;
}

/// The number of the failover stays the same, as with sentinels that were set up anew: nothing else
/// would make a node look again.
#[tokio::test]
#[ignore = "needs redis-sentinel"]
async fn a_new_primary_that_refuses_at_first_is_tried_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let old = RedisServer::start(&[]);
    let replicaof = ["--replicaof", "127.0.0.1", &old.port().to_string()];
    let new = RedisServer::start(&replicaof);
    let sentinel = FalseSentinel::naming("127.0.0.1", &old.port().to_string());
    let node = Lone::start(&shard(&[sentinel.address()], ""), directory.path());
    node.is_ready().await;
    let mut ask = Resp::connect(new.port());
    let before = ask.calls("hello");
    sentinel.name("127.0.0.1", &new.port().to_string());
    eventually("it is tried twice", || ask.calls("hello") >= before + 2).await;
    ask.ask(&["REPLICAOF", "NO", "ONE"]);
    until_heard_by(new.port(), 1).await;
    node.is_ready().await;
    node.stop().await;
}
