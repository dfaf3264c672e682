//! What signals do to commands, and what those that were ended leave behind.

use std::path::Path;
use std::process::Command;

use narrowcast::client::Client;

use super::serve_with;
use super::tokens::token;
use crate::harness::{Demo, Process};

fn entries(directory: &Path) -> Vec<std::ffi::OsString> {
    let entries = std::fs::read_dir(directory).expect("the directory is there");
    entries.map(|entry| entry.expect("it can be read").file_name()).collect()
}

/// A command to which signals do what they do at a terminal, wherever the tests run.
fn at_a_terminal(command: &Command) -> Command {
    let mut env = Command::new("env");
    env.arg("--default-signal=HUP,INT,QUIT,TERM").arg(command.get_program());
    env.args(command.get_args());
    env.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    env
}

#[tokio::test]
async fn a_served_node_outlives_hangups_and_says_so() {
    let (_store, mut served) = serve_with(&[]).await;
    for _ in 0..2 {
        served.process.signal("HUP");
        served.process.error_line(|line| line.contains("SIGHUP changes nothing").then_some(()));
    }
    Client::login(&served.url, &token("alice")).await.expect("it is let in");
    served.process.signal("TERM");
    assert_eq!(served.process.wait().0, Some(0));
}

/// Whatever a terminal sends, its end included.
#[test]
fn a_demo_leaves_nothing_behind() {
    for signal in ["HUP", "INT", "QUIT", "TERM"] {
        let temporary = tempfile::tempdir().expect("a directory");
        let mut command = at_a_terminal(&Demo::command(2, &[], &[]));
        let mut demo = Demo::of(Process::start(command.env("TMPDIR", temporary.path())));
        assert_eq!(entries(temporary.path()).len(), 1, "its store");
        demo.process.signal(signal);
        let (code, errors) = demo.process.wait();
        assert_eq!(code, Some(0), "{signal}: {errors}");
        assert_eq!(entries(temporary.path()), [""; 0], "{signal}");
    }
}

/// As `nohup` asks.
#[test]
fn a_demo_outlives_hangups_where_it_is_asked_to() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        r#"trap "" HUP; exec "$0" demo --listen 127.0.0.1:0 --json"#,
        env!("CARGO_BIN_EXE_narrowcast"),
    ]);
    let mut demo = Demo::of(Process::start(&mut command));
    demo.process.signal("HUP");
    assert_eq!(demo.nodes[0].operator.get("/healthz").0, 200);
    assert!(demo.process.is_running());
    demo.process.signal("TERM");
    assert_eq!(demo.process.wait().0, Some(0));
}

/// The nodes of a measurement are processes and directories: both go with it.
#[test]
fn a_measurement_leaves_nothing_behind() {
    for signal in ["HUP", "INT", "TERM"] {
        let temporary = tempfile::tempdir().expect("a directory");
        let arguments = ["bench", "relay", "--nodes", "1,1", "--users", "2", "--rate", "100"];
        let mut command = Process::narrowcast();
        command.args(arguments).args(["--events", "100", "--rounds", "100", "--json"]);
        let mut command = at_a_terminal(&command);
        let mut bench = Process::start(command.env("TMPDIR", temporary.path()));
        bench.line();
        bench.signal(signal);
        let (code, errors) = bench.wait();
        assert_eq!(code, Some(1), "{signal}: {errors}");
        assert_eq!(errors, "narrowcast: ended by a signal\n");
        assert_eq!(entries(temporary.path()), [""; 0], "{signal}");
    }
}
