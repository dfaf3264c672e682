//! The operator's listener: `/healthz`, `/readyz`, `/metrics`, `/v1/cluster`.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::cluster::cluster;
use super::health::{self, Asker};
use super::problem::{Problem, body, json};
use crate::agent::ClusterTable;
use crate::domain::Class;
use crate::health::Readiness;
use crate::protocol::{Code, ErrorReply};
use crate::services::Services;
use crate::shards::LinkState;
use crate::socket::{self, HttpWaits};
use crate::telemetry::LogThrottle;

/// How long an operator's request may take to arrive, and its answer to be taken.
const REQUEST: Duration = Duration::from_secs(5);

/// How long to wait after an accept failed: less than what a health check waits.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Connections at once: some for each scraper and for each load balancer that checks the health,
/// and some for people. One more ends the one that has asked for nothing for the longest time.
pub const OPERATOR_CONNECTIONS_MAX: usize = 256;

/// The operator's listener.
#[derive(Debug)]
pub struct OperatorPort {
    readiness: Arc<Readiness>,
    services: Arc<Services>,
    table: Arc<ClusterTable>,
    max: usize,
    waits: HttpWaits,
}

/// A connection that was accepted.
struct Accepted {
    /// When it was accepted, or last asked for something.
    asked: Rc<Cell<Instant>>,
    task: JoinHandle<()>,
}

impl OperatorPort {
    /// Allows at most `max` connections at once, and never more than [`OPERATOR_CONNECTIONS_MAX`].
    /// Each may wait for `keep_alive` for its next request.
    pub fn new(
        readiness: Arc<Readiness>,
        services: Arc<Services>,
        table: Arc<ClusterTable>,
        max: usize,
        keep_alive: Duration,
    ) -> Self {
        let waits = HttpWaits { header: REQUEST, keep_alive, write_stall: REQUEST };
        let max = max.clamp(1, OPERATOR_CONNECTIONS_MAX);
        Self { readiness, services, table, max, waits }
    }

    /// Serves until it is dropped.
    pub async fn run(self: Rc<Self>, listener: TcpListener) {
        let (mut accepted, log) = (Vec::new(), LogThrottle::default());
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    self.services.metrics.listeners.accept_errors.inc();
                    if let Some(count) = log.count() {
                        tracing::warn!(%error, count, "cannot accept connections of operators");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            make_room(&mut accepted, self.max).await;
            accepted.push(self.begin(stream));
        }
    }

    fn begin(self: &Rc<Self>, stream: TcpStream) -> Accepted {
        let asked = Rc::new(Cell::new(Instant::now()));
        let task = tokio::task::spawn_local(Rc::clone(self).serve(stream, Rc::clone(&asked)));
        Accepted { asked, task }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream, asked: Rc<Cell<Instant>>) {
        let respond = async |request: Request<_>| {
            asked.set(Instant::now());
            self.respond(&request)
        };
        if let Err(error) = socket::serve_http1(stream, self.waits, respond).await {
            tracing::debug!(%error, "an operator's connection failed");
        }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        if let Some(response) = health::answer(method, path, &self.readiness, Asker::Operator) {
            return response;
        }
        match path {
            "/metrics" => health::looked_at(method, || {
                let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
                body(StatusCode::OK, content_type, metrics(&self.readiness, &self.services))
            }),
            "/v1/cluster" => health::looked_at(method, || {
                json(StatusCode::OK, &cluster(&self.services, &self.readiness, &self.table))
            }),
            _ => {
                let detail = "this port serves /healthz, /readyz, /metrics and /v1/cluster";
                Problem::from(ErrorReply::new(Code::NotFound, detail)).response()
            }
        }
    }
}

/// Makes room for one connection, so that idle connections cannot block the port.
async fn make_room(accepted: &mut Vec<Accepted>, max: usize) {
    accepted.retain(|connection| !connection.task.is_finished());
    if accepted.len() < max {
        return;
    }
    let stalest = (0..accepted.len()).min_by_key(|at| accepted[*at].asked.get());
    if let Some(at) = stalest {
        let Accepted { task, .. } = accepted.swap_remove(at);
        task.abort();
        // Its descriptor is free once the task is gone.
        let _aborted = task.await;
    }
}

/// Returns all metrics. Those that are a state and not a count are computed now.
fn metrics(readiness: &Readiness, services: &Services) -> String {
    let metrics = &services.metrics;
    metrics.agent.ready.set(health::is_ready(readiness.verdict().0).into());
    show_layout(services);
    for (gauge, count) in metrics.shards.connections.iter().zip(readiness.links_by_state()) {
        gauge.set(count);
    }
    let links = readiness.links();
    for shard in services.cluster.layouts.shards() {
        let mut own = links.iter().filter(|link| link.shard == *shard);
        metrics.shards.show_up(shard, own.all(|link| matches!(link.state, LinkState::Up { .. })));
    }
    metrics.agent.live_nodes.set(services.cluster.live_nodes().into());
    metrics.sessions.outbox_bytes.set(services.budget.used() as i64);
    // There is no lag before the first watermark. NaN raises no alarm that compares.
    metrics.watermark.lag.set(services.watermark_lag().map_or(f64::NAN, |lag| lag.as_secs_f64()));
    let rates = &services.config.delivery;
    let read_rates =
        [rates.repair.reads_per_s, rates.repair.resume_reads_per_s, rates.audit_reads_per_s];
    for (gauge, rate) in metrics.recovery.read_rates.iter().zip(read_rates) {
        gauge.set(rate.into());
    }
    if let Some(figures) = services.store.figures() {
        metrics.store.show(&figures);
    }
    metrics.render()
}

/// Sets the layout in force, and how much of it this node needs.
fn show_layout(services: &Services) {
    let (bus, cluster) = (&services.metrics.bus, &services.cluster);
    let published = cluster.layouts.published();
    for class in Class::ALL {
        let place = class as usize;
        bus.buckets_held[place].set(cluster.interest.held(class).into());
        bus.keys_held[place].set(cluster.worker_interest.held(class).into());
        bus.layout_buckets[place].set(published.buckets().of(class).get().into());
    }
    bus.layout_shards.set(published.shards().len() as i64);
    bus.buckets_lingering.set(cluster.interest.lingering() as i64);
}
