//! Limits the connections of the node's clients, and those among them that have shown no token.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::addresses::network;
use super::handshakes::{HandshakeId, Handshakes, Progress};
use crate::telemetry::{Dropped, LogThrottle, Metrics};

/// The part of the handshakes that an address may hold before it alone pays for its newcomers. So
/// it takes four addresses to fill all places, and a load balancer may use all while no other
/// address connects.
const SHARES: usize = 4;

/// Bounds on the connections of a node.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionBounds {
    /// Connections at once.
    pub connections: usize,
    /// How many of them may not have shown a token.
    pub handshakes: usize,
    /// Handshakes that were ended to make room and still hold their sockets, beyond `connections`.
    pub ending: usize,
}

/// The connections of a node, on all its workers.
#[derive(Debug)]
pub struct Connections {
    bounds: ConnectionBounds,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
    log: LogThrottle,
}

#[derive(Debug)]
struct State {
    handshakes: Handshakes<oneshot::Sender<()>>,
    /// Connections, including those that are ending.
    open: usize,
    ending: usize,
}

/// Permission for a connection. It counts until this is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    connections: Arc<Connections>,
}

/// Permission for a connection without a token. It may be ended to make room until this is dropped.
#[derive(Debug)]
pub struct HandshakePermit {
    connections: Arc<Connections>,
    id: HandshakeId,
    ended: oneshot::Receiver<()>,
}

/// The permits of a connection that was admitted.
#[derive(Debug)]
pub struct Admitted {
    /// Its permit among all connections.
    pub connection: ConnectionPermit,
    /// Its permit among those without a token.
    pub handshake: HandshakePermit,
    /// Whether another connection was ended to make room. That one holds its socket until its task
    /// has run.
    pub in_place: bool,
}

impl Connections {
    /// Starts without connections.
    pub fn new(bounds: ConnectionBounds, metrics: Arc<Metrics>) -> Self {
        let handshakes = Handshakes::new((bounds.handshakes / SHARES).max(1));
        let state = Mutex::new(State { handshakes, open: 0, ending: 0 });
        Self { bounds, state, metrics, log: LogThrottle::default() }
    }

    /// Admits a connection. While all places are taken, another connection without a token is ended
    /// for it. Returns none if there is no such connection. A connection without an address, which
    /// is that of a balancer, counts for none until [`HandshakePermit::assign`].
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Admitted> {
        let mut state = self.state.lock();
        let is_full = state.open - state.ending >= self.bounds.connections;
        let admitted = self.begin(&mut state, is_full, address);
        if admitted.is_ok() {
            state.open += 1;
        }
        drop(state);
        let (handshake, in_place) = self.told(admitted)?;
        self.metrics.listeners.connections.inc();
        let connection = ConnectionPermit { connections: Arc::clone(self) };
        Some(Admitted { connection, handshake, in_place })
    }

    /// Begins another handshake of a connection that was admitted and has shown a token.
    pub fn begin_again(self: &Arc<Self>, address: Option<IpAddr>) -> Option<HandshakePermit> {
        let begun = self.begin(&mut self.state.lock(), false, address);
        self.told(begun).map(|(handshake, _)| handshake)
    }

    /// Begins a handshake. If another one was ended for it, the reason is returned too.
    fn begin(
        self: &Arc<Self>,
        state: &mut State,
        is_full: bool,
        address: Option<IpAddr>,
    ) -> Result<(HandshakePermit, Option<Dropped>), Dropped> {
        let address = address.map(network);
        let crowded = is_full || state.handshakes.len() >= self.bounds.handshakes;
        let dropped = if crowded { Some(self.make_room(state, address)?) } else { None };
        let (end, ended) = oneshot::channel();
        let id = state.handshakes.insert(address, end);
        Ok((HandshakePermit { connections: Arc::clone(self), id, ended }, dropped))
    }

    fn make_room(&self, state: &mut State, address: Option<IpAddr>) -> Result<Dropped, Dropped> {
        let id = state.handshakes.next_to_end(address).ok_or(Dropped::Full)?;
        if state.ending >= self.bounds.ending {
            return Err(Dropped::Ending);
        }
        if let Some(end) = state.handshakes.remove(id) {
            state.ending += 1;
            // If its task has just ended by itself, the permit is already on its way back.
            let _gone = end.send(());
        }
        Ok(match id.progress {
            Progress::Silent => Dropped::Silent,
            Progress::Unfinished => Dropped::Unfinished,
        })
    }

    /// Counts and logs which connection was dropped: another one for this, or this one.
    fn told<T>(&self, begun: Result<(T, Option<Dropped>), Dropped>) -> Option<(T, bool)> {
        let (begun, dropped) = match begun {
            Ok((begun, dropped)) => (Some((begun, dropped.is_some())), dropped),
            Err(dropped) => (None, Some(dropped)),
        };
        if let Some(dropped) = dropped {
            self.metrics.listeners.dropped(dropped);
            if let Some(count) = self.log.count() {
                let ConnectionBounds { connections, handshakes, .. } = self.bounds;
                let reason = dropped.name();
                tracing::warn!(
                    count,
                    reason,
                    connections,
                    handshakes,
                    "all places for connections are taken: connections without a token were dropped"
                );
            }
        }
        begun
    }
}

impl HandshakePermit {
    /// Notes that something was read: silent connections are ended before this one.
    pub fn speak(&mut self) {
        if self.id.progress == Progress::Silent {
            self.advance(Progress::Unfinished);
        }
    }

