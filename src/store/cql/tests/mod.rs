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
use crate::config::{Config, CqlConfig};
use crate::domain::{Conversation, Membership, Message, MessageId, Micros, RoomId, UserId};
use crate::store::conformance;
use crate::store::{
    HeartbeatStore, HistoryRange, IdempotencyRecord, MessageStore, ReceiptStore, RoomStore, Store,
};
use server::address;

/// What the tests open a keyspace with.
pub(super) fn options(keyspace: &str) -> CqlOptions {
    let cql = CqlConfig {
        nodes: Vec::new(),
        keyspace: keyspace.to_owned(),
        replication: 1,
        writes_in_flight: 1024,
        ..Config::default().store.cql
    };
    CqlOptions { namespace: "main".to_owned(), cql, waits: Config::default().timeouts.cql }
}

/// Options of which some are changed.
pub(super) fn with(mut options: CqlOptions, change: impl FnOnce(&mut CqlConfig)) -> CqlOptions {
    change(&mut options.cql);
    options
}

/// A name that no other run has.
fn unique(name: &str) -> String {
    format!("nc_{name}_{:08x}", rand::random::<u32>())
}

/// The keyspace that the tests of this process share.
async fn shared() -> CqlOptions {
    static KEYSPACE: OnceCell<String> = OnceCell::const_new();
    let fresh = || async {
        let options = with(options(&unique("suite")), |cql| cql.nodes = vec![address()]);
        apply_schema(&options).await.unwrap();
        options.cql.keyspace
    };
    let keyspace = KEYSPACE.get_or_init(fresh).await;
    with(options(keyspace), |cql| cql.nodes = vec![address()])
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
    raw(options, &format!("DROP KEYSPACE {}", options.cql.keyspace)).await;
}

async fn open() -> Arc<Cql> {
    Cql::open(&shared().await).await.unwrap()
}

async fn fresh() -> (Arc<dyn Store>, ()) {
    (open().await, ())
}

conformance::store_suite!(#[ignore = "needs a CQL server"] async fresh);
