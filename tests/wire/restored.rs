//! A store that was restored from a backup: what was sent after the backup is lost, and devices hold
//! cursors from then.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::tokens::token;
use super::{serve_with, with_own_ports};
use crate::cluster::chat::{history, login, send};
use crate::cluster::resume::resume;
use crate::harness::{Finished, Process, Served, eventually};

fn copied(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(status.expect("cp is there").success());
}

fn retag(config: &Path) -> Finished {
    let mut command = Process::narrowcast();
    Process::run(command.args(["store", "retag", "--config"]).arg(config))
}

fn end(mut served: Served) {
    served.process.signal("TERM");
    assert_eq!(served.process.wait().0, Some(0));
}

async fn started(config: &Path) -> Served {
    let served = Served::start(config);
    eventually("the node is ready", || served.operator.get("/readyz").0 == 200).await;
    served
}

#[tokio::test]
async fn a_restored_store_believes_no_cursor_from_after_the_backup() {
    let (home, served) = serve_with(&[]).await;
    let (config, data) = (home.path().join("narrowcast.toml"), home.path().join("data"));
    let backup = home.path().join("backup");
    let mut alice = login(&served.url, &token("alice")).await;
    send(&mut alice, "bob", json!("kept")).await;
    let old = resume(&served.url, &token("bob"), None).await.text();
    drop(alice);
    end(served);
    copied(&data, &backup);

    let served = started(&config).await;
    let in_use = retag(&config);
    assert_eq!(in_use.code, Some(1));
    assert!(in_use.errors.contains("in use already"), "{}", in_use.errors);
    let mut alice = login(&served.url, &token("alice")).await;
    send(&mut alice, "bob", json!("lost")).await;
    let future = resume(&served.url, &token("bob"), Some(&old)).await;
    assert!(future.missed.contains(&json!("lost")), "one device has it: {:?}", future.missed);
    let future = future.text();
    drop(alice);
    end(served);

    std::fs::remove_dir_all(&data).expect("it is there");
    copied(&backup, &data);
    let retagged = retag(&config);
    assert_eq!(retagged.code, Some(0), "{}", retagged.errors);
    assert!(retagged.output.starts_with("the store was "), "{}", retagged.output);
    let served = started(&config).await;
    for cursor in [&old, &future] {
        let back = resume(&served.url, &token("bob"), Some(cursor)).await;
        back.assert_not_resumed("other_store");
    }
    let mut alice = login(&served.url, &token("alice")).await;
    let bodies: Vec<_> =
        history(&mut alice, "bob").await.into_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies, ["kept"]);
    let fresh = resume(&served.url, &token("bob"), None).await.text();
    send(&mut alice, "bob", json!("after")).await;
    let back = resume(&served.url, &token("bob"), Some(&fresh)).await;
    back.assert_whole();
    assert!(back.missed.contains(&json!("after")), "{:?}", back.missed);

    // Control: without the command a cursor of the lost future is believed.
    drop(back.client);
    drop(alice);
    end(served);
    let copy = home.path().join("copy");
    copied(&backup, &copy);
    let served = started(&with_own_ports(home.path(), &copy, &[])).await;
    let believed = resume(&served.url, &token("bob"), Some(&future)).await;
    assert_eq!(believed.cursor["resumed"], true, "and the loss is told to no device");
}

#[test]
fn a_directory_without_a_store_gets_none() {
    let home = tempfile::tempdir().expect("a directory");
    let config = with_own_ports(home.path(), &home.path().join("none"), &[]);
    let refused = retag(&config);
    assert_eq!(refused.code, Some(1), "{}", refused.output);
    assert!(refused.errors.contains("neither empty nor a store"), "{}", refused.errors);
    assert!(!home.path().join("none").exists());
}