    /// Notes whose connection this is. From now on it counts for that address, or for none.
    pub fn assign(&mut self, address: Option<IpAddr>) {
        self.connections.state.lock().handshakes.assign(self.id, address.map(network));
    }

    /// Notes that the request was answered by an upgrade. The connection is silent until its next
    /// byte.
    pub fn upgrade(&mut self) {
        self.advance(Progress::Silent);
    }

    /// Resolves when the connection must end, to make room.
    pub fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match Pin::new(&mut self.ended).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(()),
            Poll::Ready(Err(_)) | Poll::Pending => Poll::Pending,
        }
    }

    fn advance(&mut self, progress: Progress) {
        let mut state = self.connections.state.lock();
        // One that is being ended has no progress to make.
        self.id = state.handshakes.advance(self.id, progress).unwrap_or(self.id);
    }
}

impl Drop for HandshakePermit {
    fn drop(&mut self) {
        let mut state = self.connections.state.lock();
        if state.handshakes.remove(self.id).is_none() {
            state.ending -= 1;
        }
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.connections.state.lock().open -= 1;
        self.connections.metrics.listeners.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    const BOUNDS: ConnectionBounds = ConnectionBounds { connections: 6, handshakes: 4, ending: 2 };

    fn connections() -> Arc<Connections> {
        Arc::new(Connections::new(BOUNDS, Arc::default()))
    }

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    fn is_ended(admitted: &mut Admitted) -> bool {
        admitted.handshake.poll_ended(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn counts(connections: &Connections) -> (usize, usize, usize) {
        let state = connections.state.lock();
        (state.handshakes.len(), state.open, state.ending)
    }

    #[test]
    fn the_oldest_silent_one_makes_room() {
        let connections = connections();
        let mut held: Vec<Admitted> =
            (0..4).map(|_| connections.admit(ip("10.0.0.1")).unwrap()).collect();
        held[0].handshake.speak();
        let newcomer = connections.admit(ip("10.0.0.2")).unwrap();
        assert!(newcomer.in_place);
        assert_eq!(counts(&connections), (4, 5, 1));
        let ended: Vec<bool> = held.iter_mut().map(is_ended).collect();
        assert_eq!(ended, [false, true, false, false]);
        held.remove(1);
        assert_eq!(counts(&connections), (4, 4, 0));
        drop((held, newcomer));
        assert_eq!(counts(&connections), (0, 0, 0));
    }

    #[test]
    fn who_has_shown_a_token_is_not_ended() {
        let connections = connections();
        let mut sessions = Vec::new();
        for _ in 0..6 {
            let Admitted { connection, handshake, .. } = connections.admit(ip("10.0.0.1")).unwrap();
            drop(handshake);
            sessions.push(connection);
        }
        assert!(connections.admit(ip("10.0.0.2")).is_none(), "all belong to sessions");
        assert_eq!(connections.metrics.listeners.dropped_so_far(Dropped::Full), 1);
        sessions.pop();
        let mut stranger = connections.admit(ip("10.0.0.2")).unwrap();
        let other = connections.admit(ip("10.0.0.3")).unwrap();
        assert!(is_ended(&mut stranger), "the last permit of all was one without a token");
        drop((stranger, other));
        let again = connections.begin_again(ip("10.0.0.1")).unwrap();
        assert_eq!(counts(&connections), (1, 5, 0));
        drop(again);
    }

    #[test]
    fn sockets_that_are_ending_are_bounded() {
        let connections = connections();
        let admit = || connections.admit(ip("10.0.0.1"));
        let mut held: Vec<Admitted> = (0..6).map(|_| admit().unwrap()).collect();
        assert_eq!(counts(&connections), (4, 6, 2));
        assert!(admit().is_none());
        assert_eq!(connections.metrics.listeners.dropped_so_far(Dropped::Ending), 1);
        assert_eq!(connections.metrics.listeners.dropped_so_far(Dropped::Silent), 2);
        held.remove(0);
        assert!(admit().is_some());
    }

    /// The clients behind a balancer are told apart once they are known.
    #[test]
    fn a_client_behind_a_balancer_pays_for_itself() {
        let connections = connections();
        let mut held: Vec<Admitted> = (0..4).map(|_| connections.admit(None).unwrap()).collect();
        held[0].handshake.assign(ip("10.0.0.2"));
        held[1..].iter_mut().for_each(|greedy| greedy.handshake.assign(ip("10.0.0.1")));
        let newcomer = connections.admit(None).unwrap();
        let ended: Vec<bool> = held.iter_mut().map(is_ended).collect();
        assert_eq!(ended, [false, true, false, false], "the oldest has one place of its address");
        drop((held, newcomer));
        assert_eq!(counts(&connections), (0, 0, 0));
    }

    /// A client that shows its token while its connection is being ended is let in.
    #[test]
    fn a_token_in_the_last_moment_counts() {
        let connections = connections();
        let held: Vec<Admitted> =
            (0..5).map(|_| connections.admit(ip("10.0.0.1")).unwrap()).collect();
        let (permits, handshakes): (Vec<_>, Vec<_>) =
            held.into_iter().map(|it| (it.connection, it.handshake)).unzip();
        drop(handshakes);
        assert_eq!(counts(&connections), (0, 5, 0));
        drop(permits);
        assert_eq!(counts(&connections), (0, 0, 0));
    }
}
