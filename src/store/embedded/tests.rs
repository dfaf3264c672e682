mod files;
mod registers;
mod torn;

use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::Duration;

use tempfile::TempDir;

use super::entry::BatchEntry;
use super::writer::{Commit, CommitError};
use super::*;
use crate::domain::{Conversation, Membership, MessageId, Room, RoomId};
use crate::store::conformance;
use crate::store::conformance::queries::{active_on, page_of, send_key, sent_under};
use crate::store::{
    AppendError, Day, HistoryRange, IdempotencyRecord, MessageStore, ReceiptStore, RoomStore, Store,
};

const WALL: Micros = conformance::START;

fn options(home: &Path) -> EmbeddedOptions {
    EmbeddedOptions::new(home, "main")
}

fn open(home: &Path) -> Arc<Embedded> {
    Embedded::open(&options(home), WALL).unwrap()
}

fn refusal(home: &Path, namespace: &str, wall: Micros) -> OpenError {
    Embedded::open(&EmbeddedOptions::new(home, namespace), wall).unwrap_err()
}

fn fresh() -> (Arc<dyn Store>, TempDir) {
    let home = TempDir::new().unwrap();
    (open(home.path()), home)
}

conformance::store_suite!(fresh);

/// Above what the clock of ids began.
fn floor(store: &Embedded) -> Micros {
    store.clocks.ids.read(Micros(0))
}

async fn times(store: &dyn Store, conversation: &Conversation) -> Vec<Micros> {
    let page = store
        .history(page_of(conversation, HistoryRange::After(None), conformance::WIDE))
        .await
        .unwrap();
    page.messages.iter().map(|message| message.id.time()).collect()
}

#[tokio::test]
async fn a_store_opened_again_is_the_same_store() {
    let home = TempDir::new().unwrap();
    let message = conformance::direct("alice", "bob", WALL);
    let store = open(home.path());
    assert_eq!(floor(&store), Micros(0));
    let identity = store.identity().clone();
    store.append(Arc::clone(&message)).await.unwrap();
    store.close().await;

    let store = open(home.path());
    assert_eq!(store.identity(), &identity);
    assert_eq!(floor(&store), WALL, "time never runs back");
    assert_eq!(times(&*store, &message.conversation).await, [WALL]);
    let activity = store.activity(active_on(&message.from, Day::of(WALL), 9)).await.unwrap();
    assert_eq!(activity.len(), 1);
}

#[test]
fn opening_needs_no_runtime_and_dropping_frees_the_directory() {
    let home = TempDir::new().unwrap();
    let identity = open(home.path()).identity().clone();
    assert_eq!(open(home.path()).identity(), &identity);
}

#[tokio::test]
async fn a_second_open_names_the_directory() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let error = refusal(home.path(), "main", WALL);
    assert!(matches!(&error, OpenError::Locked { path } if path == home.path()), "{error:?}");
    assert!(error.to_string().contains(home.path().to_str().unwrap()), "{error}");
    store.close().await;
    drop(open(home.path()));
}

#[test]
fn another_namespace_is_refused_naming_both() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let error = refusal(home.path(), "staging", WALL).to_string();
    assert!(error.starts_with("namespace `staging`: the store in `"), "{error}");
    assert!(error.ends_with("belongs to namespace `main`"), "{error}");
    drop(open(home.path()));
}

/// The machine's clock was 2 h, or years, ahead when it ran, and is right now.
#[tokio::test]
async fn a_store_ahead_of_the_clock_is_opened_and_its_time_goes_on() {
    for ahead in [Duration::from_hours(2), Duration::from_hours(10 * 365 * 24)] {
        let home = TempDir::new().unwrap();
        let newest = WALL + ahead;
        let store = open(home.path());
        let message = conformance::direct("alice", "bob", newest);
        store.append(Arc::clone(&message)).await.unwrap();
        store.close().await;
        drop(store);
        let store = open(home.path());
        assert_eq!(floor(&store), newest);
        assert!(store.clocks.wall.now() >= newest, "what is near is told by the time of ids");
        assert_eq!(times(&*store, &message.conversation).await, [newest]);
    }
}

/// Ids are days behind the machine's clock, which was set right while the node ran.
#[tokio::test]
async fn a_nonce_is_remembered_by_the_time_of_ids() {
    let home = TempDir::new().unwrap();
    let mut tables = Tables::open(home.path()).unwrap();
    open::admit(&tables, &options(home.path()), WALL).unwrap();
    let days = Duration::from_hours(3 * 24);
    tables.clock = WallClock::starting_at(WallClock::system() + days);
    let id = MessageId::first_of(tables.clock.now());
    let tables = Arc::new(tables);
    let mut builder = BatchBuilder::new(Arc::clone(&tables), Micros(0));
    let sender = crate::domain::UserId::parse("alice").unwrap();
    let note = |ago: Duration| {
        let record = IdempotencyRecord { id: MessageId::first_of(id.time() - ago), content: 1 };
        BatchEntry::idempotency(&sent_under(&sender, &format!("{}", ago.as_secs()), record))
            .unwrap()
    };
    let (fresh, old) = (Duration::from_hours(1), Duration::from_hours(25));
    builder.commit(&[note(fresh), note(old)]).unwrap();
    let is_known = |ago: Duration| {
        query::idempotency(&tables, &send_key(&sender, &ago.as_secs().to_string()))
            .unwrap()
            .is_some()
    };
    assert_eq!((is_known(fresh), is_known(old)), (true, false));
}

