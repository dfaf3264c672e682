//! How the schema comes to be, and what a node refuses.

use super::*;
use crate::cluster::sample::row;
use crate::cluster::{DEAD_AFTER, Heartbeat};

/// A keyspace that does not exist yet.
fn absent() -> CqlOptions {
    with(options(&unique("made")), |cql| cql.nodes = vec![address()])
}

/// The error of opening.
async fn refusal(options: &CqlOptions) -> CqlOpenError {
    Cql::open(options).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn four_make_a_schema_at_once_and_agree() {
    let options = absent();
    let makers: Vec<_> = (0..4)
        .map(|_| {
            let options = options.clone();
            tokio::spawn(async move { apply_schema(&options).await })
        })
        .collect();
    for maker in makers {
        maker.await.unwrap().unwrap();
    }
    let (one, other) = (Cql::open(&options).await.unwrap(), Cql::open(&options).await.unwrap());
    assert_eq!(one.identity(), other.identity());
    // Making it again changes nothing.
    let again = apply_schema(&options).await.unwrap();
    assert_eq!((again.made, again.altered), (vec![], vec![]));
    assert_eq!(Cql::open(&options).await.unwrap().identity(), one.identity());
    assert_eq!(check_schema(&options).await.unwrap(), Vec::<String>::new());
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_schema_that_is_absent_or_not_finished_is_refused_with_the_command() {
    let options = absent();
    let error = refusal(&options).await.to_string();
    assert!(error.contains("table `messages` is missing"), "{error}");
    assert!(error.contains("`narrowcast schema apply --config FILE`"), "{error}");
    apply_schema(&options).await.unwrap();
    let unfinished = format!("DELETE FROM {}.meta WHERE key = 'version'", options.cql.keyspace);
    raw(&options, &unfinished).await;
    let error = refusal(&options).await.to_string();
    assert!(error.contains("schema version not finished, it must be at least 1.0"), "{error}");
    assert_eq!(check_schema(&options).await.unwrap().len(), 1);
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn what_is_another_schema_is_named() {
    let options = absent();
    apply_schema(&options).await.unwrap();
    let keyspace = &options.cql.keyspace;
    raw(&options, &format!("ALTER TABLE {keyspace}.heads DROP last_id")).await;
    raw(&options, &format!("DROP TABLE {keyspace}.users")).await;
    raw(&options, &format!("DROP TABLE {keyspace}.reads")).await;
    let odd = "(conversation text, user text, read_id text, PRIMARY KEY (conversation, user))";
    raw(&options, &format!("CREATE TABLE {keyspace}.reads {odd}")).await;
    let all = check_schema(&options).await.unwrap();
    assert_eq!(
        all,
        [
            "column `heads.last_id` is missing",
            "column `reads.user` is clustering asc at 0, not partition_key at 0",
            "column `reads.conversation` is partition_key at 0, not clustering asc at 0",
            "column `reads.read_id` is of type text, not uuid",
            "table `users` is missing",
        ]
    );
    let error = apply_schema(&options).await.unwrap_err().to_string();
    assert!(error.contains("column `heads.last_id` is missing"), "{error}");
    assert!(matches!(refusal(&options).await, CqlOpenError::Schema { .. }));
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_newer_version_and_another_namespace_are_refused() {
    let options = absent();
    apply_schema(&options).await.unwrap();
    let other = CqlOptions { namespace: "other".to_owned(), ..options.clone() };
    for error in [refusal(&other).await, apply_schema(&other).await.unwrap_err()] {
        let error = error.to_string();
        assert!(error.starts_with("namespace `other`: keyspace `"), "{error}");
        assert!(error.ends_with("belongs to namespace `main`"), "{error}");
    }
    let keyspace = &options.cql.keyspace;
    raw(&options, &format!("INSERT INTO {keyspace}.meta (key, value) VALUES ('version', '2')"))
        .await;
    for error in [refusal(&options).await, apply_schema(&options).await.unwrap_err()] {
        assert!(
            matches!(error, CqlOpenError::Newer { found: SchemaVersion { major: 2, .. }, .. }),
            "{error}"
        );
    }
    drop_keyspace(&options).await;
}

/// As a later version leaves it: with more tables and columns.
#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_newer_minor_version_is_taken_and_stays() {
    let options = absent();
    apply_schema(&options).await.unwrap();
    let keyspace = &options.cql.keyspace;
    for table in ["messages", "rooms", "heartbeats", "meta"] {
        raw(&options, &format!("ALTER TABLE {keyspace}.{table} ADD later text")).await;
    }
    raw(&options, &format!("CREATE TABLE {keyspace}.later (key text PRIMARY KEY)")).await;
    let later = SchemaVersion { major: 1, minor: 7 };
    let row = format!(
        "INSERT INTO {keyspace}.meta (key, value) VALUES ('version', '{later}') USING TIMESTAMP {}",
        (1_i64 << 32) + 7
    );
    raw(&options, &row).await;
    // The older program's own `schema apply` does not take it back.
    let again = apply_schema(&options).await.unwrap();
    assert_eq!((again.made, again.altered), (vec![], vec![]));
    assert_eq!(check_schema(&options).await.unwrap(), Vec::<String>::new());
    let store = Cql::open(&options).await.unwrap();
    let message = conformance::direct("alice", "bob", Micros(1_795_492_901_612_345));
    store.append(message).await.unwrap();
    let session = connect(&options, &Profiles::new(&options)).await.unwrap();
    let select = format!("SELECT value FROM {keyspace}.meta WHERE key = 'version'");
    let rows = session.query_unpaged(select, ()).await.unwrap().into_rows_result().unwrap();
    assert_eq!(rows.single_row::<(String,)>().unwrap().0, "1.7");
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_restored_keyspace_becomes_another_store_each_time() {
    let options = absent();
    assert!(retag(&options).await.is_err(), "there is none");
    apply_schema(&options).await.unwrap();
    let first = Cql::open(&options).await.unwrap().identity().clone();
    let mut before = first.id;
    for _ in 0..3 {
        let retagged = retag(&options).await.unwrap();
        assert_eq!(retagged.before, before);
        assert_ne!(retagged.after, before);
        let found = Cql::open(&options).await.unwrap().identity().clone();
        assert_eq!((found.id, &found.cursor_key), (retagged.after, &first.cursor_key));
        before = found.id;
    }
    // Another `schema apply` does not take it back.
    apply_schema(&options).await.unwrap();
    assert_eq!(Cql::open(&options).await.unwrap().identity().id, before);
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn a_keyspace_that_a_node_uses_keeps_its_identity() {
    let options = absent();
    apply_schema(&options).await.unwrap();
    let store = Cql::open(&options).await.unwrap();
    store.write_heartbeat(row(7, 1)).await.unwrap();
    let beats = async {
        for counter in 2..60 {
            store.write_heartbeat(row(7, counter)).await.unwrap();
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    };
    let refused = tokio::select! {
        retagged = retag(&options) => retagged.unwrap_err(),
        () = beats => panic!("it was not refused in time"),
    };
    let keyspace = &options.cql.keyspace;
    let wanted = format!(
        "store.keyspace `{keyspace}`: node {} lives: stop all nodes first",
        row(7, 1).about.node
    );
    assert_eq!(refused.to_string(), wanted);
    let before = store.identity().id;
    assert_eq!(Cql::open(&options).await.unwrap().identity().id, before);
    // It stops as it should, so nothing is waited for.
    store.write_heartbeat(Heartbeat { left: true, ..row(7, 100) }).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(retag(&options).await.unwrap().before, before);
    assert!(begun.elapsed() < DEAD_AFTER);
    drop_keyspace(&options).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn another_retention_is_told_and_applied() {
    let days = |days: u64| Some(Duration::from_hours(24 * days));
    let options = with(absent(), |cql| cql.retention = days(7));
    apply_schema(&options).await.unwrap();
    let longer = with(options.clone(), |cql| cql.retention = days(8));
    let all = check_schema(&longer).await.unwrap();
    assert_eq!(
        all[0],
        "table `messages` keeps rows for 604800 s, not 691200 s (0 means without \
        end)"
    );
    assert_eq!(apply_schema(&longer).await.unwrap().altered, ["messages", "windows"]);
    assert_eq!(check_schema(&longer).await.unwrap(), Vec::<String>::new());
    let ever = with(options, |cql| cql.retention = None);
    assert_eq!(apply_schema(&ever).await.unwrap().altered, ["messages", "windows"]);
    assert_eq!(check_schema(&ever).await.unwrap(), Vec::<String>::new());
    drop_keyspace(&ever).await;
}

#[tokio::test]
#[ignore = "needs a CQL server"]
async fn where_nobody_is_ours_opening_says_so_at_once() {
    let shared = shared().await;
    let begun = std::time::Instant::now();
    let elsewhere = with(shared.clone(), |cql| cql.datacenter = "dc7".to_owned());
    let error = refusal(&elsewhere).await.to_string();
    assert_eq!(error, "store.datacenter `dc7`: the nodes are in `datacenter1`");
    let away = with(shared, |cql| cql.nodes = vec!["127.0.0.1:1".to_owned()]);
    let error = refusal(&away).await.to_string();
    assert!(error.starts_with("store.nodes 127.0.0.1:1: not connected: "), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}
