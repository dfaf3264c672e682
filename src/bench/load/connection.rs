//! The tasks of a session: they connect, read and write, and connect again.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::fleet::SharedFleet;
use super::session::LoadLink;
use crate::client::{
    ClientError, ConnectionLoss, FrameSink, FrameSource, Incoming, Keepalive, Reconnect, connect_as,
};

/// Most frames that wait to be written to a socket.
const FRAMES_MAX: usize = 1024;

/// Keeps a session until the run is over or it does not come back.
pub(super) async fn keep(fleet: SharedFleet, session: u32) {
    let mut reconnect = Reconnect::new();
    let run = Arc::clone(&fleet.lock().run);
    let nodes = run.urls.len();
    let mut node = session as usize % nodes;
    for tries in 0.. {
        let loss = connection(&fleet, session, &run.urls[node]).await;
        let (had_session, connections) = {
            let fleet = fleet.lock();
            let state = &fleet.sessions[session as usize];
            (state.is_live, state.connections)
        };
        if had_session && connections > 0 {
            reconnect.succeeded();
        }
        let next = reconnect.after(&loss, had_session, Instant::now());
        let comes_back = fleet.lock().lost(session, &loss.to_string(), next.is_none());
        let Some(next) = next.filter(|_| comes_back) else { return };
        sleep_until(next).await;
        node = another_node(node, session as usize / nodes + tries, nodes);
    }
}

/// The node that a session tries after another. What differs from session to session is `turn`: the
/// sessions of a dead node spread over all the others, as they do behind a load balancer.
const fn another_node(node: usize, turn: usize, nodes: usize) -> usize {
    match nodes {
        1 => node,
        _ => (node + 1 + turn % (nodes - 1)) % nodes,
    }
}

/// One connection, from the call to its end.
async fn connection(fleet: &SharedFleet, session: u32, url: &str) -> ConnectionLoss {
    let user = fleet.lock().run.user(session).id.clone();
    let (source, sink) = match connect_as(url, Some(&user)).await {
        Ok(halves) => halves,
        Err(error) => return loss(error),
    };
    let (frames, queue) = mpsc::channel(FRAMES_MAX);
    let (given_up, mut reasons) = mpsc::channel(1);
    let keepalive = Keepalive::new(Instant::now());
    let link = LoadLink { frames, given_up, keepalive };
    fleet.lock().connected(session, link);
    // It ends with its queue, which ends with the connection.
    tokio::spawn(write(sink, queue));
    tokio::select! {
        loss = read(fleet, session, source) => loss,
        Some(why) = reasons.recv() => ConnectionLoss::Broke(why.into()),
    }
}

async fn read(fleet: &SharedFleet, session: u32, mut source: FrameSource) -> ConnectionLoss {
    loop {
        match source.step().await {
            Ok(Some(Incoming::Text(text))) => fleet.lock().text(session, &text),
            Ok(Some(Incoming::Closed { code, reason })) => {
                return ConnectionLoss::Closed { code, reason };
            }
            Ok(None) => fleet.lock().sessions[session as usize].heard(Instant::now()),
            Err(error) => return loss(error),
        }
    }
}

/// A write that fails ends the reader too: the connection is broken.
async fn write(sink: FrameSink, mut queue: mpsc::Receiver<String>) {
    while let Some(frame) = queue.recv().await {
        if sink.send(&frame).await.is_err() {
            return;
        }
    }
}

fn loss(error: ClientError) -> ConnectionLoss {
    match error {
        ClientError::Closed { code, reason } => ConnectionLoss::Closed { code, reason },
        error => ConnectionLoss::Broke(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sessions_of_a_dead_node_spread_over_the_others() {
        let mut sessions = [0; 4];
        (0..30).for_each(|turn| sessions[another_node(2, turn, 4)] += 1);
        assert_eq!(sessions, [10, 10, 0, 10]);
        assert_eq!(another_node(0, 7, 1), 0);
    }
}
