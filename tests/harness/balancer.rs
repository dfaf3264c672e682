//! A load balancer by a file that is shipped, in front of the nodes of a test.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{PATIENCE, Process, free_port, haproxy, nginx};

/// Between two looks at whether it listens.
const POLL: Duration = Duration::from_millis(10);

pub struct Balancer {
    process: Process,
    port: u16,
    _directory: tempfile::TempDir,
}

impl Balancer {
    /// HAProxy in front of nodes, each `host:port`.
    pub fn haproxy(nodes: &[String]) -> Self {
        Self::haproxy_with(nodes, "", |file| file)
    }

    /// The same, with more rules for requests, and with a file that is changed besides.
    pub fn haproxy_with(nodes: &[String], rules: &str, change: fn(String) -> String) -> Self {
        Self::start(|directory, port| {
            let path = directory.join("haproxy.cfg");
            std::fs::write(&path, change(haproxy::file(nodes, port, rules))).expect("a file");
            let mut command = Command::new("haproxy");
            command.args(haproxy::arguments(path.to_str().expect("UTF-8")));
            command
        })
    }

    /// nginx in front of nodes, each `host:port`.
    pub fn nginx(nodes: &[String]) -> Self {
        Self::start(|directory, port| {
            let path = directory.join("nginx.conf");
            std::fs::write(&path, nginx::file(nodes, port, directory)).expect("a file");
            let mut command = Command::new("nginx");
            command.args(["-g", &nginx::directives(directory), "-e", "stderr", "-c"]).arg(path);
            command
        })
    }

    /// Starts it on a free port; it listens when this returns.
    fn start(command: impl FnOnce(&Path, u16) -> Command) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let port = free_port();
        // Its log has a line for each session.
        let mut process =
            Process::start_with_output(&mut command(directory.path(), port), Stdio::null());
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let is_late = Instant::now() > until || !process.is_running();
            assert!(!is_late, "it does not listen: {}", process.finish());
            std::thread::sleep(POLL);
        }
        Self { process, port, _directory: directory }
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}/v1/ws", self.port)
    }

    /// Waits until HAProxy says this of the node of a number, from 1 on: `UP` or `DOWN`.
    pub fn notices(&mut self, node: usize, state: &str) {
        let wanted = format!("placed/n{node} is {state}");
        self.process.error_line(|line| line.contains(&wanted).then_some(()));
    }

    /// Ends it: what it said about nodes.
    pub fn end(mut self) -> String {
        self.process.finish()
    }
}
