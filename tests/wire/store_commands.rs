//! `store check` and `store salvage`, on the files that a node left.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::tokens::token;
use super::{serve_with, with_own_ports};
use crate::cluster::chat::{history, login, send};
use crate::harness::{Finished, Process, Served, eventually};

fn store(config: &Path, arguments: &[&str]) -> Finished {
    let mut command = Process::narrowcast();
    command.arg("store").args(arguments).arg("--config").arg(config);
    Process::run(&mut command)
}

#[tokio::test]
async fn a_damaged_store_is_told_saved_and_served_again() {
    let (home, mut served) = serve_with(&[]).await;
    let (config, data) = (home.path().join("narrowcast.toml"), home.path().join("data"));
    let mut alice = login(&served.url, &token("alice")).await;
    for body in ["first", "damaged", "third"] {
        send(&mut alice, "bob", json!(body)).await;
    }
    drop(alice);
    let in_use = store(&config, &["check"]);
    assert_eq!(in_use.code, Some(1));
    assert!(in_use.errors.contains("in use already"), "{}", in_use.errors);
    served.process.signal("TERM");
    assert_eq!(served.process.wait().0, Some(0));
    let whole = store(&config, &["check"]);
    assert_eq!(whole.code, Some(0), "{}", whole.errors);
    assert!(whole.output.contains("messages: 3 rows\n"), "{}", whole.output);

    let journal = data.join("0.jnl");
    let mut bytes = fs::read(&journal).expect("it is there");
    let body = b"\"damaged\"";
    let at = bytes.windows(body.len()).position(|window| window == body).expect("it is there");
    bytes[at] = b'X';
    fs::write(&journal, bytes).expect("it is written");
    let found = store(&config, &["check"]);
    assert_eq!(found.code, Some(1));
    assert!(found.output.starts_with("wrong: `0.jnl`: bytes "), "{}", found.output);
    let mut refused = Process::narrowcast();
    let refused = Process::run(refused.args(["serve", "--config"]).arg(&config));
    assert_eq!(refused.code, Some(1));
    assert!(refused.errors.contains("narrowcast store salvage"), "{}", refused.errors);

    let copy = home.path().join("copy");
    let saved = store(&config, &["salvage", "--to", copy.to_str().expect("UTF-8")]);
    assert_eq!(saved.code, Some(0), "{}", saved.errors);
    let told =
        ["messages: 2 rows\n", "lost: `0.jnl`: bytes "].map(|part| saved.output.contains(part));
    assert_eq!(told, [true; 2], "{}", saved.output);
    let served = Served::start(&with_own_ports(home.path(), &copy, &[]));
    eventually("the node is ready", || served.operator.get("/readyz").0 == 200).await;
    let mut alice = login(&served.url, &token("alice")).await;
    let bodies: Vec<_> =
        history(&mut alice, "bob").await.into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["first", "third"]);
}
