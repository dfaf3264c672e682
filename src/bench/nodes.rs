//! The nodes of a measurement: in this process, or running processes.

use std::str::FromStr;

use super::error::BenchError;
use crate::client::http_get;
use crate::monitor::Samples;
use crate::node::{Cluster, ClusterOptions, Node};
use crate::telemetry::Received;

/// A running node, as `ws://…/v1/ws,http://…`: where clients connect, and its operator's listener.
#[derive(Debug, Clone)]
pub struct RunningNode {
    /// Where clients connect.
    pub(super) url: String,
    /// Its operator's listener, as `host:port`.
    pub(super) operator: String,
}

impl FromStr for RunningNode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(',').and_then(|(url, operator)| {
            Some((url.strip_prefix("ws://")?, operator.strip_prefix("http://")?))
        });
        let (url, operator) = parts.ok_or("it must be `ws://HOST:PORT/v1/ws,http://HOST:PORT`")?;
        let operator = operator.trim_end_matches('/');
        for (scheme, rest) in [("ws", url), ("http", operator)] {
            let authority = rest.split('/').next().unwrap_or_default();
            if port_of(authority).is_none() {
                return Err(format!("{scheme}://{authority}: the port is missing"));
            }
        }
        Ok(Self { url: format!("ws://{url}"), operator: operator.to_owned() })
    }
}

impl RunningNode {
    /// Asks its operator's listener for its metrics.
    pub(super) async fn samples(&self) -> Result<Samples, BenchError> {
        let (status, text) = http_get(&self.operator, "/metrics").await?;
        if status == 200 {
            return Ok(Samples::read(&text));
        }
        let operator = &self.operator;
        Err(BenchError::Answer(format!("http://{operator}/metrics: it answers {status}")))
    }
}

/// The port of `host:port`, if it is one that a server can have.
pub(super) fn port_of(authority: &str) -> Option<u16> {
    authority.rsplit_once(':')?.1.parse().ok().filter(|port| *port > 0)
}

/// Nodes.
pub(super) enum Nodes {
    /// In this process, with the directory of their store, which is deleted with them.
    Own { cluster: Cluster, directory: tempfile::TempDir },
    /// Elsewhere.
    Running(Vec<RunningNode>),
}

/// Pushes that nodes received from the bus so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) all: u64,
    pub(super) echo: u64,
    pub(super) useful: u64,
}

impl Counts {
    /// What came since `before`. A node that was started again meanwhile counts from 0.
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            all: self.all.saturating_sub(before.all),
            echo: self.echo.saturating_sub(before.echo),
            useful: self.useful.saturating_sub(before.useful),
        }
    }

    /// The sum of two.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            all: self.all + other.all,
            echo: self.echo + other.echo,
            useful: self.useful + other.useful,
        }
    }

    /// Useful pushes among those received, echoes left out.
    pub(super) fn useful_share(self) -> f64 {
        let others = self.all.saturating_sub(self.echo);
        if others == 0 { 1.0 } else { self.useful as f64 / others as f64 }
    }

    /// Adds what a node received from the bus.
    pub(super) fn add_samples(&mut self, samples: &Samples) {
        for (outcome, count) in samples.by_first_label("narrowcast_bus_received_total") {
            self.add(outcome, count as u64);
        }
    }

    fn add(&mut self, outcome: &str, count: u64) {
        self.all += count;
        match outcome {
            "echo" => self.echo += count,
            "useful" => self.useful += count,
            _ => {}
        }
    }

    fn of(nodes: &[Node]) -> Self {
        let sum = |count: &dyn Fn(&Node) -> u64| nodes.iter().map(count).sum();
        Self {
            all: sum(&|node| node.metrics().bus.node_events()),
            echo: sum(&|node| node.metrics().bus.received_so_far(Received::Echo)),
            useful: sum(&|node| node.metrics().bus.received_so_far(Received::Useful)),
        }
    }
}

impl Nodes {
    /// Starts nodes in this process, and waits until they are ready.
    pub(super) async fn start(plan: &ClusterOptions) -> Result<Self, BenchError> {
        let directory = tempfile::tempdir()?;
        let cluster = Cluster::start(plan, directory.path())?;
        cluster.ready().await?;
        Ok(Self::Own { cluster, directory })
    }

    /// Where clients of a node connect.
    pub(super) fn url(&self, node: usize) -> String {
        match self {
            Self::Own { cluster, .. } => cluster.url(node),
            Self::Running(nodes) => nodes[node].url.clone(),
        }
    }

    /// What the nodes counted.
    pub(super) async fn counts(&self) -> Result<Counts, BenchError> {
        match self {
            Self::Own { cluster, .. } => Ok(Counts::of(&cluster.nodes)),
            Self::Running(nodes) => {
                let mut counts = Counts::default();
                for node in nodes {
                    counts.add_samples(&node.samples().await?);
                }
                Ok(counts)
            }
        }
    }

    /// Stops the nodes of this process.
    pub(super) async fn stop(self) {
        if let Self::Own { cluster, directory } = self {
            cluster.stop().await;
            drop(directory);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_running_node_is_two_addresses() {
        let node: RunningNode = "ws://127.0.0.1:1/v1/ws,http://127.0.0.1:2".parse().unwrap();
        assert_eq!((&*node.url, &*node.operator), ("ws://127.0.0.1:1/v1/ws", "127.0.0.1:2"));
        for wrong in ["", "ws://a/v1/ws", "http://a,ws://b", "ws://a http://b", "ws://a:1,http://b"]
        {
            assert!(wrong.parse::<RunningNode>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_are_read_by_outcome() {
        let mut counts = Counts::default();
        let text = "# TYPE x counter\nnarrowcast_bus_received_total{outcome=\"useful\",class=\"user\"} 7\n\
                    narrowcast_bus_received_total{outcome=\"echo\",class=\"user\"} 2\n\
                    narrowcast_bus_received_total{outcome=\"wasted\",class=\"room\"} 3\nother 9\n";
        counts.add_samples(&Samples::read(text));
        assert_eq!((counts.all, counts.echo, counts.useful), (12, 2, 7));
        assert!((counts.useful_share() - 0.7).abs() < 1e-9);
    }

    #[test]
    fn a_node_that_was_started_again_counts_for_nothing() {
        let before = Counts { all: 12, echo: 2, useful: 7 };
        let since = Counts { all: 5, echo: 5, useful: 0 }.since(before);
        assert_eq!((since.all, since.echo, since.useful), (0, 3, 0));
        assert!((since.useful_share() - 1.0).abs() < 1e-9);
    }

    #[tokio::test]
    async fn an_error_is_no_count_of_zero() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operator = listener.local_addr().unwrap().to_string();
        let node = RunningNode { url: String::new(), operator: operator.clone() };
        let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 1\r\n\r\n0";
        let (samples, ()) = tokio::join!(node.samples(), async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            stream.write_all(answer).await.unwrap();
        });
        let error = samples.unwrap_err().to_string();
        assert_eq!(error, format!("http://{operator}/metrics: it answers 503"));
    }
}
