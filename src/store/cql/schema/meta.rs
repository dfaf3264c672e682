//! What a keyspace states about itself.
//!
//! | key of `meta` | value |
//! | --- | --- |
//! | `identity` | store id (16 hexadecimal digits), cursor key (64) |
//! | `namespace` | the namespace |
//! | `version` | the schema's version, `1.0`, written last: nodes look for it |
//!
//! There are no conditional statements on tablets. So identity and namespace are written with one
//! constant timestamp: of two that are made at once the larger value stays, on every replica. What
//! the makers then read is written once more with a larger timestamp, above any write that comes
//! late.

use scylla::client::session::Session;

use super::query::{ask, statement_failed};
use super::version::{SchemaVersion, VERSION};
use crate::store::cql::error::CqlOpenError;
use crate::store::cql::options::CqlOptions;
use crate::store::{CursorKey, Identity, StoreId};

/// The timestamp of rows that are made once.
const MADE_ONCE: i64 = 1;

/// The timestamp of the rows that all makers agreed on.
const AGREED: i64 = 2;

const IDENTITY: &str = "identity";
const NAMESPACE: &str = "namespace";
const VERSION_KEY: &str = "version";

/// The rows of `meta`, read at quorum.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meta {
    pub(super) identity: Option<String>,
    pub(super) namespace: Option<String>,
    version: Option<String>,
}

impl Meta {
    pub(super) async fn read(
        session: &Session,
        options: &CqlOptions,
    ) -> Result<Self, CqlOpenError> {
        let all = format!("SELECT key, value FROM {}.meta LIMIT 100", options.cql.keyspace);
        let mut meta = Self::default();
        for (key, value) in ask::<(String, Option<String>)>(session, options, &all).await? {
            match key.as_str() {
                IDENTITY => meta.identity = value,
                NAMESPACE => meta.namespace = value,
                VERSION_KEY => meta.version = value,
                _ => {}
            }
        }
        Ok(meta)
    }

    /// The version; none if the schema is not complete.
    pub(super) fn version(
        &self,
        options: &CqlOptions,
    ) -> Result<Option<SchemaVersion>, CqlOpenError> {
        let keyspace = options.cql.keyspace.clone();
        let Some(text) = &self.version else { return Ok(None) };
        match text.parse::<SchemaVersion>() {
            Ok(found) if found.major > VERSION.major => {
                Err(CqlOpenError::Newer { keyspace, found, known: VERSION })
            }
            Ok(found) => Ok(Some(found)),
            Err(()) => {
                let difference = format!("row `version` of `meta` is `{text}`, not a version");
                Err(CqlOpenError::Schema { keyspace, difference })
            }
        }
    }

    /// Refuses another namespace than the configured one.
    pub(super) fn check_namespace(&self, options: &CqlOptions) -> Result<(), CqlOpenError> {
        match &self.namespace {
            Some(stored) if *stored != options.namespace => Err(CqlOpenError::Namespace {
                keyspace: options.cql.keyspace.clone(),
                stored: stored.clone(),
                configured: options.namespace.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// The identity, if it is complete.
    pub(super) fn identity(&self) -> Option<Identity> {
        let (id, key) = self.identity.as_deref()?.split_once(' ')?;
        if (id.len(), key.len()) != (16, 64) || !key.is_ascii() {
            return None;
        }
        let mut bytes = [0; 32];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&key[2 * at..2 * at + 2], 16).ok()?;
        }
        Some(Identity {
            id: StoreId(u64::from_str_radix(id, 16).ok()?),
            cursor_key: CursorKey::new(bytes),
            namespace: self.namespace.clone()?,
        })
    }
}

/// Writes identity and namespace, where they are absent.
pub(super) async fn make(
    session: &Session,
    options: &CqlOptions,
    known: &Meta,
) -> Result<(), CqlOpenError> {
    if known.namespace.is_none() {
        write(session, options, NAMESPACE, &options.namespace, MADE_ONCE).await?;
    }
    if known.identity.is_none() {
        let text = identity_text(&Identity::random(&options.namespace));
        write(session, options, IDENTITY, &text, MADE_ONCE).await?;
    }
    Ok(())
}

fn identity_text(identity: &Identity) -> String {
    let key = identity.cursor_key.expose().map(|byte| format!("{byte:02x}")).concat();
    format!("{} {key}", identity.id)
}

/// Writes another identity right above the stored one. Of two that are written at once one stays,
/// on every replica: it is returned.
pub(super) async fn replace_identity(
    session: &Session,
    options: &CqlOptions,
    identity: &Identity,
) -> Result<Identity, CqlOpenError> {
    let when = format!(
        "SELECT WRITETIME(value) FROM {}.meta WHERE key = '{IDENTITY}'",
        options.cql.keyspace
    );
    let stored = ask::<(Option<i64>,)>(session, options, &when).await?;
    let stored = stored.into_iter().find_map(|(time,)| time).unwrap_or(AGREED);
    let text = identity_text(identity);
    write(session, options, IDENTITY, &text, stored.saturating_add(1)).await?;
    admitted(session, options).await
}

/// Writes again what the makers agreed on.
pub(super) async fn confirm(
    session: &Session,
    options: &CqlOptions,
    agreed: &Meta,
) -> Result<(), CqlOpenError> {
    for (key, value) in [(NAMESPACE, &agreed.namespace), (IDENTITY, &agreed.identity)] {
        if let Some(value) = value {
            write(session, options, key, value, AGREED).await?;
        }
    }
    Ok(())
}

/// Writes the version, with the version as timestamp, so that a later one stays.
pub(super) async fn finish(session: &Session, options: &CqlOptions) -> Result<(), CqlOpenError> {
    write(session, options, VERSION_KEY, &VERSION.to_string(), VERSION.timestamp()).await
}

async fn write(
    session: &Session,
    options: &CqlOptions,
    key: &str,
    value: &str,
    timestamp: i64,
) -> Result<(), CqlOpenError> {
    let insert = format!(
        "INSERT INTO {}.meta (key, value) VALUES (?, ?) USING TIMESTAMP {timestamp}",
        options.cql.keyspace
    );
    let written = session.query_unpaged(insert, (key, value)).await;
    written
        .map(drop)
        .map_err(|error| statement_failed(options, &format!("row `{key}` of `meta`"), &error))
}

/// Returns the identity of a keyspace that a node may work on.
pub(in super::super) async fn admitted(
    session: &Session,
    options: &CqlOptions,
) -> Result<Identity, CqlOpenError> {
    let refused = |difference: String| CqlOpenError::Schema {
        keyspace: options.cql.keyspace.clone(),
        difference,
    };
    let meta = Meta::read(session, options).await?;
    let version = meta.version(options)?;
    if version < Some(VERSION) {
        let found = version.map_or("not finished".to_owned(), |found| found.to_string());
        return Err(refused(format!("schema version {found}, it must be at least {VERSION}")));
    }
    meta.check_namespace(options)?;
    meta.identity().ok_or_else(|| refused("row `identity` of `meta` is missing or corrupt".into()))
}
