//! Coming back with cursors that were held on the way: what is between a cursor and now must
//! come, whoever brings it, and wherever.

use std::collections::BTreeSet;

use narrowcast::client::{Cursor, DeviceOptions, Seen};
use tokio::task::JoinSet;

use super::judge::Judge;
use super::load::{User, come_back};
use super::log::{DeviceId, Fact, Log, Return, SharedLog};

/// Cursors of a device that are tried, the first and the last among them.
const TRIED_MAX: usize = 4;

/// Some of a list, evenly spread from its first to its last.
fn spread(all: &[usize], count: usize) -> BTreeSet<usize> {
    let Some(last) = all.len().checked_sub(1) else { return BTreeSet::new() };
    (0..count).map(|place| all[last * place / (count - 1)]).collect()
}

/// What is tried: the device, the line in which it held the cursor, the cursor.
fn tries(log: &Log) -> Vec<(DeviceId, usize, Cursor)> {
    let judge = Judge::new(log);
    let of_device = |device| {
        let lines = spread(&judge.cursors(device), TRIED_MAX);
        lines.into_iter().filter_map(move |line| match &log.lines[line].fact {
            Fact::Held { cursor, .. } => Some((device, line, cursor.clone()?)),
            _ => None,
        })
    };
    (0..log.users.len()).map(DeviceId).flat_map(of_device).collect()
}

/// Comes back with some of the cursors that each device has held, to one node after another, and
/// writes down what is returned.
pub async fn come_back_with_cursors(users: &[User], urls: &[String], log: &SharedLog) {
    let tries = tries(&log.lock());
    let mut coming = JoinSet::new();
    for (node, (device, held, cursor)) in tries.into_iter().enumerate() {
        let name = log.lock().users[device.0].clone();
        let user = users.iter().find(|user| user.name == name).expect("one of the cast");
        let plan = DeviceOptions::new(urls.to_vec(), user.token.clone(), format!("return-{node}"));
        let plan = DeviceOptions { cursor: Some(cursor), ..plan };
        coming.spawn(async move {
            let (claim, seen) = come_back(plan, node).await;
            let id = |seen| if let Seen::Message { id, .. } = seen { Some(id) } else { None };
            Return { device, held, claim, ids: seen.into_iter().filter_map(id).collect() }
        });
    }
    let returns = coming.join_all().await;
    log.lock().returns.extend(returns);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_both_ends() {
        let sample = |all: &[usize]| spread(all, 4).into_iter().collect::<Vec<_>>();
        assert!(sample(&[]).is_empty());
        assert_eq!(sample(&[7]), [7]);
        assert_eq!(sample(&[1, 2, 3]), [1, 2, 3]);
        assert_eq!(sample(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), [0, 3, 6, 9]);
    }
}
