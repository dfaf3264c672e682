//! A new identity for a store that was restored from a backup.

use std::path::Path;

use super::files;
use super::meta;
use super::open_error::OpenError;
use super::tables::Tables;
use crate::store::RetaggedStore;

/// Gives a store that no process has open a new identity. Cursors that were sealed before are those
/// of another store from then on.
pub fn retag(path: &Path) -> Result<RetaggedStore, OpenError> {
    // The engine would make a store where there is none.
    if files::is_empty(path) {
        return Err(OpenError::Unidentified { path: path.to_owned() });
    }
    let tables = Tables::open(path)?;
    let refused = |error| OpenError::meta(path, error);
    let Some(before) = meta::identity(&tables).map_err(refused)? else {
        return Err(OpenError::Unidentified { path: path.to_owned() });
    };
    let after = before.renumbered();
    meta::replace_identity(&tables, &after).map_err(refused)?;
    tables.files.complete().map_err(|error| OpenError::engine(path, &error))?;
    Ok(RetaggedStore { before: before.id, after: after.id })
}
