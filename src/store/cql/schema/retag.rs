//! A new identity for a keyspace that was restored from a backup.

use super::apply::connect_for_schema;
use super::meta;
use crate::store::RetaggedStore;
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;

/// Gives a keyspace that no node uses a new identity. Cursors that were sealed before are those of
/// another store from then on.
///
/// # Errors
///
/// The keyspace is none that a node may work on, or no quorum of its servers answers.
pub async fn retag(options: &CqlOptions) -> Result<RetaggedStore, CqlOpenError> {
    let session = connect_for_schema(options).await?;
    let before = meta::admitted(&session, options).await?;
    let after = meta::replace_identity(&session, options, &before.renumbered()).await?;
    Ok(RetaggedStore { before: before.id, after: after.id })
}
