//! From what nodes answer to rows: one read, two reads, restarts and absences.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::figures::CounterRates;
use super::node_sample::Counters;
use super::{
    Fleet, MonitorError, NodeReading, NodeRow, NodeSample, NodeTrouble, OperatorUrl, Samples,
};
use crate::client::ClientError;

/// What a node of a boot answers, among nodes given as (name, boot, version).
fn reading(boot: &str, nodes: &[(&str, &str, &str)], metrics: &str) -> NodeReading {
    let node = |(name, boot, version): &(&str, &str, &str)| json!({"name": name, "boot": boot, "version": version, "operator": format!("{name}:8081")});
    let nodes: Vec<Value> = nodes.iter().map(node).collect();
    let cluster = serde_json::from_value(json!({"boot": boot, "nodes": nodes})).expect("an answer");
    NodeReading { url: String::new(), cluster, samples: Samples::read(metrics) }
}

fn sample(boot: &str, at: Instant, metrics: &str) -> NodeSample {
    let reading = reading(boot, &[("n1", boot, "1")], metrics);
    NodeSample::of(reading, at).with_readiness("ready".to_owned(), Vec::new())
}

fn fleet(urls: &[&str]) -> Fleet {
    let urls: Vec<OperatorUrl> = urls.iter().map(|url| url.parse().expect("a URL")).collect();
    Fleet::new(&urls)
}

/// The row of a fleet of one node, after these reads.
fn row(samples: &[NodeSample]) -> NodeRow {
    let mut fleet = fleet(&["http://n1:8081"]);
    for sample in samples {
        fleet.note(0, sample.at, Ok(sample.clone())).expect("it is a node");
    }
    fleet.rows(samples.last().expect("a read").at).remove(0)
}

const BEFORE: &str = "narrowcast_sessions 7\nnarrowcast_sends_total{outcome=\"sent\"} 10\n\
    narrowcast_sends_total{outcome=\"refused\"} 1000\nnarrowcast_deliveries_total 100\n\
    narrowcast_bus_received_total{outcome=\"useful\",class=\"user\"} 50\n\
    narrowcast_bus_received_total{outcome=\"echo\",class=\"user\"} 5\n\
    process_cpu_seconds_total 1\n";
const AFTER: &str = "narrowcast_sessions 8\nnarrowcast_sends_total{outcome=\"sent\"} 30\n\
    narrowcast_sends_total{outcome=\"refused\"} 3000\nnarrowcast_deliveries_total 180\n\
    narrowcast_bus_received_total{outcome=\"useful\",class=\"user\"} 80\n\
    narrowcast_bus_received_total{outcome=\"useful\",class=\"room\"} 10\n\
    narrowcast_bus_received_total{outcome=\"echo\",class=\"user\"} 25\n\
    narrowcast_bus_received_total{outcome=\"wasted\",class=\"user\"} 10\n\
    narrowcast_watermark_lag_seconds 0.25\nprocess_cpu_seconds_total 2\n\
    process_resident_memory_bytes 1048576\n";

#[test]
fn rates_are_what_counters_rose_between_two_reads() {
    let began = Instant::now();
    let later = began + Duration::from_secs(2);
    let first = row(&[sample("a", began, BEFORE)]);
    assert_eq!((first.figures.sessions, first.figures.rates.sends), (Some(7.0), None));
    assert_eq!((first.figures.lag_s, first.figures.resident_bytes), (None, None));
    let row = row(&[sample("a", began, BEFORE), sample("a", later, AFTER)]);
    let rates = row.figures.rates;
    assert_eq!((rates.sends, rates.deliveries), (Some(10.0), Some(40.0)));
    assert_eq!((rates.node_events, rates.cpu), (Some(35.0), Some(0.5)));
    assert_eq!(rates.node_events_per_delivery(), Some(0.875));
    assert_eq!(rates.useful_share(), Some(20.0 / 25.0), "echoes are left out");
    assert_eq!((row.figures.sessions, row.figures.lag_s), (Some(8.0), Some(0.25)));
    assert_eq!((row.name.as_str(), row.trouble), ("n1", NodeTrouble::None));
}

#[test]
fn a_restart_has_no_rates_and_is_told_for_a_while() {
    let began = Instant::now();
    let at = |seconds| began + Duration::from_secs(seconds);
    for after in [sample("b", at(2), AFTER), sample("a", at(2), "narrowcast_deliveries_total 99\n")]
    {
        let mut samples = vec![sample("a", began, BEFORE), after.clone()];
        let restarted = row(&samples);
        assert_eq!(restarted.figures.rates, CounterRates::default());
        assert_eq!(restarted.trouble, NodeTrouble::Restarted(Duration::ZERO));
        samples.push(NodeSample { at: at(4), ..after.clone() });
        let next = row(&samples);
        assert_eq!(next.figures.rates.deliveries, Some(0.0));
        assert_eq!(next.trouble, NodeTrouble::Restarted(Duration::from_secs(2)));
        samples.push(NodeSample { at: at(62), ..after });
        assert_eq!(row(&samples).trouble, NodeTrouble::None);
    }
}

#[test]
fn a_node_that_is_away_keeps_its_name_and_counts_for_nothing() {
    let began = Instant::now();
    let at = |seconds| began + Duration::from_secs(seconds);
    let mut fleet = fleet(&["http://n1:8081"]);
    let unread = fleet.rows(began).remove(0);
    assert_eq!((unread.name.as_str(), unread.trouble), ("n1:8081", NodeTrouble::Unread));
    fleet.note(0, began, Ok(sample("a", began, BEFORE))).expect("it is a node");
    for second in [2, 4] {
        let error = ClientError::Timeout(Duration::from_secs(3));
        let error = MonitorError::Unread { url: String::new(), error };
        fleet.note(0, at(second), Err(error)).expect("it is away");
    }
    let row = fleet.rows(at(14)).remove(0);
    assert_eq!((row.name.as_str(), row.figures.sessions), ("n1", None));
    let (since, why) = (Duration::from_secs(12), "no answer within 3 s".to_owned());
    assert_eq!(row.trouble, NodeTrouble::Away { since, why });
    fleet.note(0, at(20), Ok(sample("a", at(20), AFTER))).expect("it is back");
    assert_eq!(fleet.rows(at(20)).remove(0).figures.rates.deliveries, Some(4.0), "80 in 20 s");
}

