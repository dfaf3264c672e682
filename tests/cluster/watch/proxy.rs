//! A way to a Redis for each node of its own, so that nodes can be parted.

use std::ops::Range;
use std::thread::JoinHandle;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::harness::free_port;

/// A way to a Redis for each node: node `n` goes by 127.0.0.`n`.
pub struct Proxy {
    port: u16,
    targets: Vec<watch::Sender<u16>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Ways for so many nodes, all to the server on a port of this machine. They have a thread of
    /// their own, so that they work while a test waits for something else.
    pub fn start(nodes: usize, target: u16) -> Self {
        let port = free_port();
        let (targets, doors): (Vec<_>, Vec<_>) =
            (1..=nodes).map(|node| door(node, port, target)).unzip();
        let thread = Some(std::thread::spawn(move || serve(doors)));
        Self { port, targets, thread }
    }

    /// The address, with a place for the node's number.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.{{node}}:{}", self.port)
    }

    /// Leads nodes (from 0 on) to another server, and cuts what connections they have.
    pub fn point(&self, nodes: Range<usize>, target: u16) {
        for way in &self.targets[nodes] {
            way.send_replace(target);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.targets.clear();
        if let Some(thread) = self.thread.take() {
            // A panic in there shows as the failure of the test that it is for.
            let _ended = thread.join();
        }
    }
}

struct Door {
    listener: std::net::TcpListener,
    target: watch::Receiver<u16>,
}

fn door(node: usize, port: u16, target: u16) -> (watch::Sender<u16>, Door) {
    let listener =
        std::net::TcpListener::bind((format!("127.0.0.{node}"), port)).expect("the port is free");
    listener.set_nonblocking(true).expect("a listener can be");
    let (way, target) = watch::channel(target);
    (way, Door { listener, target })
}

fn serve(doors: Vec<Door>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut open: JoinSet<()> = doors.into_iter().map(Door::serve).collect();
        while open.join_next().await.is_some() {}
    });
}

impl Door {
    /// Leads whoever comes to the target, until nobody can change it any more.
    async fn serve(mut self) {
        let listener = TcpListener::from_std(self.listener).expect("it is one");
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let target = *self.target.borrow();
                    connections.spawn(lead(accepted.expect("a connection").0, target));
                }
                changed = self.target.changed() => {
                    connections.shutdown().await;
                    if changed.is_err() {
                        return;
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Leads one connection. Where there is nobody it is closed, as one that is refused.
async fn lead(mut from: TcpStream, target: u16) {
    if let Ok(mut to) = TcpStream::connect(("127.0.0.1", target)).await {
        // Which side ended it, and how, is the other side's affair.
        let _ended = copy_bidirectional(&mut from, &mut to).await;
    }
}
