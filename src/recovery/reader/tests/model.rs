//! Random messages of a few conversations over three days, against a list of them all.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;

const CASES: usize = 32;
const OTHERS: [&str; 4] = ["bob", "carol", "dave", "erin"];

/// Two days before the midnight and one after it.
const SECONDS: std::ops::Range<i64> = -2 * 86_400..86_400;

/// A message to store: with which user, and at which second. Times are minutes apart, so that some
/// are equal.
type Sent = (usize, i64);

#[derive(Debug, Clone)]
struct Query {
    with: usize,
    above: i64,
    max: usize,
    /// Bytes of a page: few, so that there are many pages.
    bytes: usize,
}

fn sent() -> impl Strategy<Value = Sent> {
    (0..OTHERS.len(), SECONDS.start / 600..SECONDS.end / 600)
        .prop_map(|(other, tens)| (other, tens * 600))
}

fn query() -> impl Strategy<Value = Query> {
    (0..OTHERS.len(), SECONDS, 1..12_usize, 1..40_usize).prop_map(|(with, above, max, bytes)| {
        // Exactly at a message's time as often as between two.
        let above = if above % 2 == 0 { above / 600 * 600 } else { above };
        Query { with, above, max, bytes }
    })
}

/// The times above one, in order.
fn above(sent: &[Sent], other: usize, above: i64) -> Vec<i64> {
    let of_it = sent.iter().filter(|(with, at)| *with == other && *at > above);
    let mut times: Vec<i64> = of_it.map(|(_, at)| *at).collect();
    times.sort_unstable();
    times
}

async fn check(library: &Library, sent: &[Sent], query: &Query) {
    let other = OTHERS[query.with];
    let expected: Vec<Micros> = above(sent, query.with, query.above).into_iter().map(at).collect();
    let (newest, whole) = library.newest(other, at(query.above), query.max).await;
    let from = expected.len().saturating_sub(query.max);
    assert_eq!((&newest[..], whole), (&expected[from..], from == 0), "{query:?} of {sent:?}");

    let mut taken = Vec::new();
    let take = |message: &Message| taken.push(message.id.time());
    library.reader().each_above(&library.with(other), at(query.above), take).await.unwrap();
    assert_eq!(taken, expected, "{query:?} of {sent:?}");
}

/// Of two conversations with the same last activity, either may come first.
async fn check_changed(library: &Library, sent: &[Sent], since: i64) {
    let last = |other: usize| above(sent, other, since).last().copied();
    let (changed, whole) = library.changed(at(since)).await;
    let place =
        |it: &Conversation| OTHERS.iter().position(|other| library.with(other) == *it).unwrap();
    let lasts: Vec<_> = changed.iter().map(|it| last(place(it)).expect("it changed")).collect();
    assert!(lasts.is_sorted_by(|one, next| one >= next), "{lasts:?} since {since} of {sent:?}");
    let expected = (0..OTHERS.len()).filter(|other| last(*other).is_some()).count();
    assert_eq!((changed.len(), whole), (expected, true), "since {since} of {sent:?}");
}

#[tokio::test]
async fn agrees_with_a_list_of_all_messages() {
    let mut runner = TestRunner::default();
    let cases = (prop::collection::vec(sent(), 0..40), prop::collection::vec(query(), 1..8));
    let mut library = Library::new(at(SECONDS.end - 1));
    for case in 0..CASES {
        let (sent, queries) = cases.new_tree(&mut runner).unwrap().current();
        // One store for all cases, with a user per case.
        library.me = user(&format!("alice-{case}"));
        library
            .keep(
                sent.iter().map(|(other, at_s)| message(&library.with(OTHERS[*other]), at(*at_s))),
            )
            .await;
        for query in &queries {
            library.bytes = query.bytes;
            check(&library, &sent, query).await;
            check_changed(&library, &sent, query.above).await;
        }
    }
}
