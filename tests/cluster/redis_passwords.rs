//! Passwords of shards: from URLs and from files, with any characters, and never printed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use tempfile::TempDir;

use super::chat::{body, login, send};
use super::redis_health::documented_user;
use crate::harness::{Demo, Process, RedisServer, Reply, Resp, eventually};

/// What a URL would take for something else.
const PASSWORD: &str = "p@s:s/w#r%41?d";

/// The same, as a URL spells it.
const ENCODED: &str = "p%40s%3As%2Fw%23r%2541%3Fd";

const RENEWED: &str = " another one: @/# ";

/// A Redis whose user has this password, and a connection as its operator.
fn redis() -> (RedisServer, Resp) {
    let redis = RedisServer::start(&[]);
    let mut operator = Resp::connect(redis.port());
    let user = documented_user().into_iter();
    let user: Vec<String> =
        user.map(|word| word.replace(">secret", &format!(">{PASSWORD}"))).collect();
    operator.ask(&user);
    (redis, operator)
}

/// A file for its owner alone.
fn secret_file(directory: &TempDir, content: &str) -> String {
    let path = directory.path().join("password");
    fs::write(&path, content).expect("it can be written");
    fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("it is ours");
    path.display().to_string()
}

async fn talks(demo: &Demo) {
    let mut alice = login(&demo.nodes[0].url, &demo.alice).await;
    let mut bob = login(&demo.nodes[1].url, &demo.bob).await;
    send(&mut alice, "bob", json!("it works")).await;
    assert_eq!(body(&mut bob).await, "it works");
}

/// All that nodes said, which must not hold a password.
fn said(mut demo: Demo) -> String {
    let said = demo.process.finish() + &demo.process.output();
    for secret in [PASSWORD, ENCODED, RENEWED, RENEWED.trim()] {
        assert!(!said.contains(secret), "a password is in the log");
    }
    said
}

const KEYS: [(&str, &str); 2] = [("TELEMETRY__LOG", "trace"), ("RATES__LIMIT_USERS", "true")];

#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_url_spells_it_by_percents_and_names_a_database() {
    let (redis, mut operator) = redis();
    let url = format!("redis://narrowcast:{ENCODED}@127.0.0.1:{}/3", redis.port());
    let demo = Demo::start(2, &[&url], &KEYS);
    talks(&demo).await;
    let Reply::Text(clients) = operator.ask(&["CLIENT", "LIST"]) else { panic!("a text") };
    let ours: Vec<&str> =
        clients.lines().filter(|line| line.contains(" user=narrowcast ")).collect();
    assert!(ours.len() > 4, "links and limiters: {clients}");
    assert!(ours.iter().all(|line| line.contains(" db=3 ")), "{clients}");
    said(demo);
}

/// The password is changed under running nodes, and its file is away for a while.
#[tokio::test]
#[ignore = "needs redis-server"]
async fn a_file_is_read_again_at_each_reconnect() {
    let ((redis, mut operator), directory) = (redis(), tempfile::tempdir().expect("a directory"));
    let file = secret_file(&directory, &format!("{PASSWORD}\n"));
    let access = [("REDIS__USERNAME", "narrowcast"), ("REDIS__PASSWORD_FILE", file.as_str())];
    let demo = Demo::start(2, &[&redis.url()], &[&access[..], &KEYS].concat());
    talks(&demo).await;
    let told = |part: &str| {
        let (_, verdict, reasons) = demo.nodes[1].operator.readiness();
        verdict == "degraded" && reasons.contains(part)
    };
    let mut renew = |password: &str| {
        operator.ask(&["ACL", "SETUSER", "narrowcast", "resetpass", password]);
        operator.ask(&["CLIENT", "KILL", "USER", "narrowcast"]);
    };
    renew(&format!(">{RENEWED}"));
    eventually("the old one is refused", || told("invalid username-password pair")).await;
    fs::remove_file(&file).expect("it was there");
    eventually("the file is missed", || told(&format!("password_file {file}: cannot be read")))
        .await;
    fs::write(&file, "").expect("it can be written");
    eventually("it is empty", || told("a secret of 1 to 4096 bytes is required")).await;
    fs::write(&file, RENEWED).expect("it can be written");
    for node in &demo.nodes {
        eventually("it is up again", || node.operator.readiness().1 == "ready").await;
    }
    talks(&demo).await;
    said(demo);
}

#[test]
fn a_file_that_is_of_no_use_is_a_mistake_of_the_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing").display().to_string();
    let file = secret_file(&directory, "");
    let check = |text: &str| {
        let path = directory.path().join("n.toml");
        fs::write(&path, text).expect("it can be written");
        let mut command = Process::narrowcast();
        let ended = Process::run(command.args(["check-config", "--config"]).arg(path));
        (ended.code, ended.output + &ended.errors)
    };
    let shared = |file: &str| format!("redis.password_file = {file:?}");
    for (text, part) in [
        (shared(&missing), format!("redis.password_file = {missing:?}: cannot be read: No such")),
        (shared(&file), format!("redis.password_file = {file:?}: a secret of 1 to 4096 bytes")),
        (shared("/dev/zero"), "this one has more".to_owned()),
        (shared("hunter2@hunter2"), "redis.password_file = MASKED: cannot be read".to_owned()),
        (
            format!(
                "layouts.a.redis = [{{ name = \"r\", url = \"redis://h\", password_file = {missing:?} }}]"
            ),
            format!("layouts.a.redis[0].password_file = {missing:?}: cannot be read"),
        ),
        (
            format!("store = {{ username = \"u\", password_file = {missing:?} }}"),
            format!("store.password_file = {missing:?}: cannot be read"),
        ),
    ] {
        let (code, said) = check(&text);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&part), "{part}: {said}");
    }
}
