//! A process that may open few files, of which its clients take all that they get.

use std::path::Path;

use serde_json::json;

use super::raw::{Raw, text};
use super::serve_by;
use super::tokens::token;
use crate::harness::{Served, eventually};

/// Files that the process may open, and the clients' part of them.
const FILES: u32 = 256;
const CLIENTS: usize = 105;

/// Sessions of one user, beside as many silent connections as find a place for a moment.
const SESSIONS: usize = 70;
const SILENT: usize = 200;

/// Messages, and bytes of each: more than the store keeps in memory.
const MESSAGES: usize = 2400;
const BODY: usize = 7900;

/// Bytes of tables that only a flush of the messages leaves.
const FLUSHED: u64 = 8 << 20;

/// Messages that are sent at once: the default of `limits.sends_in_flight`.
const AT_ONCE: usize = 16;

/// Bytes of the files of tables below a store's directory.
fn table_bytes(directory: &Path) -> u64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            bytes += table_bytes(&path);
        } else if path.parent().is_some_and(|parent| parent.ends_with("tables")) {
            bytes += entry.metadata().map_or(0, |file| file.len());
        }
    }
    bytes
}

fn open_files(served: &Served) -> usize {
    let files = format!("/proc/{}/fd", served.process.id());
    std::fs::read_dir(files).expect("it runs").count()
}

/// Sends all messages: how many were acknowledged.
async fn send_all(session: &mut Raw) -> usize {
    let body = "x".repeat(BODY);
    let frame =
        text(&json!({"op": "send", "id": 1, "conversation": "user.bob", "body": body}).to_string());
    let mut sent = 0;
    for _ in 0..MESSAGES / AT_ONCE {
        session.send(&frame.repeat(AT_ONCE)).await;
        for _ in 0..AT_ONCE {
            session.receive_op("sent").await;
            sent += 1;
        }
    }
    sent
}

#[tokio::test]
async fn clients_that_take_all_files_leave_the_store_enough_to_flush() {
    let start = |config: &Path| Served::with_descriptors(config, FILES);
    let keys = [
        ("timeouts.header_timeout_ms", "60000"),
        ("rates.byte_burst", "1073741824"),
        ("rates.frame_burst", "100000"),
    ];
    let (store, served) = serve_by(start, &keys).await;
    let mut bystander = Raw::greeted(&served.url, &token("carol")).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Raw::greeted(&served.url, &token("mallory")).await);
    }
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(Raw::connect(&served.url).await);
    }
    let connections = || served.operator.sample("narrowcast_connections") as usize;
    eventually("clients have all their places", || connections() == CLIENTS).await;
    assert!(table_bytes(store.path()) < FLUSHED, "nothing is flushed yet");
    assert_eq!(send_all(&mut bystander).await, MESSAGES);
    let is_flushed = || table_bytes(store.path()) > FLUSHED;
    eventually("the store has flushed", is_flushed).await;
    assert_eq!((served.operator.get("/readyz").0, connections()), (200, CLIENTS));
    assert_eq!(served.operator.sample("narrowcast_accept_errors_total") as u64, 0);
    let open = open_files(&served);
    assert!(open > CLIENTS && open < FILES as usize, "{open}");
    sessions[0].send(&text(r#"{"op":"ping"}"#)).await;
    sessions[0].receive_op("pong").await;
}
