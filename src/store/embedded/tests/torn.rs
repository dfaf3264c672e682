//! A loss of power in the middle of a commit: the last record of the journal, torn in any way.

use std::fs;
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::super::journal::{self, JournalTail};
use super::super::salvage::{SalvageLoss, check, salvage};
use super::*;
use crate::domain::Message;

/// The smallest unit that a disk writes whole or not.
const SECTOR: usize = 512;

const SEEDS: u64 = 8;

/// What a sector holds that was not written.
#[derive(Debug, Clone, Copy)]
enum Tear {
    Zero,
    /// What lay there: here, the bytes of another place of the same journal.
    Old,
    Garbage,
}

const TEARS: [Tear; 3] = [Tear::Zero, Tear::Old, Tear::Garbage];

fn message(n: u64, bytes: usize) -> Arc<Message> {
    let message = conformance::direct("alice", "bob", WALL + Duration::from_micros(n));
    let body = format!("\"{}\"", "x".repeat(bytes));
    Arc::new(Message { body: body.into_bytes().into(), ..Message::clone(&message) })
}

fn newest_journal(home: &Path) -> PathBuf {
    journal::list(home).unwrap().pop().unwrap().1
}

/// A store with some messages, each a record of its own: the bytes of its journal, and where the
/// last record begins.
async fn written(seed: u64) -> (TempDir, Vec<u8>, usize, usize) {
    let mut rng = StdRng::seed_from_u64(seed);
    let home = TempDir::new().unwrap();
    let store = open(home.path());
    let count = rng.random_range(1..6);
    for n in 0..count {
        store.append(message(n, rng.random_range(0..9000))).await.unwrap();
    }
    let end = used(&newest_journal(home.path()));
    store.append(message(count, rng.random_range(0..9000))).await.unwrap();
    store.close().await;
    drop(store);
    let journal = newest_journal(home.path());
    let mut bytes = fs::read(&journal).unwrap();
    bytes.truncate(used(&journal) + SECTOR);
    (home, bytes, end, count as usize)
}

/// Where the zeros begin.
fn used(journal: &Path) -> usize {
    let mut sequence = 0;
    let (_, end) = journal::read(journal, &mut sequence).unwrap();
    end as usize
}

/// What of the last record is in a sector, torn.
fn torn(bytes: &[u8], last: usize, sector: usize, tear: Tear, rng: &mut StdRng) -> Vec<u8> {
    let mut torn = bytes.to_vec();
    let end = used_of(bytes).min((sector + 1) * SECTOR);
    let place = last.max(sector * SECTOR)..end;
    let old = bytes[..place.len().min(last)].to_vec();
    match tear {
        Tear::Zero => torn[place].fill(0),
        Tear::Old => torn[place].iter_mut().zip(old).for_each(|(byte, old)| *byte = old),
        Tear::Garbage => rng.fill_bytes(&mut torn[place]),
    }
    torn
}

fn used_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

#[tokio::test]
async fn a_last_record_torn_at_any_sector_is_told_from_damage() {
    for seed in 0..SEEDS {
        let (home, bytes, last, _) = written(seed).await;
        let journal = home.path().join("torn.jnl");
        let mut rng = StdRng::seed_from_u64(seed);
        for sector in last / SECTOR..used_of(&bytes).div_ceil(SECTOR) {
            for tear in TEARS {
                let torn = torn(&bytes, last, sector, tear, &mut rng);
                fs::write(&journal, &torn).unwrap();
                let found = journal::inspect(&journal, &mut 0).unwrap();
                let case = format!("seed {seed}, sector {sector}, {tear:?}");
                match found {
                    // Zeros over all that it had, or bytes that were the same before.
                    JournalTail::Clean => {}
                    JournalTail::Torn { at, .. } => assert_eq!(at, last as u64, "{case}"),
                    JournalTail::Damaged { .. } => panic!("{case}: {found:?}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn a_store_whose_last_record_is_torn_starts_with_everything_before_it() {
    for (seed, tear) in (0..).zip(TEARS) {
        let (home, bytes, last, acknowledged) = written(seed).await;
        let mut rng = StdRng::seed_from_u64(seed);
        let sectors = last / SECTOR..used_of(&bytes).div_ceil(SECTOR);
        for sector in [sectors.start, sectors.end - 1] {
            let torn = torn(&bytes, last, sector, tear, &mut rng);
            fs::write(newest_journal(home.path()), &torn).unwrap();
            let store = open(home.path());
            let found = times(&*store, &message(0, 0).conversation).await.len();
            assert!((acknowledged..=acknowledged + 1).contains(&found), "seed {seed}, {tear:?}");
            // It goes on from there.
            store.append(message(50, 9)).await.unwrap();
            store.close().await;
            drop(store);
            let store = open(home.path());
            let again = times(&*store, &message(0, 0).conversation).await.len();
            assert_eq!(again, found + 1, "seed {seed}, {tear:?}");
            store.close().await;
            drop(store);
            fs::write(newest_journal(home.path()), &bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_damaged_is_found_and_all_else_is_saved() {
    for seed in 0..SEEDS {
        let (home, mut bytes, last, messages) = written(seed).await;
        assert_eq!(check(home.path()).unwrap().losses, [], "seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        // Not in the first record, which makes the store.
        bytes[rng.random_range(first_record()..last)] ^= 0x40;
        fs::write(newest_journal(home.path()), &bytes).unwrap();
        let found = check(home.path()).unwrap();
        assert!(
            matches!(found.losses[..], [SalvageLoss::Damaged { .. }]),
            "seed {seed}: {found:?}"
        );
        let other = TempDir::new().unwrap();
        let to = other.path().join("copy");
        let saved = salvage(home.path(), &to).unwrap();
        assert_eq!(saved.losses, found.losses, "seed {seed}");
        assert_eq!(fs::read(newest_journal(home.path())).unwrap(), bytes, "it is left as it was");
        let found = times(&*open(&to), &message(0, 0).conversation).await.len();
        // One record of one message is lost, and the last one was there too.
        assert_eq!(found, messages, "seed {seed}");
        assert_eq!(check(&to).unwrap().losses, [], "seed {seed}");
    }
}

/// Where the record ends that a store is made by.
fn first_record() -> usize {
    let home = TempDir::new().unwrap();
    drop(open(home.path()));
    used(&newest_journal(home.path()))
}

#[tokio::test]
async fn damage_before_the_last_record_is_refused_and_left_as_it_is() {
    for seed in 0..SEEDS {
        let (home, mut bytes, last, _) = written(seed).await;
        let mut rng = StdRng::seed_from_u64(seed);
        let place = rng.random_range(0..last);
        bytes[place] ^= 0x40;
        let journal = newest_journal(home.path());
        fs::write(&journal, &bytes).unwrap();
        let error = refusal(home.path(), "main", WALL);
        assert!(matches!(error, OpenError::Damaged { .. }), "seed {seed}: {error}");
        for part in ["`0.jnl` from byte ", "narrowcast store check", "narrowcast store salvage"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(fs::read(&journal).unwrap(), bytes, "seed {seed}");
    }
}