#[tokio::test]
async fn a_corrupt_row_is_an_error_that_names_it() {
    let home = TempDir::new().unwrap();
    let message = conformance::direct("alice", "bob", WALL);
    let tables = Tables::open(home.path()).unwrap();
    let path = options(home.path());
    open::admit(&tables, &path, WALL).unwrap();
    tables.messages.insert(keys::message(&message.conversation, message.id), b"\x07junk").unwrap();
    tables.messages.insert(b"dm.alice.carol\0short", b"").unwrap();
    let key = keys::activity(&message.from, Day::of(WALL), &message.conversation);
    tables.activity.insert(&key, b"").unwrap();
    drop(tables);

    let store = open(home.path());
    let range = HistoryRange::Before(None);
    let error =
        store.history(page_of(&message.conversation, range, conformance::WIDE)).await.unwrap_err();
    assert!(error.to_string().starts_with("row `dm.alice.bob\\x00\\x01"), "{error}");
    assert!(error.to_string().ends_with("has version 7, only 1 is known"), "{error}");
    let carol = conformance::direct("alice", "carol", WALL).conversation.clone();
    let error = store.history(page_of(&carol, range, conformance::WIDE)).await.unwrap_err();
    assert!(error.to_string().contains("`dm.alice.carol\\x00short`"), "{error}");
    let error = store.activity(active_on(&message.from, Day::of(WALL), 9)).await.unwrap_err();
    assert!(error.to_string().contains(&key.escape_ascii().to_string()), "{error}");
}

#[test]
fn rows_of_meta_that_make_no_sense_are_refused() {
    let cases: [(&str, &[u8], &str); 3] = [
        (meta::IDENTITY, b"\x09", "schema version 9, only 1 is known"),
        (meta::IDENTITY, b"\x01short", "row `identity` of `meta` is corrupt"),
        (meta::HIGH_WATER, b"short", "row `high_water` of `meta` is corrupt"),
    ];
    for (key, value, expected) in cases {
        let home = TempDir::new().unwrap();
        drop(open(home.path()));
        Tables::open(home.path()).unwrap().meta.insert(key, value).unwrap();
        let error = refusal(home.path(), "main", WALL).to_string();
        assert!(error.ends_with(expected), "{error}");
    }
}

#[test]
fn a_store_begins_in_an_empty_directory_alone() {
    let home = TempDir::new().unwrap();
    std::fs::create_dir(home.path().join("lost+found")).unwrap();
    drop(open(home.path()));
    let other = TempDir::new().unwrap();
    std::fs::write(other.path().join("photo"), "x").unwrap();
    let error = refusal(other.path(), "main", WALL);
    assert!(matches!(error, OpenError::Unidentified { .. }), "{error}");
    assert!(error.to_string().contains(&other.path().display().to_string()), "{error}");
}

#[test]
fn messages_without_an_identity_are_no_new_store() {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    let tables = Tables::open(home.path()).unwrap();
    tables.messages.insert(b"key", b"value").unwrap();
    tables.meta.remove(meta::IDENTITY).unwrap();
    drop(tables);
    let error = refusal(home.path(), "main", WALL).to_string();
    assert!(error.ends_with("row `identity` of `meta` is missing"), "{error}");
}

/// A ledger that announces each commit and holds it until the gate is opened, by dropping it.
struct Gated {
    builder: BatchBuilder,
    begun: SyncSender<()>,
    gate: Receiver<()>,
}

impl Commit for Gated {
    fn commit(&mut self, batch: &[BatchEntry]) -> Result<(), CommitError> {
        // An error means that the test watches no more.
        let _ = self.begun.send(());
        self.gate.recv().expect_err("the gate is opened by dropping it");
        self.builder.commit(batch)
    }
}

#[tokio::test]
async fn a_full_queue_sheds_and_keeps_what_it_accepted_even_unwatched() {
    let home = TempDir::new().unwrap();
    let tables = Arc::new(Tables::open(home.path()).unwrap());
    open::admit(&tables, &options(home.path()), WALL).unwrap();
    let ((begun, busy), (hold, gate)) = (mpsc::sync_channel(64), mpsc::sync_channel(64));
    let builder = Gated { builder: BatchBuilder::new(tables, Micros(0)), begun, gate };
    let limit = BatchLimit { rows: 8, bytes: 1000 };
    let writer = WriteThread::start(2, limit, builder, EngineFailure::default()).unwrap();
    let nth = |n| conformance::direct("alice", "bob", WALL + Duration::from_micros(n));

    let first = writer.append(nth(1));
    busy.recv().unwrap();
    let second = writer.append(nth(2));
    drop(writer.append(nth(3)));
    let refused = writer.append(nth(4)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused:?}");
    drop(hold);
    assert_eq!((first.await, second.await), (Ok(()), Ok(())));
    writer.close().await;

    let stored = times(&*open(home.path()), &nth(1).conversation).await;
    assert_eq!(stored, [1, 2, 3].map(|n| WALL + Duration::from_micros(n)));
}

#[tokio::test]
async fn closing_finishes_what_was_accepted() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let nth = |n| conformance::direct("alice", "bob", WALL + Duration::from_micros(n));
    let appends: Vec<_> = (0..100).map(|n| store.append(nth(n))).collect();
    let (one, other) = (store.close(), store.close());
    for append in appends {
        assert_eq!(append.await, Ok(()));
    }
    one.await;
    other.await;
    assert_eq!(times(&*open(home.path()), &nth(0).conversation).await.len(), 100);
}

#[tokio::test]
async fn a_note_to_oneself_has_one_activity_row() {
    let (store, _home) = fresh();
    let note = conformance::direct("alice", "alice", WALL);
    store.append(Arc::clone(&note)).await.unwrap();
    let activity = store.activity(active_on(&note.from, Day::of(WALL), 9)).await.unwrap();
    assert_eq!(activity.iter().map(|row| row.last).collect::<Vec<MessageId>>(), [note.id]);
}
