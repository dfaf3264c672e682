//! A Redis that cannot be used: the command ends by itself, with a message that names the shard
//! and the reason, and no password in it.

use tokio::net::TcpSocket;

use super::chat::{bodies_until, login, send};
use crate::harness::{Demo, Process, RedisServer};

/// A command that is going to fail. It tries for a while, so those of a test run side by side.
fn start(url: &str) -> Process {
    Process::start(&mut Demo::command(2, &[url], &[]))
}

/// What the command says, on both its outputs, when it has failed.
pub fn failure(mut process: Process) -> String {
    let (code, errors) = process.wait();
    let said = errors + &process.output();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("narrowcast: not ready: shard r1: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[test]
fn no_server_at_all() {
    // Bound and never listening: nobody else can come to listen there meanwhile.
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let said = failure(start(&format!("redis://{}", held.local_addr().expect("it is bound"))));
    assert!(said.contains("refused"), "{said}");
}

#[test]
#[ignore = "needs redis-server"]
fn wrong_and_missing_passwords_and_permissions() {
    let acl = ["--user", "mute", "on", ">the-mute-one", "+@all", "resetchannels"];
    let redis = RedisServer::start(&[&["--requirepass", "the-right-one"], &acl[..]].concat());
    let at = format!("127.0.0.1:{}", redis.port());
    let wrong = start(&format!("redis://:the-wrong-one@{at}"));
    let missing = start(&redis.url());
    let mute = start(&format!("redis://mute:the-mute-one@{at}"));
    for (process, reason) in [
        (wrong, "invalid username-password pair"),
        (missing, "NOAUTH"),
        (mute, "the user lacks &nc:<namespace>:*"),
    ] {
        let said = failure(process);
        assert!(said.to_lowercase().contains(&reason.to_lowercase()), "{said}");
        for secret in ["the-wrong-one", "the-mute-one", "the-right-one"] {
            assert!(!said.contains(secret), "a password is in the log");
        }
    }
}

#[tokio::test]
#[ignore = "needs redis-server"]
async fn the_right_password() {
    let redis = RedisServer::start(&["--requirepass", "the-right-one"]);
    let url = format!("redis://:the-right-one@127.0.0.1:{}", redis.port());
    let mut demo = Demo::start(2, &[&url], &[("TELEMETRY__LOG", "trace")]);
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut bob = login(&demo.nodes[1].url, &demo.bob).await;
    send(&mut alice, "bob", "Hi!".into()).await;
    assert_eq!(bodies_until(&mut bob, &"Hi!".into()).await, ["Hi!"]);
    let said = demo.process.finish() + &demo.process.output();
    assert!(said.contains("shard r1 is connected"), "{said}");
    assert!(!said.contains("the-right-one"), "a password is in the log");
}
