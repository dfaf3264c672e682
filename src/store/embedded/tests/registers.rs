//! Registers in a directory: older stores, restarts, corrupt rows, and when readers see them.

use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use super::super::files::{self, Files};
use super::*;
use crate::clock::WallClock;
use crate::domain::{HistoryVisibility, MemberRole, MemberState, UserId};
use crate::store::conformance::queries::{
    active_on, members_of, membership_of, participant, read_upto, rooms_of, send_key, sent_under,
};

fn stamp(seconds: u64) -> MessageId {
    MessageId::first_of(WALL + Duration::from_secs(seconds))
}

fn alice() -> UserId {
    UserId::parse("alice").unwrap()
}

fn lobby() -> RoomId {
    RoomId::parse("lobby").unwrap()
}

fn said(inside: bool, seconds: u64) -> Membership {
    let state = MemberState::UNKNOWN.add(MemberRole::Owner, stamp(2));
    let state = if inside { state } else { state.remove(stamp(seconds)) };
    Membership { room: lobby(), user: alice(), state }
}

fn a_room() -> Room {
    let (creator, title, stamp) = (alice(), Some("Lobby".into()), stamp(1));
    Room {
        id: lobby(),
        title,
        data: None,
        creator,
        past: HistoryVisibility::Joined,
        created: stamp,
        stamp,
    }
}

/// A store as it was before there were rooms in it, spelled out.
fn older_store(home: &Path, id: MessageId) {
    let database = Database::builder(home).open().unwrap();
    let table = |name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap();
    let identity = [b"\x01".as_slice(), &[7; 8], &[9; 32], b"main"].concat();
    table("meta").insert("identity", identity).unwrap();
    table("meta").insert("high_water", WALL.0.to_be_bytes()).unwrap();
    let key = [b"dm.alice.bob\0".as_slice(), &id.to_bytes()].concat();
    table("messages").insert(key, b"\x01\x05alice\xFF\"Hi!\"").unwrap();
    for user in ["alice", "bob"] {
        let day = Day::of(WALL).0.to_be_bytes();
        let key = [user.as_bytes(), b"\0", &day, b"dm.alice.bob"].concat();
        table("activity").insert(key, [b"\x01".as_slice(), &id.to_bytes()].concat()).unwrap();
        table("memberships").insert(format!("{user}\0dm.alice.bob"), b"\x01\x01").unwrap();
    }
    database.persist(PersistMode::SyncAll).unwrap();
}

#[tokio::test]
async fn a_store_without_rooms_is_opened_and_takes_them() {
    let home = TempDir::new().unwrap();
    let id = MessageId::first_of(WALL);
    files::begin(home.path()).unwrap();
    older_store(home.path(), id);
    Files::of(home.path()).unwrap().complete().unwrap();
    let store = open(home.path());
    let bob = UserId::parse("bob").unwrap();
    let direct = Conversation::between(&alice(), &bob);
    assert_eq!(floor(&store), WALL);
    assert_eq!(times(&*store, &direct).await, [WALL]);
    assert_eq!(store.is_member(participant(&bob, &direct)).await, Ok(true));
    assert_eq!(store.activity(active_on(&bob, Day::of(WALL), 9)).await.unwrap()[0].last, id);
    assert_eq!(store.memberships(rooms_of(&alice(), 9)).await, Ok(vec![]));
    assert_eq!(store.room(lobby()).await, Ok(None));
    store.put_room(a_room()).await.unwrap();
    store.put_membership(said(true, 2)).await.unwrap();
    assert_eq!(store.memberships(rooms_of(&alice(), 9)).await, Ok(vec![said(true, 2)]));
}

#[tokio::test]
async fn registers_outlive_the_store_and_stay_ahead_of_what_is_late() {
    let home = TempDir::new().unwrap();
    let conversation = Conversation::Room(lobby());
    let sent = IdempotencyRecord { id: MessageId::first_of(WallClock::system()), content: 5 };
    let store = open(home.path());
    store.put_room(a_room()).await.unwrap();
    store.put_membership(said(true, 2)).await.unwrap();
    store.put_membership(said(false, 4)).await.unwrap();
    store.mark_read(read_upto(&alice(), &conversation, stamp(9))).await.unwrap();
    store.put_idempotency(sent_under(&alice(), "n", sent)).await.unwrap();
    store.close().await;

    let store = open(home.path());
    assert_eq!(floor(&store), stamp(4).time(), "of stamps, and not of marks");
    store.put_membership(said(true, 2)).await.unwrap();
    store.mark_read(read_upto(&alice(), &conversation, stamp(8))).await.unwrap();
    assert_eq!(store.room(lobby()).await, Ok(Some(a_room())));
    assert_eq!(store.membership(membership_of(&lobby(), &alice())).await, Ok(Some(said(false, 4))));
    assert_eq!(store.read_mark(participant(&alice(), &conversation)).await, Ok(Some(stamp(9))));
    assert_eq!(store.idempotency(send_key(&alice(), "n")).await, Ok(Some(sent)));
}

