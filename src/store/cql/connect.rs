//! Connecting: the driver's session, and how requests of each kind are run.
//!
//! | what | is | because |
//! | --- | --- | --- |
//! | consistency | `LOCAL_QUORUM` | every node reads what was acknowledged, and waits for no other datacenter |
//! | nodes asked | replicas first, of one datacenter alone | a failover to another one would read behind it |
//! | retry | the driver's default | never with a lower consistency; [`Attempts`](super::attempts) keeps it truthful |
//! | speculative | one, after 300 ms | a frozen server of three costs a third of the requests otherwise (measured) |
//! | compression | none | messages are some hundred bytes on a near network: CPU is scarcer |
//! | timestamps | each statement's own | ids and stamps decide, not the coordinator's clock |
//! | paging | none: every read has a `LIMIT` | its page is one answer |

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::client::{PoolSize, SelfIdentity};
use scylla::cluster::Node;
use scylla::errors::NewSessionError;
use scylla::policies::load_balancing::{
    DefaultPolicy, LoadBalancingPolicy, NodeIdentifier, SingleTargetLoadBalancingPolicy,
};
use scylla::policies::retry::{DefaultRetryPolicy, FallthroughRetryPolicy};
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::statement::Consistency;

use super::error::CqlOpenError;
use super::options::CqlOptions;
use crate::tls::{ClientConfig, TlsFileError, TlsFiles};

/// For connecting in all: after this time a node that starts had better report that it cannot.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// For one TCP connection and its handshakes, so that several nodes can be tried within the time
/// above.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(3);

/// From one keepalive request on a connection to the next, and for its answer: a frozen server is
/// noticed within 4 s, inside a lease. The driver's default of 30 s and 30 s would send it a third
/// of the requests for as long.
const KEEPALIVE: Duration = Duration::from_secs(2);

/// From one TCP keepalive probe to the next: in the middle of a TLS handshake there is no other
/// check.
const TCP_KEEPALIVE: Duration = Duration::from_secs(5);

/// For resolving a host name.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// From one read of the list of nodes to the next, beside what the servers announce.
const METADATA_EVERY: Duration = Duration::from_mins(1);

/// For all nodes to learn of a change of the schema.
const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// When a second node gets the same request: far above a quorum's usual answer of some
/// milliseconds, and far below the lease.
const SPECULATE_AFTER: Duration = Duration::from_millis(300);

/// For the answer of a clock: a late one is not a sample.
const TIME_TIMEOUT: Duration = Duration::from_secs(1);

/// For a change of the schema: busy servers take a second for each table.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(20);

/// How requests of each kind are run.
#[derive(Debug, Clone)]
pub(super) struct Profiles {
    pub(super) write: ExecutionProfileHandle,
    pub(super) read: ExecutionProfileHandle,
    pub(super) time: ExecutionProfileHandle,
    pub(super) schema: ExecutionProfileHandle,
}

impl Profiles {
    pub(super) fn new(options: &CqlOptions) -> Self {
        let base = ExecutionProfile::builder()
            .consistency(Consistency::LocalQuorum)
            .load_balancing_policy(nodes_of(&options.cql.datacenter));
        let speculative = SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: SPECULATE_AFTER,
        };
        let steady = base
            .clone()
            .retry_policy(Arc::new(DefaultRetryPolicy::new()))
            .speculative_execution_policy(Some(Arc::new(speculative)));
        let single = base
            .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
            .speculative_execution_policy(None);
        let within = |timeout| Some(timeout);
        Self {
            write: steady
                .clone()
                .request_timeout(within(options.waits.write))
                .build()
                .into_handle(),
            read: steady.request_timeout(within(options.waits.read)).build().into_handle(),
            time: single
                .clone()
                .consistency(Consistency::One)
                .request_timeout(within(TIME_TIMEOUT))
                .build()
                .into_handle(),
            schema: single.request_timeout(within(SCHEMA_TIMEOUT)).build().into_handle(),
        }
    }
}

