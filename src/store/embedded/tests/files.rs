//! Files that are gone: before a start, and under a running store.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::super::files::{self, copy};
use super::super::salvage::{SalvageLoss, check, salvage};
use super::*;

/// How long the watch may take.
const NOTICED: Duration = Duration::from_secs(2);

fn nth(n: u64) -> Arc<crate::domain::Message> {
    conformance::direct("alice", "bob", WALL + Duration::from_micros(n))
}

/// A store that holds messages in tables and in its journal, and was left in order.
async fn filled() -> (TempDir, usize) {
    const MESSAGES: u64 = 20;
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    for n in 0..MESSAGES / 2 {
        store.append(nth(n)).await.unwrap();
    }
    store.close().await;
    drop(store);
    let tables = Tables::open(home.path()).unwrap();
    tables.messages.rotate_memtable_and_wait().unwrap();
    drop(tables);
    let store = open(home.path());
    for n in MESSAGES / 2..MESSAGES {
        store.append(nth(n)).await.unwrap();
    }
    store.close().await;
    (home, MESSAGES as usize)
}

/// Every file below a directory, by its way from there.
fn all_files(home: &Path, below: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.join(below)).unwrap();
    let paths = entries.map(|entry| below.join(entry.unwrap().file_name()));
    paths
        .flat_map(
            |path| if home.join(&path).is_dir() { all_files(home, &path) } else { vec![path] },
        )
        .collect()
}

#[tokio::test]
async fn a_store_that_lost_any_file_is_refused_or_has_all_of_its_messages() {
    let (home, messages) = filled().await;
    let files = all_files(home.path(), Path::new(""));
    assert!(files.len() > 25, "{files:?}");
    let mut refused = 0;
    for file in files {
        let other = TempDir::new().unwrap();
        copy(home.path(), other.path()).unwrap();
        fs::remove_file(other.path().join(&file)).unwrap();
        match Embedded::open(&options(other.path()), WALL) {
            Err(_) => refused += 1,
            Ok(store) => {
                let found = times(&*store, &nth(0).conversation).await.len();
                assert_eq!(found, messages, "without {}", file.display());
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[tokio::test]
async fn what_is_missing_is_named() {
    for (file, told) in [
        ("keyspaces/1/current", "`keyspaces/1/current` is missing"),
        ("0.jnl", "`0.jnl` is missing"),
    ] {
        let (home, _) = filled().await;
        fs::remove_file(home.path().join(file)).unwrap();
        let error = refusal(home.path(), "main", WALL);
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        assert!(error.to_string().contains(told), "{error}");
        assert!(error.to_string().contains("narrowcast store salvage"), "{error}");
        assert!(!home.path().join(file).exists(), "nothing is made in its place");
    }
}

#[tokio::test]
async fn a_store_that_lost_a_table_is_saved_with_what_else_there_is() {
    let (home, messages) = filled().await;
    fs::remove_file(home.path().join("keyspaces/1/current")).unwrap();
    let missing = [SalvageLoss::Missing("`keyspaces/1/current`".to_owned())];
    assert_eq!(check(home.path()).unwrap().losses, missing);
    let other = TempDir::new().unwrap();
    let saved = salvage(home.path(), other.path()).unwrap();
    assert_eq!(saved.losses, missing);
    let rows = |name| saved.rows.iter().find(|(table, _)| *table == name).unwrap().1;
    assert_eq!((rows("activity"), rows("memberships")), (2, 2));
    let store = open(other.path());
    let found = times(&*store, &nth(0).conversation).await.len();
    assert_eq!(
        (found, rows("messages")),
        (messages, messages as u64),
        "the journal has them still"
    );
    store.append(nth(90)).await.unwrap();
}

/// The user of a store in the root of a file system may not read all that is there.
#[tokio::test]
async fn a_store_in_the_root_of_a_file_system_is_saved_into_another_root() {
    let (home, messages) = filled().await;
    let other = TempDir::new().unwrap();
    for root in [&home, &other] {
        fs::create_dir(root.path().join("lost+found")).unwrap();
    }
    fs::write(home.path().join("lost+found/#12"), "found").unwrap();
    let saved = salvage(home.path(), other.path()).unwrap();
    assert_eq!(saved.losses, []);
    assert!(saved.rows.contains(&("messages", messages as u64)), "{:?}", saved.rows);
    let kept = fs::read_dir(other.path().join("lost+found")).unwrap().count();
    assert_eq!(kept, 0, "what belongs to the file system is left alone");
}

#[test]
fn a_store_whose_making_was_interrupted_begins_anew() {
    let home = TempDir::new().unwrap();
    drop(Tables::open(home.path()).unwrap());
    let store = open(home.path());
    assert_eq!(store.identity().namespace, "main");
}

#[tokio::test]
async fn a_store_in_use_is_not_looked_into() {
    let home = TempDir::new().unwrap();
    let tables = Tables::open(home.path()).unwrap();
    let error = files::look(home.path()).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    drop(tables);
}

async fn failure(store: &Embedded) -> String {
    let until = Instant::now() + NOTICED;
    loop {
        if let Some(failure) = store.failure() {
            return failure;
        }
        assert!(Instant::now() < until, "it has not noticed");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_directory_that_is_removed_is_noticed_without_a_send() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("store");
    let store = Embedded::open(&options(&path), WALL).unwrap();
    store.append(nth(1)).await.unwrap();
    fs::rename(&path, home.path().join("aside")).unwrap();
    let told = failure(&store).await;
    assert!(told.contains("No such file or directory"), "{told}");
    let refused = store.append(nth(2)).await.unwrap_err();
    assert!(matches!(refused, AppendError::Unavailable { .. }), "{refused:?}");
    assert!(!store.is_worth_a_restart());
    // Back again: a restart finds it.
    fs::rename(home.path().join("aside"), &path).unwrap();
    let until = Instant::now() + NOTICED;
    while !store.is_worth_a_restart() {
        assert!(Instant::now() < until, "it has not seen that it is back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.close().await;
    drop(store);
    let store = Embedded::open(&options(&path), WALL).unwrap();
    assert_eq!(times(&*store, &nth(1).conversation).await.len(), 1);
}

#[tokio::test]
async fn nothing_is_acknowledged_once_the_journal_is_gone() {
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    store.append(nth(1)).await.unwrap();
    fs::remove_file(home.path().join("0.jnl")).unwrap();
    let refused = store.append(nth(2)).await.unwrap_err();
    let told = failure(&store).await;
    assert!(
        !matches!(refused, AppendError::Unavailable { .. }) || told.contains("jnl"),
        "{refused:?}"
    );
}
