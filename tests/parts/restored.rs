//! A keyspace that was restored from snapshots.

use super::keyspace::Keyspace;
use super::layout::{MANY, Named, layouts};
use super::plant::Plant;
use crate::cluster::resume::resume;
use crate::harness::{Process, RedisServer, token};

#[tokio::test]
#[ignore = "needs redis-server and a CQL server"]
async fn a_restored_keyspace_believes_no_earlier_cursor() {
    let redis = [RedisServer::start(&[])];
    let layout = Named::new("a", MANY, &redis);
    let text = layouts(&layout, &[&layout]);
    let mut plant = Plant::start(1, Keyspace::on_the_shared_server(), &text).await;
    let future = resume(&plant.url(0), &token("bob"), None).await.text();
    plant.leave(0).await;

    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("store.toml");
    std::fs::write(&config, plant.keyspace().table()).expect("a file");
    let mut command = Process::narrowcast();
    let retagged = Process::run(command.args(["store", "retag", "--config"]).arg(&config));
    assert_eq!(retagged.code, Some(0), "{}", retagged.errors);

    plant.launch(0, &text).await;
    plant.ready(0).await;
    let back = resume(&plant.url(0), &token("bob"), Some(&future)).await;
    back.assert_not_resumed("other_store");
    let cursor = back.text();
    let again = resume(&plant.url(0), &token("bob"), Some(&cursor)).await;
    assert_eq!(again.cursor["resumed"], true);
}