/// The nodes of a datacenter in the order of their ids, connected or not.
pub(super) fn nodes_in_order(session: &Session, datacenter: &str) -> Vec<Arc<Node>> {
    let state = session.get_cluster_state();
    let is_ours = |node: &&Arc<Node>| node.datacenter.as_deref() == Some(datacenter);
    let mut nodes: Vec<_> = state.get_nodes_info().iter().filter(is_ours).cloned().collect();
    nodes.sort_unstable_by_key(|node| node.host_id);
    nodes
}

/// A node's name: its address.
pub(super) fn name_of(node: &Node) -> Arc<str> {
    node.address.to_string().into()
}

/// A policy that asks one node.
pub(super) fn one_node(node: Arc<Node>) -> Arc<dyn LoadBalancingPolicy> {
    SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(node), None)
}

fn nodes_of(datacenter: &str) -> Arc<dyn LoadBalancingPolicy> {
    DefaultPolicy::builder()
        .prefer_datacenter(datacenter.to_owned())
        .token_aware(true)
        .permit_dc_failover(false)
        .build()
}

/// A session with the nodes, on this runtime.
pub(super) async fn connect(
    options: &CqlOptions,
    profiles: &Profiles,
) -> Result<Session, CqlOpenError> {
    let refused =
        |reason: String| CqlOpenError::Connect { nodes: options.cql.nodes.join(", "), reason };
    let builder = builder(options, profiles)?;
    let built = tokio::time::timeout(CONNECT_TIMEOUT, builder.build()).await;
    let session = built
        .map_err(|_| refused(format!("no answer within {} s", CONNECT_TIMEOUT.as_secs())))?
        .map_err(|error: NewSessionError| refused(error.to_string()))?;
    check_datacenter(&session, &options.cql.datacenter)?;
    Ok(session)
}

fn builder(options: &CqlOptions, profiles: &Profiles) -> Result<SessionBuilder, CqlOpenError> {
    let connections = NonZeroUsize::new(options.cql.connections).unwrap_or(NonZeroUsize::MIN);
    let identity = SelfIdentity::new()
        .with_application_name("narrowcast")
        .with_application_version(env!("CARGO_PKG_VERSION"));
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.cql.nodes)
        .default_execution_profile_handle(profiles.read.clone())
        .pool_size(PoolSize::PerShard(connections))
        .compression(None)
        .connection_timeout(CONNECTION_TIMEOUT)
        .hostname_resolution_timeout(Some(RESOLVE_TIMEOUT))
        .keepalive_interval(KEEPALIVE)
        .keepalive_timeout(KEEPALIVE)
        .tcp_keepalive_interval(TCP_KEEPALIVE)
        .cluster_metadata_refresh_interval(METADATA_EVERY)
        .schema_agreement_timeout(AGREEMENT_TIMEOUT)
        // The schema is needed only for the replicas of this keyspace.
        .keyspaces_to_fetch([options.cql.keyspace.as_str()])
        // Operators find this program's connections, with these settings, in `system.clients`.
        .custom_identity(identity)
        .driver_config_reporting(true);
    if let Some(who) = &options.cql.credentials {
        let password = String::from_utf8_lossy(who.password.expose());
        builder = builder.user(&who.username, password);
    }
    if let Some(path) = options.cql.tls.trusted() {
        builder = builder.tls_context(Some(trusting(path)?));
    }
    Ok(builder)
}

/// A TLS client that trusts the authorities of a file. A node's certificate must name the address
/// that is connected to.
fn trusting(path: &Path) -> Result<Arc<ClientConfig>, CqlOpenError> {
    let files = TlsFiles { authorities: Some(path.to_owned()), ..TlsFiles::default() };
    files
        .read()
        .map_err(|TlsFileError { path, why }| CqlOpenError::Certificates { path, reason: why })
}

/// A datacenter without nodes would leave every statement without a node to go to.
fn check_datacenter(session: &Session, wanted: &str) -> Result<(), CqlOpenError> {
    let state = session.get_cluster_state();
    let mut found: Vec<&str> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    found.sort_unstable();
    found.dedup();
    if found.contains(&wanted) {
        return Ok(());
    }
    let found = found.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    Err(CqlOpenError::Datacenter { configured: wanted.to_owned(), found })
}
