//! Bad input: one line that names it, before or instead of load.

use super::load_test::{LoadTest, has_k6, tokens};
use crate::harness::{Demo, RedisServer, free_port};

/// No node is needed: the input is refused before a connection.
fn refused(parameters: &[(&str, &str)], reason: &str) {
    let urls = [format!("ws://127.0.0.1:{}/v1/ws", free_port())];
    let test = LoadTest::new("dm", &urls);
    let given = |test: LoadTest, (name, value): &(&str, &str)| test.with(name, value);
    parameters.iter().fold(test, given).run().assert_refused(reason);
}

#[test]
#[ignore = "needs node"]
fn parameters_out_of_bounds_are_named() {
    refused(&[("RATE", "0")], "RATE is `0`: a whole number of 1 to 1000000 is required");
    refused(&[("RATE", "many")], "RATE is `many`: a whole number");
    refused(&[("DURATION", "3")], "DURATION is `3`: a time such as 500ms, 30s or 5m");
    refused(&[("URL", "http://h/")], "URL names `http://h/`: ws://host:port/v1/ws is required");
    refused(&[("URL", "ws://h:99999/v1/ws")], "URL names `ws://h:99999/v1/ws`: ws://host:port");
    refused(&[("SOCKETS", "61")], "USERS has 60 users, and SOCKETS=61 needs one for each");
    refused(&[("USERS", "")], "USERS is missing: give the output of `narrowcast token");
    refused(&[("USERS", "/nowhere/users.json")], "no such file or directory");
    let room = LoadTest::new("room", &["ws://127.0.0.1:1/v1/ws".to_owned()]).run();
    room.assert_refused("SERVICE is missing: give the output of `narrowcast token load --scope");
}

#[test]
#[ignore = "needs node"]
fn tokens_that_do_not_do_are_named() {
    let with = |text: &str, reason: &str| {
        let test = LoadTest::new("dm", &["ws://127.0.0.1:1/v1/ws".to_owned()]);
        let path = test.file(text);
        test.with("USERS", &path).run().assert_refused(reason);
    };
    let ended = tokens(&["--life", "0"]);
    with(&ended, "USERS, line 1: the token of load-0 ");
    let soon = tokens(&["--life", "60"]);
    with(&soon, "s more, and the run needs 71 s: make tokens anew");
    let good = tokens(&[]);
    let broken = good.replacen("\"user\":\"load-1\"", "\"user\":", 1);
    with(&broken, "USERS, line 2: {\"user\":…,\"token\":…} is required");
    let other = good.replacen("\"user\":\"load-1\"", "\"user\":\"me\"", 1);
    with(&other, "USERS, line 2: the token is of `load-1`, not of me");
    let first = good.lines().next().expect("a line");
    with(&good.replacen('\n', &format!("\n{first}\n"), 1), "line 2: load-0 is on line 1 already");
    let endless = "{\"user\":\"load-0\",\"token\":\"e30.eyJzdWIiOiJsb2FkLTAifQ.s\"}";
    let endless = good.replacen(first, endless, 1);
    with(&endless, "USERS, line 1: the token of load-0 does not say when it expires");
    let empty = good.replacen("\"user\":\"load-1\"", "\"user\":\"\"", 1);
    with(&empty, "USERS, line 2: `user` or `token` is missing");
}

#[test]
#[ignore = "needs node and redis-server"]
fn what_nodes_and_the_system_refuse_is_named() {
    let nowhere = format!("ws://127.0.0.1:{}/v1/ws", free_port());
    for script in ["connect", "dm"] {
        let refused = LoadTest::new(script, std::slice::from_ref(&nowhere)).run();
        refused.assert_refused(&format!("cannot connect to {nowhere} as load-"));
    }
    let redis = RedisServer::start(&[]);
    let demo = Demo::start(1, &[&redis.url()], &[]);
    let urls = [demo.nodes[0].url.clone()];
    let few_files = LoadTest::new("connect", &urls).with("SOCKETS", "60").with_files(50).run();
    few_files.assert_refused("too many open files: lower SOCKETS, or raise `ulimit -n`");

    let rare = LoadTest::new("dm", &urls).with("RATE", "1").with("DURATION", "1s").run();
    rare.assert_refused("RATE is 1: in 1 s that is less than one send of each of 2 virtual users");

    let unwritten = LoadTest::new("dm", &urls).with("SUMMARY", "/nowhere/summary.json").run();
    if !has_k6() {
        unwritten.assert_refused("the summary cannot be written to /nowhere/summary.json");
    }

    let strange = LoadTest::new("dm", &urls);
    let ours = tokens(&[]);
    let path =
        strange.file(&ours.replace("\"token\":\"eyJ0eXAiOiJKV1Qi", "\"token\":\"eyJ0eXAiOiJKV1Qj"));
    strange.with("USERS", &path).run().assert_refused("4001 unauthorized");
}
