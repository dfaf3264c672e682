//! A server that freezes, and one that is killed: what callers are told is true, and nothing needs
//! a restart.

use std::time::Instant;

use super::*;
use crate::store::suite::{START, WIDE, direct};
use server::Server;

/// For a store to be itself again: the driver connects anew every second.
const HEAL_TIMEOUT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(50);

async fn own(server: &Server) -> (CqlOptions, Arc<Cql>) {
    let options = CqlOptions { nodes: vec![server.address()], ..options("nc_faults") };
    apply_schema(&options).await.unwrap();
    let store = Cql::open(&options).await.unwrap();
    (options, store)
}

fn nth(n: u64) -> Arc<Message> {
    direct("alice", "bob", START + Duration::from_micros(n))
}

/// Waits until all of these are read.
async fn all_there(store: &Cql, sent: &[Arc<Message>]) {
    let until = Instant::now() + HEAL_TIMEOUT;
    loop {
        let read = store.history(&sent[0].conversation, HistoryRange::After(None), WIDE).await;
        let missing = match &read {
            Ok(page) => sent.iter().filter(|one| !page.messages.contains(one)).count(),
            Err(_) => sent.len(),
        };
        if missing == 0 {
            return;
        }
        assert!(Instant::now() < until, "{missing} are missing: {read:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until an append is refused for certain.
async fn refuses(store: &Cql, message: Arc<Message>) {
    let until = Instant::now() + HEAL_TIMEOUT;
    loop {
        let told = store.append(Arc::clone(&message)).await;
        if matches!(told, Err(AppendError::Unavailable { .. })) {
            return;
        }
        assert!(Instant::now() < until, "its connections are given up: {told:?}");
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_a_frozen_server_was_told_is_unknown_and_turns_up() {
    let server = Server::start().await;
    let (_, store) = own(&server).await;
    store.append(nth(0)).await.unwrap();
    server.signal("STOP");
    let sent: Vec<_> = (1..40).map(nth).collect();
    let appends: Vec<_> = sent.iter().map(|message| store.append(Arc::clone(message))).collect();
    let begun = Instant::now();
    for append in appends {
        let told = append.await;
        assert!(matches!(told, Err(AppendError::OutcomeUnknown { .. })), "{told:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "within the lease: {:?}", begun.elapsed());
    // Once it is known to be frozen nothing is issued any more, and that is certain.
    refuses(&store, nth(99)).await;
    server.signal("CONT");
    all_there(&store, &sent).await;
    let until = Instant::now() + HEAL_TIMEOUT;
    while store.append(nth(100)).await.is_err() {
        assert!(Instant::now() < until, "it heals by itself");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start().await;
    let (_, store) = own(&server).await;
    let (mut acked, mut unknown) = (Vec::new(), 0);
    let send = |message: Arc<Message>| (Arc::clone(&message), store.append(message));
    let mut under_way: Vec<_> = (0..400).map(nth).map(send).collect();
    // Some are answered before, the rest are under way.
    for (message, append) in under_way.drain(..50) {
        append.await.unwrap();
        acked.push(message);
    }
    server.kill();
    for (message, append) in under_way {
        match append.await {
            Ok(()) => acked.push(message),
            Err(AppendError::OutcomeUnknown { .. }) => unknown += 1,
            Err(refused) => panic!("it was under way: {refused}"),
        }
    }
    assert!(unknown > 0, "some were under way");
    refuses(&store, nth(999)).await;
    let begun = Instant::now();
    for n in 0..100 {
        let refused = store.append(nth(1000 + n)).await;
        assert!(matches!(refused, Err(AppendError::Unavailable { .. })), "{refused:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "at once: {:?}", begun.elapsed());
    let read = store.time().await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    server.restart().await;
    all_there(&store, &acked).await;
    store.append(nth(2000)).await.unwrap();
}
