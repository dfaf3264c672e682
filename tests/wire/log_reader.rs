//! Whoever reads a node's log may be slow or gone, and its disk full: that costs lines, no node.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use narrowcast::client::Client;

use crate::harness::{Demo, Operator, Process};

const DROPPED: &str = "narrowcast_log_lines_dropped_total";

/// Connections whose lines are more than a pipe and the queue before it hold, in batches.
const BATCHES: usize = 100;
const BATCH: usize = 100;

/// A demo that logs all there is to this stream.
fn talkative(errors: impl Into<Stdio>) -> Demo {
    let mut command: Command = Demo::command(1, &[], &[("TELEMETRY__LOG", "trace")]);
    Demo::of(Process::start_with_errors(&mut command, errors.into()))
}

/// A connection that is worth a line.
fn fail_at(operator: &Operator) {
    let mut stream = TcpStream::connect(operator.address()).expect("the listener is there");
    stream.write_all(b"nonsense\r\n\r\n").expect("it reads");
    stream.read_to_end(&mut Vec::new()).expect("it answers");
}

/// The node is there when lines have been dropped, and ends as it should.
async fn lives_and_ends(mut demo: Demo) {
    let operator = &demo.nodes[0].operator;
    let has_dropped = (0..BATCHES).any(|_| {
        (0..BATCH).for_each(|_| fail_at(operator));
        operator.sample(DROPPED) > 0.0
    });
    assert!(has_dropped, "all lines found room");
    Client::login(&demo.nodes[0].url, &demo.alice).await.expect("the node lives");
    demo.process.signal("TERM");
    assert_eq!(demo.process.code(), Some(0));
}

#[tokio::test]
async fn a_node_outlives_the_reader_of_its_log() {
    let (reader, writer) = pipe().expect("a pipe");
    let demo = talkative(writer);
    drop(reader);
    lives_and_ends(demo).await;
}

#[tokio::test]
async fn a_node_does_not_wait_for_a_reader_that_takes_nothing() {
    let (reader, writer): (PipeReader, _) = pipe().expect("a pipe");
    lives_and_ends(talkative(writer)).await;
    drop(reader);
}

#[tokio::test]
async fn a_node_outlives_a_full_disk_under_its_log() {
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    lives_and_ends(talkative(full)).await;
}
