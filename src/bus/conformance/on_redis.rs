//! The real bus, and what only a server beyond a network can do.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::redis_server::RedisServer;
use super::{Ear, HEARD_MAX, Listener, PATIENCE, Rig, SHARD, channel, publisher};
use crate::bus::{Bus, BusError, RedisBus, RedisShard};
use crate::redis::{ConnectOptions, RedisUrl, RightsTrial};

pub(super) struct RedisRig(RedisServer);

impl RedisRig {
    pub(super) fn start() -> Self {
        Self(RedisServer::start())
    }
}

impl Rig for RedisRig {
    fn bus(&self) -> Arc<dyn Bus> {
        bus(self.0.url(), PATIENCE)
    }

    fn take_away(&mut self) {
        self.0.kill();
    }

    fn give_back(&mut self) {
        self.0.restart();
    }
}

fn bus(url: String, connect: Duration) -> Arc<dyn Bus> {
    let options = ConnectOptions { connect, keepalive: PATIENCE, user_timeout: PATIENCE };
    let address = url.parse::<RedisUrl>().expect("a URL").into();
    let trial = RightsTrial { channel: channel("trial"), key: Some("nc:suite:l:trial".to_owned()) };
    Arc::new(RedisBus::new(vec![RedisShard { name: "r1".into(), address }], options, trial))
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_batch_is_one_command() {
    let rig = RedisRig::start();
    let channels: Vec<_> = (0..512).map(|n| channel(&n.to_string())).collect();
    let _listener = Listener::of(&rig.bus(), &channels).await;
    // The other one is that of the trial.
    let stats = rig.0.ask("INFO commandstats");
    assert!(stats.contains("cmdstat_ssubscribe:calls=2,"), "{stats}");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_connection_that_the_server_ends_says_so() {
    let rig = RedisRig::start();
    let bus = rig.bus();
    let listener = Listener::of(&bus, &[channel("news")]).await;
    let server = listener.subscription.server().clone();
    rig.0.ask("CLIENT KILL TYPE pubsub");
    timeout(PATIENCE, listener.subscription.closed()).await.expect("it is gone");
    assert_eq!(publisher(&bus).await.server(), &server, "the server is the same");
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_refusal_is_told_with_its_reason() {
    let rig = RedisRig::start();
    rig.0.ask("ACL SETUSER mute on >secret +@all allkeys allchannels");
    let url = rig.0.url().replace("redis://", "redis://mute:secret@");
    let bus = bus(url, PATIENCE);
    let listener = Listener::connect(&bus).await;
    rig.0.ask("ACL SETUSER mute resetchannels");
    let channels = ["a", "b"].map(channel);
    let answer = timeout(PATIENCE, listener.subscription.subscribe(&channels)).await;
    let refused = answer.expect("one refusal answers a command of two channels");
    assert!(
        matches!(&refused, Err(BusError::Refused(why)) if why.contains("no permissions")),
        "{refused:?}"
    );
    let answer = listener.subscription.unsubscribe(&channels).await;
    answer.expect("the connection is as it was");
}

/// The operator's document names each right that a node needs, and a node each that it lacks.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn each_right_of_the_documented_user_is_missed() {
    let rig = RedisRig::start();
    let url = rig.0.url().replace("redis://", "redis://narrowcast:secret@") + "/1";
    let bus = bus(url, PATIENCE);
    let document = include_str!("../../../config/README.md");
    let line = document.lines().find(|line| line.starts_with("ACL SETUSER")).expect("it is there");
    let (user, rights) = line.split_once(" +").expect("it has rights");
    let rights: Vec<String> = format!("+{rights}").split(' ').map(str::to_owned).collect();
    let lacks = async |missing: &[&String]| {
        let granted: Vec<&str> =
            rights.iter().filter(|right| !missing.contains(right)).map(String::as_str).collect();
        let granted = granted.join(" ").replace("<namespace>", "suite");
        rig.0.ask(&format!("{} {granted}", user.replace(" on", " reset on")));
        let (ear, _heard) = mpsc::channel(HEARD_MAX);
        let connecting = bus.subscriber(SHARD, Arc::new(Ear(ear)));
        let answer = timeout(PATIENCE, connecting).await.expect("it is bounded");
        answer.err().map(|error| error.to_string())
    };
    assert!(rights.len() > 10, "{rights:?}");
    for right in &rights {
        let told = lacks(&[right]).await.unwrap_or_else(|| panic!("{right} is not missed"));
        assert_eq!(told, format!("the user lacks {right}: grant it by ACL SETUSER"));
    }
    let some = [&"+evalsha".to_owned(), &"+spublish".to_owned(), &"+ssubscribe".to_owned()];
    let told = lacks(&some).await.expect("they are missed");
    assert!(told.starts_with("the user lacks +evalsha +spublish +ssubscribe: "), "{told}");
    assert_eq!(lacks(&[]).await, None);
}

#[tokio::test]
async fn a_server_that_is_silent_is_unreachable() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let bus = bus(url, Duration::from_millis(100));
    let answer = timeout(PATIENCE, bus.publisher(SHARD)).await.expect("the connection is bounded");
    assert!(matches!(answer.err(), Some(BusError::Unreachable(_))));
}

/// The greeting of a server that accepts a client.
const GREETING: &str = "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";

/// A server in slow motion, since a real one is too fast to be caught between two confirmations. It
/// confirms the first command. It confirms the second one only when the test asks for it, after a
/// push that shows that everything before has been read.
async fn slow_motion(listener: TcpListener, go: oneshot::Receiver<()>) {
    let mut client = BufStream::new(listener.accept().await.unwrap().0);
    let mut commands = 0;
    let mut go = Some(go);
    loop {
        let command = read_command(&mut client).await;
        let answer = match command[0].as_str() {
            "HELLO" => GREETING.to_owned(),
            "INFO" => "$42\r\nredis_version:7.0.15\r\nrun_id:slow-motion\r\n\r\n".to_owned(),
            "SSUBSCRIBE" | "SUNSUBSCRIBE" if command[1].ends_with("trial") => {
                push(&command[0].to_lowercase(), &command[1], ":1\r\n")
            }
            "SSUBSCRIBE" => {
                commands += 1;
                if commands == 2 {
                    write(&mut client, &push("smessage", "marker", "$1\r\n!\r\n")).await;
                    go.take().expect("there are two").await.unwrap();
                }
                let confirm = |channel: &String| push("ssubscribe", channel, ":1\r\n");
                command[1..].iter().map(confirm).collect()
            }
            _ => "+OK\r\n".to_owned(),
        };
        write(&mut client, &answer).await;
    }
}

fn push(kind: &str, channel: &str, last: &str) -> String {
    format!(">3\r\n${}\r\n{kind}\r\n${}\r\n{channel}\r\n{last}", kind.len(), channel.len())
}

async fn write(client: &mut BufStream<TcpStream>, text: &str) {
    client.write_all(text.as_bytes()).await.unwrap();
    client.flush().await.unwrap();
}

/// A command is an array of bulk strings; never returns once the client is gone.
async fn read_command(client: &mut BufStream<TcpStream>) -> Vec<String> {
    let mut parts = Vec::new();
    let count = read_line(client).await[1..].parse().unwrap();
    for _ in 0..count {
        read_line(client).await;
        parts.push(read_line(client).await);
    }
    parts
}

async fn read_line(client: &mut BufStream<TcpStream>) -> String {
    let mut line = String::new();
    if client.read_line(&mut line).await.unwrap_or_default() == 0 {
        std::future::pending::<()>().await;
    }
    line.trim_end().to_owned()
}

#[tokio::test]
async fn no_confirmation_answers_another_command() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (go, told) = oneshot::channel();
    let server = tokio::spawn(slow_motion(listener, told));
    let Listener { subscription, mut heard } = Listener::connect(&bus(url, PATIENCE)).await;
    let of_two = Arc::clone(&subscription);
    let first = tokio::spawn(async move { of_two.subscribe(&["a", "b"].map(channel)).await });
    // So that the first command is the first.
    tokio::task::yield_now().await;
    let one = [channel("c")];
    let mut second = subscription.subscribe(&one);
    tokio::select! {
        biased;
        answer = &mut second => panic!("{answer:?}, but the server has not confirmed it"),
        marker = heard.recv() => assert_eq!(marker.expect("the ear lives").0, "marker"),
    }
    assert_eq!(first.await.unwrap(), Ok(()));
    go.send(()).unwrap();
    assert_eq!(timeout(PATIENCE, second).await.expect("it is confirmed now"), Ok(()));
    server.abort();
}
