//! A server that freezes, and one that is killed: what callers are answered is true, and nothing
//! needs a restart.

use std::time::Instant;

use super::*;
use crate::store::conformance::queries::page_of;
use crate::store::conformance::{START, WIDE, direct};
use crate::store::cql::statements::StatementKind;
use server::CqlTestServer;

/// For a store to be itself again: the driver connects anew within 10 s.
const HEAL_TIMEOUT: Duration = Duration::from_mins(1);

const POLL: Duration = Duration::from_millis(50);

async fn own(server: &CqlTestServer) -> (CqlOptions, Arc<Cql>) {
    let options = with(options("nc_faults"), |cql| cql.nodes = vec![server.address()]);
    apply_schema(&options).await.unwrap();
    let store = Cql::open(&options).await.unwrap();
    (options, store)
}

fn nth(n: u64) -> Arc<Message> {
    direct("alice", "bob", START + Duration::from_micros(n))
}

/// Waits until all of these are read, and returns what else is.
async fn all_there(store: &Cql, sent: &[Arc<Message>]) -> Vec<Message> {
    let until = Instant::now() + HEAL_TIMEOUT;
    loop {
        let read =
            store.history(page_of(&sent[0].conversation, HistoryRange::After(None), WIDE)).await;
        let is_missing = |one: &&Arc<Message>| match &read {
            Ok(page) => !page.messages.contains(one),
            Err(_) => true,
        };
        let missing: Vec<_> = sent.iter().filter(is_missing).map(|one| one.id).collect();
        if let (Ok(page), []) = (&read, &missing[..]) {
            return page.messages.clone();
        }
        let failure = read.as_ref().err();
        assert!(Instant::now() < until, "{failure:?}, and these are missing: {missing:?}");
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

/// Waits until an append is stored.
async fn appends_again(store: &Cql, message: Arc<Message>) {
    let until = Instant::now() + HEAL_TIMEOUT;
    while store.append(Arc::clone(&message)).await.is_err() {
        assert!(Instant::now() < until, "it heals by itself");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_a_frozen_server_was_told_is_unknown_and_turns_up() {
    let server = CqlTestServer::start().await;
    let (_, store) = own(&server).await;
    appends_again(&store, nth(0)).await;
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
    appends_again(&store, nth(100)).await;
}

/// Waits until more messages than these were issued.
async fn issued_beyond(store: &Cql, messages: u64) {
    let until = Instant::now() + HEAL_TIMEOUT;
    while store.executor.issued(StatementKind::Message) <= messages {
        assert!(Instant::now() < until, "they are issued");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_killed_server_loses_nothing_that_was_acknowledged() {
    let mut server = CqlTestServer::start().await;
    let (_, store) = own(&server).await;
    let coordinator = store.coordinators().remove(0);
    let send = |message: Arc<Message>| (Arc::clone(&message), store.append(message));
    // What is first is slow: the server was just started.
    let first = nth(0);
    appends_again(&store, Arc::clone(&first)).await;
    let mut under_way: Vec<_> = (1..60).map(nth).map(send).collect();
    let (mut acked, mut refused, mut unknown) = (vec![first], Vec::new(), 0);
    // Some are answered before, some are under way, and some reach a server that answers no more.
    for (message, append) in under_way.drain(..20) {
        append.await.unwrap();
        acked.push(message);
    }
    server.signal("STOP");
    let before = store.executor.issued(StatementKind::Message);
    under_way.extend((60..200).map(nth).map(send));
    issued_beyond(&store, before).await;
    server.kill();
    for (message, append) in under_way {
        match append.await {
            Ok(()) => acked.push(message),
            Err(AppendError::OutcomeUnknown { .. }) => unknown += 1,
            // The driver had not come to it yet.
            Err(AppendError::Unavailable { .. }) => refused.push(message),
        }
    }
    assert!(unknown > 0, "what was issued without an answer is not known to be refused");
    refuses(&store, nth(999)).await;
    for n in 0..100 {
        let message = nth(1000 + n);
        let told = store.append(Arc::clone(&message)).await;
        assert!(matches!(told, Err(AppendError::Unavailable { .. })), "{told:?}");
        refused.push(message);
    }
    let read = store.time(Arc::clone(&coordinator)).await;
    assert!(matches!(read, Err(ReadError::Unavailable { .. })), "{read:?}");
    server.restart().await;
    let stored = all_there(&store, &acked).await;
    assert!(refused.iter().all(|one| !stored.contains(one)), "nothing was stored of those");
    appends_again(&store, nth(2000)).await;
}
