//! A new identity for a keyspace that was restored from a backup.

use std::time::Duration;

use scylla::client::session::Session;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::apply::connect_for_schema;
use super::meta;
use super::query::{ask, statement_failed};
use crate::cluster::{DEAD_AFTER, Heartbeat, Incarnation};
use crate::store::RetaggedStore;
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::heartbeats::{ROWS_MAX, unspell};
use crate::store::cql::options::CqlOptions;

/// From one look at the cluster table to the next.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Gives a keyspace that no node uses a new identity. Cursors that were sealed before are those of
/// another store from then on. Nodes that did not say that they stopped are watched for
/// [`DEAD_AFTER`] first.
///
/// # Errors
///
/// The keyspace is none that a node may work on, a node lives, or no quorum of its servers answers.
pub async fn retag(options: &CqlOptions) -> Result<RetaggedStore, CqlOpenError> {
    let session = connect_for_schema(options).await?;
    let before = meta::admitted(&session, options).await?;
    if let Some(node) = live_node(async || heartbeats(&session, options).await).await? {
        return Err(CqlOpenError::InUse { keyspace: options.cql.keyspace.clone(), node });
    }
    let after = meta::replace_identity(&session, options, &before.renumbered()).await?;
    Ok(RetaggedStore { before: before.id, after: after.id })
}

/// Returns the name of a node that lives. A node that stopped has said so. Any other counts as dead
/// by the rule of nodes: its counter must stand still. No clock is compared, since that of this
/// machine may be wrong.
async fn live_node(
    mut read: impl AsyncFnMut() -> Result<Vec<Heartbeat>, CqlOpenError>,
) -> Result<Option<String>, CqlOpenError> {
    let first = read().await?;
    let shown = Instant::now();
    let Some(row) = first.iter().find(|row| !row.left) else { return Ok(None) };
    tracing::info!("node {} did not say that it stopped: watching it", row.about.node);
    loop {
        sleep(LOOK_AFTER).await;
        let begin = Instant::now();
        if let Some(row) = advanced(&first, &read().await?) {
            return Ok(Some(row.about.node.clone()));
        }
        if begin.duration_since(shown) >= DEAD_AFTER {
            return Ok(None);
        }
    }
}

/// Returns a heartbeat that a live node has written between two reads.
fn advanced<'r>(first: &[Heartbeat], later: &'r [Heartbeat]) -> Option<&'r Heartbeat> {
    let known = |row: &Heartbeat| first.iter().find(|it| it.incarnation == row.incarnation);
    let is_fresh = |row: &Heartbeat| known(row).is_none_or(|it| it.counter < row.counter);
    later.iter().find(|row| !row.left && is_fresh(row))
}

async fn heartbeats(
    session: &Session,
    options: &CqlOptions,
) -> Result<Vec<Heartbeat>, CqlOpenError> {
    let CqlOptions { namespace, cql, .. } = options;
    let select = format!(
        "SELECT incarnation, row FROM {}.heartbeats WHERE namespace = '{namespace}' LIMIT {ROWS_MAX}",
        cql.keyspace
    );
    let found = ask::<(Uuid, Option<String>)>(session, options, &select).await?;
    if found.len() >= ROWS_MAX {
        // One that is left out may be of a live node.
        return Err(statement_failed(options, &select, &format!("{ROWS_MAX} rows or more")));
    }
    let mut rows = Vec::with_capacity(found.len());
    for (incarnation, text) in found {
        let Some(text) = text else { continue };
        let row = unspell(Incarnation(incarnation.as_u128()), &text).map_err(|reason| {
            statement_failed(options, &format!("row `{incarnation}` of `heartbeats`"), &reason)
        });
        rows.push(row?);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::sample::row;

    #[test]
    fn a_node_lives_if_its_counter_rises_or_it_is_new() {
        let first = [row(1, 5), row(2, 5)];
        let left = Heartbeat { left: true, ..row(2, 6) };
        for (later, live) in [
            (vec![], None),
            (vec![row(1, 5), row(2, 5)], None),
            (vec![row(1, 4)], None),
            (vec![row(1, 5), left], None),
            (vec![row(1, 5), row(2, 6)], Some(2)),
            (vec![row(1, 5), row(3, 1)], Some(3)),
        ] {
            let found = advanced(&first, &later).map(|row| row.incarnation.0);
            assert_eq!(found, live, "{later:?}");
        }
    }

    /// How long a node is watched whose counter and whether it left depend on the number of the read.
    async fn watched(beat: impl Fn(u64) -> (u64, bool)) -> (Option<String>, Duration) {
        let (begun, mut reads) = (Instant::now(), 0);
        let live = live_node(async || {
            reads += 1;
            let (counter, left) = beat(reads);
            Ok(vec![Heartbeat { left, ..row(1, counter) }])
        });
        (live.await.unwrap(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_watched_until_it_lives_or_is_dead() {
        assert_eq!(watched(|_| (5, true)).await, (None, Duration::ZERO));
        assert_eq!(watched(|_| (5, false)).await, (None, DEAD_AFTER));
        // It writes every 2 s, and its last writes may have been slow.
        let (name, took) = watched(|read| (read / 12, false)).await;
        assert_eq!((name.as_deref(), took), (Some("n1"), LOOK_AFTER * 11));
        // It stops while it is watched.
        assert_eq!(watched(|read| (read, read > 1)).await.0, None);
    }
}
