//! Opening all sessions of a load, before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection;
use super::fleet::SharedFleet;
use crate::bench::error::BenchError;

/// Most sessions that connect at once.
const CONNECTING_MAX: usize = 64;

/// How long one session may take from its first packet until it is live. Connecting alone has a
/// shorter bound, so what is beyond this one is a node that accepts sessions and has no cursor.
pub(super) const OPEN_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens all sessions, each within that time. One that cannot be opened ends the run.
pub(super) async fn open_sessions(fleet: &SharedFleet, most: Duration) -> Result<(), BenchError> {
    let permits = Arc::new(Semaphore::new(CONNECTING_MAX));
    let mut opening = JoinSet::new();
    let sessions = fleet.lock().run.population.sessions();
    for session in 0..sessions {
        let (permits, fleet) = (Arc::clone(&permits), Arc::clone(fleet));
        opening.spawn(async move {
            let _permit = permits.acquire().await;
            (session, open_session(&fleet, session, most).await)
        });
    }
    while let Some(opened) = opening.join_next().await {
        let opened = opened.map_err(|error| BenchError::Answer(error.to_string()))?;
        if let (session, Err(why)) = opened {
            let run = Arc::clone(&fleet.lock().run);
            let url = &run.urls[session as usize % run.urls.len()];
            let user = run.user(session).id.as_str();
            return Err(BenchError::Input(format!("cannot connect to {url} as {user}: {why}")));
        }
    }
    Ok(())
}

async fn open_session(fleet: &SharedFleet, session: u32, most: Duration) -> Result<(), String> {
    let opened = fleet.lock().opening(session);
    tokio::spawn(connection::keep(Arc::clone(fleet), session));
    let Ok(opened) = timeout(most, opened).await else {
        let missing = fleet.lock().sessions[session as usize].missing();
        return Err(format!(
            "session {session} got no {missing} within {most:?}: the node's store may be away"
        ));
    };
    opened.unwrap_or_else(|_| Err("the run was ended".into()))
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::net::TcpListener;

    use super::super::fleet::LoadFleet;
    use super::super::ledger::LoadLedger;
    use super::super::run::LoadRun;
    use super::*;
    use crate::socket::{HttpWaits, check, serve_http1};

    const WAITS: HttpWaits = HttpWaits {
        header: Duration::from_secs(5),
        keep_alive: Duration::from_secs(5),
        write_stall: Duration::from_secs(5),
    };

    fn fleet(url: &str) -> SharedFleet {
        let run = LoadRun::small(url);
        let ledger = LoadLedger::new(run.population, Duration::from_secs(1), false);
        Arc::new(Mutex::new(LoadFleet::new(Arc::new(run), ledger)))
    }

    /// Accepts connections, and says nothing on them.
    async fn serve_mute(listener: TcpListener) {
        let mut sockets = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let respond = async |request: hyper::Request<_>| match check(&request, &[]) {
                Ok(accept) => accept.response(),
                Err(refusal) => refusal.response(),
            };
            sockets.push(serve_http1(stream, WAITS, respond).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_node_that_sends_no_cursor_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/ws", listener.local_addr().unwrap());
        let fleet = fleet(&url);
        let opened = tokio::select! {
            opened = timeout(Duration::from_secs(10), open_sessions(&fleet, Duration::from_secs(1))) => opened,
            () = serve_mute(listener) => unreachable!("it serves until the end"),
        };
        let error = opened.expect("it ends").unwrap_err().to_string();
        let start = format!("cannot connect to {url} as load-");
        assert!(error.starts_with(&start) && error.contains(": session "), "{error}");
        assert!(
            error.ends_with(" got no cursor within 1s: the node's store may be away"),
            "{error}"
        );
    }
}
