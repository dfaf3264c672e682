//! Clocks that are set, of a node and of one of the store's three servers.

use std::sync::Arc;
use std::time::Duration;

use crate::alarms::talkers::Talkers;
use crate::alarms::watch::Watch;
use crate::cluster::watch::world::Nodes;
use crate::harness::{CqlServer, FalseClock, Process, RedisServer, Served};
use crate::parts::keyspace::Keyspace;
use crate::parts::layout::{MANY, Named, layouts};
use crate::parts::plant::Plant;

pub const ALERTS: [&str; 2] = ["NarrowcastClockUnknown", "NarrowcastClocksApart"];

/// How long an alert may take: two checks of the clock, 2 s apart, and five minutes in faster time.
const SOON: Duration = Duration::from_secs(60);

/// How far a clock is set ahead, in seconds.
const AHEAD: i64 = 5;

#[tokio::test]
#[ignore = "needs prometheus, faketime, redis-server and a CQL server, and takes minutes"]
async fn clocks_that_are_set_fire_alerts() {
    let servers = CqlServer::ring_with_clocks(3);
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let keyspace = Keyspace::on(servers.iter().map(CqlServer::address).collect());
    let clock = Arc::new(FalseClock::default());
    let own = Arc::clone(&clock);
    let mut plant = Plant::new(keyspace).started_by(move |config| {
        let mut command = Process::narrowcast();
        command.args(["serve", "--config"]).arg(config);
        own.show_to(&mut command);
        Served::of(command)
    });
    plant.add(&layouts(&layout, &[&layout])).await;
    plant.all_ready().await;
    let mut watch = Watch::start(&[plant.operator(0).address().to_owned()]).await;
    let talkers = Talkers::start(&plant.urls(), 4);
    watch.is_calm(Duration::from_secs(5)).await;

    let name = "the clock of one of three CQL servers is set 5 s ahead";
    watch.expect(name, &["NarrowcastClocksApart"]).await;
    servers[2].set_ahead(AHEAD);
    watch.fire(SOON).await;
    servers[2].set_ahead(0);
    watch.heal();

    watch.expect("a node's clock is set 5 s ahead", &["NarrowcastClockUnknown"]).await;
    clock.set_ahead(AHEAD);
    watch.fire(SOON).await;
    clock.set_ahead(0);
    watch.heal();
    watch.end().await;
    drop(talkers);
    plant.end_all();
}
