//! On a real server.

mod costs;
mod faults;
mod making;
mod promises;
mod secured;
mod server;

use std::sync::Arc;
use std::time::Duration;

use scylla::statement::Statement;
use tokio::sync::OnceCell;

use super::*;
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, RoomId, UserId};
use crate::store::conformance;
use crate::store::{
    HeartbeatStore, HistoryRange, IdempotencyRecord, MessageStore, ReceiptStore, RoomStore, Store,
};
use server::address;

/// What the tests open a keyspace with.
pub(super) fn options(keyspace: &str) -> CqlOptions {
    CqlOptions {
        nodes: Vec::new(),
        keyspace: keyspace.to_owned(),
        datacenter: "datacenter1".to_owned(),
        replication: 1,
        credentials: None,
        tls_ca: None,
        namespace: "main".to_owned(),
        limits: CqlLimits {
            writes_in_flight: 1024,
            reads_in_flight: 256,
            write: Duration::from_secs(3),
            read: Duration::from_secs(6),
        },
        retention: None,
        connections: 2,
    }
}

/// A name that no other run has.
fn unique(name: &str) -> String {
    format!("nc_{name}_{:08x}", rand::random::<u32>())
}

/// The keyspace that the tests of this process share.
async fn shared() -> CqlOptions {
    static KEYSPACE: OnceCell<String> = OnceCell::const_new();
    let fresh = || async {
        let options = CqlOptions { nodes: vec![address()], ..options(&unique("suite")) };
        apply_schema(&options).await.unwrap();
        options.keyspace
    };
    let keyspace = KEYSPACE.get_or_init(fresh).await;
    CqlOptions { nodes: vec![address()], ..options(keyspace) }
}

/// Runs a statement that the port has none for.
async fn raw(options: &CqlOptions, statement: &str) {
    let profiles = Profiles::new(options);
    let session = connect(options, &profiles).await.unwrap();
    let mut statement = Statement::new(statement);
    statement.set_execution_profile_handle(Some(profiles.schema));
    session.query_unpaged(statement, ()).await.unwrap();
}

/// Keyspaces cost the server memory.
async fn drop_keyspace(options: &CqlOptions) {
    raw(options, &format!("DROP KEYSPACE {}", options.keyspace)).await;
}

async fn open() -> Arc<Cql> {
    Cql::open(&shared().await).await.unwrap()
}

async fn fresh() -> (Arc<dyn Store>, ()) {
    (open().await, ())
}

conformance::store_suite!(#[ignore = "needs a CQL server"] async fresh);