#[tokio::test]
async fn corrupt_registers_are_errors_that_name_their_table() {
    let home = TempDir::new().unwrap();
    let tables = Tables::open(home.path()).unwrap();
    open::admit(&tables, &options(home.path()), WALL).unwrap();
    let conversation = Conversation::Room(lobby());
    tables.rooms.rows.insert("lobby", b"\x01").unwrap();
    tables.rooms.heads.insert("lobby", b"").unwrap();
    tables.rooms.members.insert("lobby\0alice", b"\x02").unwrap();
    tables.rooms.members.insert("other\0b.b", b"").unwrap();
    tables.memberships.insert("alice\0room.lobby", b"\x01\x01").unwrap();
    tables.memberships.insert("bob\0room.a.b", b"").unwrap();
    tables.receipts.reads.insert("alice\0room.lobby", b"\x01short").unwrap();
    tables.receipts.sends.insert("alice\0n", b"\x01short").unwrap();
    drop(tables);

    let (store, alice, other) = (open(home.path()), alice(), RoomId::parse("other").unwrap());
    let bob = UserId::parse("bob").unwrap();
    let errors = [
        store.room(lobby()).await.unwrap_err(),
        store.head(lobby()).await.unwrap_err(),
        store.membership(membership_of(&lobby(), &alice)).await.unwrap_err(),
        store.members(members_of(&lobby(), None, 9)).await.unwrap_err(),
        store.members(members_of(&other, None, 9)).await.unwrap_err(),
        store.memberships(rooms_of(&alice, 9)).await.unwrap_err(),
        store.memberships(rooms_of(&bob, 9)).await.unwrap_err(),
        store.read_mark(participant(&alice, &conversation)).await.unwrap_err(),
        store.idempotency(send_key(&alice, "n")).await.unwrap_err(),
    ];
    let expected = [
        "row `lobby` of `rooms` is corrupt: it ends within its stamp",
        "row `lobby` of `heads` is corrupt: it ends within its version",
        "row `lobby\\x00alice` of `members` is corrupt: its layout has version 2, only 1 is known",
        "row `lobby\\x00alice` of `members` is corrupt: its layout has version 2, only 1 is known",
        "row `other\\x00b.b` of `members` is corrupt: its key holds no user",
        "row `alice\\x00room.lobby` of `memberships` is corrupt: its kind is 1, which is not a known value",
        "row `bob\\x00room.a.b` of `memberships` is corrupt: its key holds no room",
        "row `alice\\x00room.lobby` of `reads` is corrupt: it holds no message id",
        "row `alice\\x00n` of `sends` is corrupt: it ends within its id",
    ];
    assert_eq!(errors.map(|error| error.to_string()), expected);
    let refused = store.put_room(a_room()).await.unwrap_err().to_string();
    assert!(refused.ends_with("of `rooms` is corrupt: it ends within its id"), "{refused}");
    store.put_room(Room { id: other, ..a_room() }).await.unwrap();
}

#[tokio::test]
async fn no_reader_sees_a_register_before_its_commit_and_then_both_its_sides() {
    let home = TempDir::new().unwrap();
    let tables = Arc::new(Tables::open(home.path()).unwrap());
    let ((begun, busy), (hold, gate)) = (mpsc::sync_channel(64), mpsc::sync_channel(64));
    let builder = Gated { builder: BatchBuilder::new(Arc::clone(&tables), Micros(0)), begun, gate };
    let limit = BatchLimit { rows: 8, bytes: 1000 };
    let writer = WriteThread::start(2, limit, builder, EngineFailure::default()).unwrap();
    let put = writer.write(Ok(BatchEntry::membership(said(true, 2))));
    busy.recv().unwrap();
    let from_the_room =
        || query::rooms::membership(&tables, &membership_of(&lobby(), &alice())).unwrap();
    let from_the_user = || query::rooms::memberships(&tables, &rooms_of(&alice(), 9)).unwrap();
    assert_eq!((from_the_room(), from_the_user()), (None, vec![]));
    drop(hold);
    assert_eq!(put.await, Ok(()));
    assert_eq!((from_the_room(), from_the_user()), (Some(said(true, 2)), vec![said(true, 2)]));
}
