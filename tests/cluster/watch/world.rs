//! Redis servers and nodes for a fault to strike.

use super::proxy::Proxy;
use crate::harness::{Demo, Operator, RedisServer};

/// Nodes: two on either side of a split.
pub const NODES: usize = 4;

/// Where nodes run, and what can be done to them from outside.
pub trait Nodes {
    /// Where clients connect, by node.
    fn urls(&self) -> Vec<String>;

    /// Where the operator asks, by node.
    fn operators(&self) -> Vec<Operator>;

    /// Sends a signal to the process of a node, by its name (`STOP` for example). Nodes that
    /// share a process share its fate.
    fn signal(&self, node: usize, name: &str);

    /// Ends all nodes as an operator would, and panics if they did not end well.
    fn end(self: Box<Self>);
}

/// Nodes of one process.
impl Nodes for Demo {
    fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(|node| node.url.clone()).collect()
    }

    fn operators(&self) -> Vec<Operator> {
        self.nodes.iter().map(|node| node.operator.clone()).collect()
    }

    fn signal(&self, _node: usize, name: &str) {
        self.process.signal(name);
    }

    fn end(mut self: Box<Self>) {
        self.process.signal("TERM");
        let (code, errors) = self.process.wait();
        assert_eq!(code, Some(0), "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    }
}

/// A second primary for the first shard, and the ways by which nodes can be led to it.
pub struct Split {
    pub proxy: Proxy,
    pub second: RedisServer,
}

/// Redis servers and nodes.
pub struct World {
    pub redis: Vec<RedisServer>,
    pub split: Option<Split>,
    pub nodes: Box<dyn Nodes>,
}

impl World {
    /// So many shards, each reached directly.
    pub fn set(shards: usize) -> Self {
        let redis: Vec<RedisServer> = (0..shards).map(|_| RedisServer::start(&[])).collect();
        let nodes = demo(redis.iter().map(RedisServer::url).collect());
        Self { redis, split: None, nodes }
    }

    /// The same, the first shard reached by a way of each node's own.
    pub fn set_to_split(shards: usize) -> Self {
        let redis: Vec<RedisServer> = (0..shards).map(|_| RedisServer::start(&[])).collect();
        let proxy = Proxy::start(NODES, redis[0].port());
        let direct = redis[1..].iter().map(RedisServer::url);
        let nodes = demo(std::iter::once(proxy.url()).chain(direct).collect());
        let split = Some(Split { proxy, second: RedisServer::start(&[]) });
        Self { redis, split, nodes }
    }

    /// The end of the nodes, in good order.
    pub fn end(self) {
        self.nodes.end();
    }
}

fn demo(urls: Vec<String>) -> Box<dyn Nodes> {
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    // A run may leave more behind a cursor than a resume sends: what it would name as a gap is not
    // what is judged here.
    let all = [("REPAIR__CONVERSATION_MESSAGES", "10000"), ("REPAIR__RESUME_MESSAGES", "100000")];
    Box::new(Demo::start(NODES, &urls, &all))
}
