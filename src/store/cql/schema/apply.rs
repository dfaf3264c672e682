//! Making the schema, and checking it.

use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::Statement;
use tokio::time::{Instant, sleep};

use super::ddl::{self, ServerKind};
use super::introspect::FoundSchema;
use super::meta::{self, Meta};
use super::query::statement_failed;
use crate::store::cql::connect::{Profiles, connect, nodes_in_order, one_node};
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;

/// How long after an identity was written it is read again. Another maker's write under way may
/// take 3 s; there is a second of margin.
const SETTLE: Duration = Duration::from_secs(4);

/// How long a maker may take from having seen no identity to having written one. A slower one reads
/// again, so that its write does not come after the others settled.
const MAKE_WITHIN: Duration = Duration::from_secs(1);

/// From one to the other of the two reads that must agree.
const AGREE_AFTER: Duration = Duration::from_millis(200);

/// How often a statement is tried that conflicts with another change of the schema.
const TRIES: u32 = 10;

/// From one try to the next.
const TRY_AFTER: Duration = Duration::from_millis(500);

/// What was changed by applying the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaChange {
    /// The kind of the servers.
    pub kind: ServerKind,
    /// Tables that were not there.
    pub made: Vec<&'static str>,
    /// Tables whose TTL was changed.
    pub altered: Vec<&'static str>,
}

/// Makes the keyspace, the tables, the identity and the version where they are missing, and sets
/// the TTLs of the options. It may run again, and in several places at once.
///
/// # Errors
///
/// Differences that it cannot change: a newer version, another namespace, a column of another type.
pub async fn apply(options: &CqlOptions) -> Result<SchemaChange, CqlOpenError> {
    let session = connect_for_schema(options).await?;
    let kind = kind_of(&session);
    let mut before = FoundSchema::read(&session, options).await?;
    if !before.is_there() {
        // If the keyspace exists, no right to create one is needed.
        change(&session, options, &ddl::keyspace(options)).await?;
        before = FoundSchema::read(&session, options).await?;
    }
    if before.has("meta") {
        let meta = Meta::read(&session, options).await?;
        meta.version(options)?;
        meta.check_namespace(options)?;
    }
    let mut applied = SchemaChange { kind, made: Vec::new(), altered: Vec::new() };
    for (name, create) in ddl::tables(options, kind).filter(|(name, _)| !before.has(name)) {
        change(&session, options, &create).await?;
        applied.made.push(name);
    }
    let found = FoundSchema::read(&session, options).await?;
    for (name, _, _) in found.other_lives(options) {
        if let Some(keep) = ddl::keep(options, kind, name) {
            change(&session, options, &keep).await?;
            applied.altered.push(name);
        }
    }
    if let Some(difference) = found.differences(options).into_iter().next() {
        return Err(CqlOpenError::Schema { keyspace: options.cql.keyspace.clone(), difference });
    }
    settle_identity(&session, options).await?;
    meta::finish(&session, options).await?;
    Ok(applied)
}

/// Drops the keyspace with all that is in it: for measurements, which make one of their own.
///
/// # Errors
///
/// If the servers do not answer, or refuse.
pub async fn drop_keyspace(options: &CqlOptions) -> Result<(), CqlOpenError> {
    let session = connect_for_schema(options).await?;
    let drop = format!("DROP KEYSPACE IF EXISTS {}", options.cql.keyspace);
    change(&session, options, &drop).await
}

/// Returns everything that differs from the schema, and nothing if all is well.
///
/// # Errors
///
/// If the schema cannot be read.
pub async fn check(options: &CqlOptions) -> Result<Vec<String>, CqlOpenError> {
    let session = connect_for_schema(options).await?;
    let found = FoundSchema::read(&session, options).await?;
    let mut all = found.differences(options);
    let kept = |(name, found, wanted)| {
        format!("table `{name}` keeps rows for {found} s, not {wanted} s (0 means without end)")
    };
    all.extend(found.other_lives(options).into_iter().map(kept));
    if found.has("meta") {
        let said = match meta::admitted(&session, options).await {
            Ok(_) => None,
            Err(CqlOpenError::Schema { difference, .. }) => Some(difference),
            Err(error @ (CqlOpenError::Newer { .. } | CqlOpenError::Namespace { .. })) => {
                Some(error.to_string())
            }
            Err(error) => return Err(error),
        };
        all.extend(said);
    }
    Ok(all)
}

pub(super) async fn connect_for_schema(options: &CqlOptions) -> Result<Session, CqlOpenError> {
    connect(options, &Profiles::new(options)).await
}

/// Only `ScyllaDB` reports shards.
fn kind_of(session: &Session) -> ServerKind {
    let state = session.get_cluster_state();
    let has_shards = state.get_nodes_info().iter().any(|node| node.sharder().is_some());
    if has_shards { ServerKind::Scylla } else { ServerKind::Cassandra }
}

/// Makes an identity unless there is one, waits until all makers see the same, and writes that
/// again above their writes. So a late write of another maker changes nothing.
async fn settle_identity(session: &Session, options: &CqlOptions) -> Result<(), CqlOpenError> {
    loop {
        let seen = Instant::now();
        let known = Meta::read(session, options).await?;
        known.check_namespace(options)?;
        if known.version(options)?.is_some() && known.identity().is_some() {
            return Ok(());
        }
        meta::make(session, options, &known).await?;
        if known.identity.is_some() || seen.elapsed() <= MAKE_WITHIN {
            break;
        }
    }
    sleep(SETTLE).await;
    let agreed = agreement(session, options).await?;
    meta::confirm(session, options, &agreed).await?;
    agreement(session, options).await?.check_namespace(options)
}

/// The content that two reads in a row agree on.
async fn agreement(session: &Session, options: &CqlOptions) -> Result<Meta, CqlOpenError> {
    let mut before = Meta::read(session, options).await?;
    loop {
        sleep(AGREE_AFTER).await;
        let again = Meta::read(session, options).await?;
        if (&again.identity, &again.namespace) == (&before.identity, &before.namespace) {
            return Ok(again);
        }
        before = again;
    }
}

/// Changes the schema, and repeats it if another change was in the way. The driver waits until all
/// nodes have learned of it. All changes go through the same node while it is up: on Cassandra two
/// nodes that make one table at once make two.
async fn change(session: &Session, options: &CqlOptions, text: &str) -> Result<(), CqlOpenError> {
    let mut statement = Statement::new(text);
    statement.set_execution_profile_handle(Some(Profiles::new(options).schema));
    let mut tries = 1;
    loop {
        let nodes = nodes_in_order(session, &options.cql.datacenter);
        let first = nodes.into_iter().find(|node| node.is_connected());
        statement.set_load_balancing_policy(first.map(one_node));
        match session.query_unpaged(statement.clone(), ()).await {
            Ok(_) => return Ok(()),
            Err(error) if tries < TRIES && may_pass(&error) => {
                tries += 1;
                sleep(TRY_AFTER).await;
            }
            Err(error) => return Err(statement_failed(options, text, &error)),
        }
    }
}

/// Whether a change of the schema failed for a reason that passes: another change at the same time,
/// or a busy server. All of these statements may be repeated.
fn may_pass(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => !matches!(
            error,
            DbError::SyntaxError | DbError::Invalid | DbError::ConfigError | DbError::Unauthorized
        ),
        ExecutionError::BadQuery(_) | ExecutionError::EmptyPlan => false,
        _ => true,
    }
}
