//! The checks between a directory and a store: its owner, and the version of its layout.

use std::time::Duration;

use super::EmbeddedOptions;
use super::meta;
use super::open_error::OpenError;
use super::tables::Tables;
use crate::clock::Readable;
use crate::domain::Micros;
use crate::store::Identity;

/// From this difference on a warning is logged that the stored time is ahead of the wall clock. The
/// machine's clock was wrong then or is wrong now. Ids go on above the stored ones either way, and
/// everything measured against the time of ids goes by them.
const CLOCK_AHEAD_TOLD: Duration = Duration::from_mins(1);

/// Returns the identity and the high-water mark of the tables. Makes them if the tables are new.
pub(super) fn admit(
    tables: &Tables,
    options: &EmbeddedOptions,
    wall: Micros,
) -> Result<(Identity, Micros), OpenError> {
    let refused = |error| OpenError::meta(&options.path, error);
    let complete =
        || tables.files.complete().map_err(|error| OpenError::engine(&options.path, &error));
    let Some(identity) = meta::identity(tables).map_err(refused)? else {
        if !tables.is_new {
            return Err(OpenError::Unidentified { path: options.path.clone() });
        }
        let made = meta::create(tables, &options.namespace).map_err(refused)?;
        complete()?;
        return Ok(made);
    };
    let high_water = meta::high_water(tables).map_err(refused)?;
    same_namespace(&identity, options)?;
    tell_if_ahead(high_water, wall);
    // A version with more tables has made them by now.
    complete()?;
    Ok((identity, high_water))
}

fn same_namespace(identity: &Identity, options: &EmbeddedOptions) -> Result<(), OpenError> {
    if identity.namespace == options.namespace {
        return Ok(());
    }
    Err(OpenError::Namespace {
        path: options.path.clone(),
        stored: identity.namespace.clone(),
        configured: options.namespace.clone(),
    })
}

fn tell_if_ahead(high_water: Micros, wall: Micros) {
    let ahead = high_water.since(wall);
    if ahead > CLOCK_AHEAD_TOLD {
        tracing::warn!(
            newest_id = %high_water, wall = %wall,
            "the store's newest id is {} ahead of the machine's clock; ids go on from there",
            Readable(ahead),
        );
    }
}
