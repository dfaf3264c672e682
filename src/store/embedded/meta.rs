//! What the embedded store states about itself.
//!
//! | key of `meta` | value |
//! | --- | --- |
//! | `identity` | schema version (1 byte), store id (8, big-endian), cursor key (32), namespace |
//! | `high_water` | the largest time of any message's id and any stamp stored (8 bytes, big-endian, microseconds) |

use fjall::OwnedWriteBatch;

use super::tables::Tables;
use crate::domain::Micros;
use crate::store::{CursorKey, Identity, StoreId};

/// The version of the tables, their keys and the rows of `meta`.
pub(super) const SCHEMA: u8 = 1;

pub(super) const IDENTITY: &str = "identity";
pub(super) const HIGH_WATER: &str = "high_water";

/// A row of `meta` that cannot be used.
#[derive(Debug)]
pub(super) enum MetaError {
    Engine(fjall::Error),
    Schema(u8),
    Row { key: &'static str, defect: &'static str },
}

impl From<fjall::Error> for MetaError {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

/// Makes a store in one batch, so that all of it exists or none.
pub(super) fn create(tables: &Tables, namespace: &str) -> Result<(Identity, Micros), MetaError> {
    let identity = Identity::random(namespace);
    let high_water = Micros::default();
    let mut batch = tables.batch(2);
    batch.insert(&tables.meta, IDENTITY, identity_row(&identity));
    put_high_water(&mut batch, tables, high_water);
    batch.commit()?;
    Ok((identity, high_water))
}

/// Replaces the identity, durably.
pub(super) fn replace_identity(tables: &Tables, identity: &Identity) -> Result<(), MetaError> {
    let mut batch = tables.batch(1);
    batch.insert(&tables.meta, IDENTITY, identity_row(identity));
    Ok(batch.commit()?)
}

fn identity_row(identity: &Identity) -> Vec<u8> {
    let mut row = vec![SCHEMA];
    row.extend_from_slice(&identity.id.0.to_be_bytes());
    row.extend_from_slice(identity.cursor_key.expose());
    row.extend_from_slice(identity.namespace.as_bytes());
    row
}

/// The stored identity; none in new tables. Messages without an identity are not a new store: a
/// fresh identity would make all their cursors invalid.
pub(super) fn identity(tables: &Tables) -> Result<Option<Identity>, MetaError> {
    match tables.meta.get(IDENTITY)? {
        Some(row) => read_identity(&row).map(Some),
        None if tables.messages.is_empty()? => Ok(None),
        None => Err(MetaError::Row { key: IDENTITY, defect: "missing" }),
    }
}

fn read_identity(row: &[u8]) -> Result<Identity, MetaError> {
    match row.split_first() {
        Some((&SCHEMA, rest)) => identity_parts(rest),
        Some((&found, _)) => return Err(MetaError::Schema(found)),
        None => None,
    }
    .ok_or(MetaError::Row { key: IDENTITY, defect: "corrupt" })
}

fn identity_parts(rest: &[u8]) -> Option<Identity> {
    let (id, rest) = rest.split_first_chunk()?;
    let (cursor_key, namespace) = rest.split_first_chunk()?;
    Some(Identity {
        id: StoreId(u64::from_be_bytes(*id)),
        cursor_key: CursorKey::new(*cursor_key),
        namespace: std::str::from_utf8(namespace).ok()?.to_owned(),
    })
}

/// The stored high-water mark.
pub(super) fn high_water(tables: &Tables) -> Result<Micros, MetaError> {
    let defect = |defect| MetaError::Row { key: HIGH_WATER, defect };
    let row = tables.meta.get(HIGH_WATER)?.ok_or(defect("missing"))?;
    let bytes = <[u8; 8]>::try_from(&*row).map_err(|_| defect("corrupt"))?;
    Ok(Micros(u64::from_be_bytes(bytes)))
}

/// Stores the high-water mark with a batch.
pub(super) fn put_high_water(batch: &mut OwnedWriteBatch, tables: &Tables, time: Micros) {
    batch.insert(&tables.meta, HIGH_WATER, time.0.to_be_bytes());
}
