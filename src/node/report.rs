//! What a node reports of itself to the operators of all.

use std::net::SocketAddr;
use std::sync::Arc;

use super::host::reached_at;
use crate::agent::ClusterTable;
use crate::cluster::NodeReport;
use crate::health::Readiness;
use crate::services::Services;

/// Returns the table of the live nodes, to which this node reports with each heartbeat.
pub(super) fn cluster_table(
    services: &Arc<Services>,
    readiness: &Arc<Readiness>,
    operator: SocketAddr,
) -> ClusterTable {
    let (services, readiness) = (Arc::clone(services), Arc::clone(readiness));
    let operator = reached_at(operator).to_string();
    ClusterTable::new(move || {
        let (status, reasons) = readiness.verdict();
        NodeReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operator: operator.clone(),
            status: status.to_string(),
            reasons: reasons.into_iter().map(|reason| reason.detail).collect(),
            sessions: u64::try_from(services.metrics.sessions.open.get()).unwrap_or_default(),
            lag_ms: services.watermark_lag().map(|lag| lag.as_millis() as u64),
        }
    })
}
