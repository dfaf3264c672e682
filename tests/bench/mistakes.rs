//! Bad input: one line that names it, and exit code 2.

use std::path::Path;

use super::load_run::LoadRun;
use crate::harness::{Demo, Process, free_port, serve_connections};

fn refused(options: &[(&str, &str)], reason: &str) {
    let urls = [format!("ws://127.0.0.1:{}/v1/ws", free_port())];
    let given = |run: LoadRun, (name, value): &(&str, &str)| run.with(name, value);
    options.iter().fold(LoadRun::new(&urls), given).run().assert_refused(reason);
}

fn tokens(options: &[&str]) -> String {
    let mut command = Process::narrowcast();
    let made = Process::run(command.args(["token", "load-{0..19}", "--json"]).args(options));
    assert_eq!(made.code, Some(0), "{}", made.errors);
    made.output
}

#[test]
fn options_out_of_bounds_are_named() {
    refused(&[("--rate", "0")], "invalid value '0' for '--rate <RATE>': 0 is not in 1..=100000");
    refused(&[("--rate", "many")], "invalid value 'many' for '--rate <RATE>'");
    refused(&[("--seconds", "3601")], "3601 is not in 1..=3600");
    refused(&[("--users", "1")], "1 is not in 2..=100000");
    refused(&[("--mix", "dm=0,topic=0")], "all weights are 0");
    refused(&[("--mix", "chat=1")], "there is no kind `chat`: dm, room, topic, history and join");
    refused(&[("--pid", "7")], "it must be LABEL=PID");
    refused(&[("--pid", "node=0")], "--pid node: process 0: ");
    refused(&[("--url", "http://h/")], "it must be `ws://…/v1/ws`");
    let nowhere = format!("redis://127.0.0.1:{}", free_port());
    refused(&[("--redis", &nowhere)], "--redis 127.0.0.1:");
    refused(&[("--redis", "ftp://h")], "redis:// or rediss:// is required");
    let one_room = [("--mix", "join=1"), ("--room-members", "20")];
    refused(&one_room, "--users 20 with --room-members 20 make one room");
}

#[test]
fn users_that_do_not_do_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.json");
    let with = |text: &str, options: &[(&str, &str)], reason: &str| {
        std::fs::write(&path, text).expect("a file");
        let file = [("--users-file", path.to_str().expect("UTF-8"))];
        refused(&[&file, options].concat(), reason);
    };
    let good = tokens(&[]);
    with(&good, &[("--users", "21")], "has 20 users, and 21 are needed");
    with(&good, &[("--mix", "room=1")], "--service is missing: a mix with `room` or `join` needs");
    with(&tokens(&["--life", "0"]), &[], "line 1: the token of load-0 ");
    with(&tokens(&["--life", "60"]), &[], "and the run needs 70 s: make tokens anew");
    with("{}", &[], "has 1 users, and 20 are needed");
    with(&good.replacen("\"user\":\"load-1\"", "\"user\":", 1), &[], "line 2: {\"user\":…");
    refused(
        &[("--users-file", "/nowhere/users.json")],
        "--users-file: /nowhere/users.json: No such",
    );
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn what_nodes_and_the_system_refuse_is_named() {
    let nowhere = format!("ws://127.0.0.1:{}/v1/ws", free_port());
    let refused = LoadRun::new(std::slice::from_ref(&nowhere)).run();
    refused.assert_refused(&format!("cannot connect to {nowhere} as load-"));
    assert_eq!(refused.errors.lines().count(), 1, "{refused}");
    let rooms = LoadRun::new(std::slice::from_ref(&nowhere)).with("--mix", "room=1").run();
    rooms.assert_refused(&format!("cannot connect to {nowhere} to make rooms: "));

    let few = LoadRun::new(&[nowhere]).with("--users", "60").with_files(100).run();
    few.assert_refused("--users, --devices: 60 sockets are more than 36, which the limit of 100 ");

    let demo = Demo::start(1, &[], &[]);
    let urls = [demo.nodes[0].url.clone()];
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("users.json");
    // An algorithm that no node knows.
    let ours = tokens(&[]);
    let strange = ours.replace("\"token\":\"eyJ0eXAiOiJKV1Qi", "\"token\":\"eyJ0eXAiOiJKV1Qj");
    std::fs::write(&path, strange).expect("a file");
    let run = LoadRun::new(&urls).with("--users-file", path.to_str().expect("UTF-8"));
    run.run().assert_refused("4001");
}

#[test]
fn a_node_that_never_answers_is_named() {
    let address = serve_connections(|mut stream| {
        // It ends with its client.
        let _ended = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let url = format!("ws://{address}/v1/ws");
    let rooms = LoadRun::new(std::slice::from_ref(&url)).with("--mix", "room=1").run();
    rooms.assert_refused(&format!("cannot make rooms at {url}: /v1/rooms/load-"));
    rooms.assert_refused("no answer within 10s");
    assert_eq!(rooms.errors.lines().count(), 1, "{rooms}");
}