#[test]
fn a_stranger_is_refused_at_first_and_is_away_later() {
    let stranger = || MonitorError::Stranger { url: "http://n1".into(), why: "no".into() };
    let now = Instant::now();
    let mut fleet = fleet(&["http://n1:8081"]);
    assert!(fleet.note(0, now, Err(stranger())).is_err());
    fleet.note(0, now, Ok(sample("a", now, ""))).expect("it is a node");
    fleet.note(0, now, Err(stranger())).expect("it is away");
    let away = fleet.rows(now).remove(0).trouble;
    let why = "not an operator's listener: no".to_owned();
    assert_eq!(away, NodeTrouble::Away { since: Duration::ZERO, why });
}

#[test]
fn what_the_reader_should_know_of_the_nodes_is_told() {
    let now = Instant::now();
    let nodes = [("n1", "a", "0.1.0"), ("n2", "b", "0.2.0"), ("n3", "c", "0.1.0")];
    let read = |boot| NodeSample::of(reading(boot, &nodes, ""), now);
    let mut fleet = fleet(&["http://n1:8081", "http://n2:8081", "http://other:1"]);
    assert_eq!(fleet.notes(), [""; 0]);
    fleet.note(0, now, Ok(read("a"))).expect("it is a node");
    let missing = "not given: n3 (http://n3:8081)";
    assert_eq!(fleet.notes(), [missing], "n2 is given, and was not read yet");
    fleet.note(1, now, Ok(read("b"))).expect("it is a node");
    let versions = "the nodes are of several versions: 0.1.0, 0.2.0";
    assert_eq!(fleet.notes(), [versions, missing]);
    let mut other = read("b");
    other.cluster.store = "other".to_owned();
    fleet.note(2, now, Ok(other)).expect("it is a node");
    assert_eq!(fleet.notes()[0], "the nodes are of 2 deployments");
    let rows = fleet.rows(now);
    assert_eq!(rows[2].trouble, NodeTrouble::SameAs("http://n2:8081".to_owned()));
    let status = NodeTrouble::NotReady { status: String::new(), reasons: Vec::new() };
    assert_eq!(rows[1].trouble, status, "an answer of another form");
}

#[test]
fn an_answer_of_another_version_needs_a_boot_and_nodes_alone() {
    let answer =
        |value: Value| serde_json::from_value::<super::cluster_answer::ClusterAnswer>(value);
    assert!(answer(json!({"boot": "a", "nodes": [{"name": "n", "boot": "a", "more": 1}]})).is_ok());
    assert!(answer(json!({"nodes": []})).is_err());
}

fn counters() -> impl Strategy<Value = Counters> {
    let counter = || proptest::option::of(0.0..1e15);
    (counter(), counter(), counter(), counter(), counter(), counter()).prop_map(
        |(sends, deliveries, node_events, useful, echoes, cpu_seconds)| Counters {
            sends,
            deliveries,
            node_events,
            useful,
            echoes,
            cpu_seconds,
        },
    )
}

proptest! {
    #[test]
    fn no_rate_is_negative(before in counters(), after in counters(), millis in 0_u64..100_000) {
        let now = Instant::now();
        let one = NodeSample { counters: before, ..sample("a", now, "") };
        let at = now + Duration::from_millis(millis);
        let two = NodeSample { counters: after, ..sample("a", at, "") };
        let figures = row(&[one.clone(), two.clone()]).figures;
        let rates = figures.rates;
        let all = [rates.sends, rates.deliveries, rates.node_events, rates.useful, rates.echoes, rates.cpu];
        prop_assert!(all.into_iter().flatten().all(|rate| rate >= 0.0 && rate.is_finite()), "{all:?}");
        let derived = [rates.node_events_per_delivery(), rates.useful_share()];
        prop_assert!(derived.into_iter().flatten().all(|it| it >= 0.0), "{derived:?}");
        let has_fallen = before.list().into_iter().zip(after.list()).any(|(before, after)| {
            before.is_some() && after.is_some() && after < before
        });
        prop_assert_eq!(CounterRates::between(&one, &two).is_none(), has_fallen || millis == 0);
    }

    #[test]
    fn the_total_is_the_sum_of_what_is_known(counts in proptest::collection::vec(counters(), 0..9)) {
        let figures: Vec<super::NodeFigures> = counts.iter().map(|counters| {
            let mut figures = super::NodeFigures::default();
            (figures.sessions, figures.rates.deliveries) = (counters.sends, counters.deliveries);
            figures.lag_s = counters.useful;
            figures
        }).collect();
        let total = super::NodeFigures::total(&figures);
        let sum = |known: Vec<f64>| (!known.is_empty()).then(|| known.iter().sum::<f64>());
        let of = |field: fn(&Counters) -> Option<f64>| counts.iter().filter_map(field).collect::<Vec<f64>>();
        prop_assert_eq!(total.sessions, sum(of(|it| it.sends)));
        prop_assert_eq!(total.rates.deliveries, sum(of(|it| it.deliveries)));
        let lags = of(|it| it.useful);
        prop_assert_eq!(total.lag_s, lags.into_iter().reduce(f64::max));
    }
}
