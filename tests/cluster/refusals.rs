//! A Redis that cannot be used: the command ends by itself, with a message that names the shard
//! and the reason, and no password in it.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

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
fn nobody_and_somebody_from_before_sharded_channels() {
    // Bound and never listening: nobody else can come to listen there meanwhile.
    let held = TcpSocket::new_v4().expect("a socket");
    held.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let nobody = start(&format!("redis://{}", held.local_addr().expect("it is bound")));
    let old = start(&old_redis());
    let said = failure(nobody);
    assert!(said.contains("refused"), "{said}");
    let said = failure(old);
    assert!(said.contains("Redis 6.2.0 is too old"), "{said}");
    assert!(said.contains("needs version 7"), "{said}");
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

/// Answers like a Redis before sharded publish/subscribe. A stand-in, since no such version is at
/// hand: it knows the greeting and INFO in RESP3, which is all that it takes to be told apart.
fn old_redis() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("redis://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_old(stream));
        }
    });
    url
}

/// Ends with its client.
fn serve_old(mut stream: TcpStream) {
    let lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
    // Names of commands are lines of their own; lengths and arguments need no answer.
    for line in lines.map_while(Result::ok) {
        let answer = match line.to_uppercase().as_str() {
            "HELLO" => "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n",
            "INFO" => "$36\r\nredis_version:6.2.0\r\nrun_id:of-old\r\n\r\n",
            "CLIENT" => "-ERR unknown subcommand\r\n",
            _ => continue,
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}
