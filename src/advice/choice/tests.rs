use super::*;
use crate::advice::{ClassCounts, Deployment, LayoutTable, ObservedCluster, layout_edits};
use crate::layout::{Placement, TopicLoad, Workload};
use proptest::prelude::*;

fn count(buckets: u64) -> BucketCount {
    BucketCount::new(buckets).unwrap()
}

/// A million users with two devices on a hundred nodes.
fn million() -> Deployment {
    Deployment {
        nodes: 100,
        users: 1_000_000,
        devices: 2,
        rooms_per_user: 0,
        room_size: 0,
        topics: 0,
        watchers: 0,
        messages_per_s: 10_000,
        room_messages_per_s: 0,
        events_per_s: 0,
        workers: 2,
        placement: Placement::Random,
    }
}

fn reach(deployment: &Deployment, buckets: u64) -> f64 {
    let load = deployment.load().unwrap();
    load.classes[0].reach(load.nodes, count(buckets))
}

#[test]
fn a_million_users_need_many_buckets_or_placement() {
    for (buckets, expected) in [(4_096, 99.0), (65_536, 28.0), (1 << 20, 3.9), (1 << 24, 2.1)] {
        let found = reach(&million(), buckets);
        assert!((found - expected).abs() / expected < 0.03, "{buckets}: {found}");
    }
    let few = BucketCounts::all(count(4_096));
    let advice = advise(&million().load().unwrap(), Baseline::InForce(&few, 1));
    assert_eq!(advice.classes[0].buckets, 1 << 24, "{advice:?}");
    assert_eq!(advice.classes[1].why, Reason::Silent);
    let placed = Deployment { placement: Placement::Bucket, ..million() };
    let advice = advise(&placed.load().unwrap(), Baseline::InForce(&few, 1));
    assert_eq!(advice.classes[0].buckets, 65_536, "by bucket that many are tight");
    assert!(advice.is_change());
}

#[test]
fn what_is_good_is_left_and_the_bound_is_named() {
    let placed = Deployment { placement: Placement::Bucket, ..million() };
    let many = BucketCounts::all(count(1 << 20));
    let advice = advise(&placed.load().unwrap(), Baseline::InForce(&many, 64));
    let why = &advice.classes[0].why;
    assert!(matches!(why, Reason::AsGood { .. }), "{why:?}");
    assert!(why.to_string().contains("a publish would reach 0.0 % fewer nodes"), "{why}");
    assert!(!advice.is_change());
    let alone = Deployment { nodes: 1, ..million() };
    let advice = advise(&alone.load().unwrap(), Baseline::InForce(&many, 1));
    assert_eq!(advice.classes[0].why, Reason::OneNode);
    let few = Deployment { nodes: 3, ..million() };
    let advice =
        advise(&few.load().unwrap(), Baseline::InForce(&BucketCounts::all(BucketCount::ONE), 9));
    assert_eq!(
        advice.classes[0].why,
        Reason::ToAll,
        "two buckets reach four nodes, and all are three"
    );
    let silent = Deployment { users: 0, messages_per_s: 0, ..million() };
    let shipped = BucketCounts::all(count(1 << 20));
    let advice = advise(&silent.load().unwrap(), Baseline::Shipped(&shipped));
    assert_eq!((advice.classes[0].buckets, advice.shards.shards), (1 << 20, 1));
    assert_eq!(advice.classes[0].why, Reason::Unplanned);
}

#[test]
fn more_traffic_needs_more_shards_and_none_is_taken_away() {
    let shards = |messages_per_s, now| {
        let load = Deployment { messages_per_s, ..million() }.load().unwrap();
        let many = BucketCounts::all(count(1 << 24));
        advise(&load, Baseline::InForce(&many, now)).shards.shards
    };
    assert_eq!((shards(100, 1), shards(100, 3)), (1, 3));
    assert!(shards(1_000_000, 1) > 10);
}

#[test]
fn numbers_beyond_their_bounds_are_named() {
    for (wrong, field) in [
        (Deployment { nodes: 0, ..million() }, "--nodes: 0 is not within 1 to 10000"),
        (Deployment { devices: 0, ..million() }, "--devices: 0 is not within 1 to 1000000"),
        (
            Deployment { rooms_per_user: 5, ..million() },
            "--room-size: 0 is not within 1 to 1000000",
        ),
        (Deployment { users: u64::MAX, ..million() }, "--users: "),
    ] {
        let error = wrong.load().unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
}

#[test]
fn the_edits_are_the_rolls_of_a_change() {
    let table = |name: &str, buckets| LayoutTable {
        name: name.into(),
        buckets: BucketCounts::all(count(buckets)),
        shards: vec![("r1".into(), "{ name = \"r1\", url = \"redis://h\" }".into())],
    };
    let edits = layout_edits(&table("a", 1), &table("b", 2));
    let a = "[layouts.a]\nbuckets = { user = 1, room = 1, topic = 1 }\n\
             redis = [{ name = \"r1\", url = \"redis://h\" }]\n";
    let b = a.replace("layouts.a", "layouts.b").replace("= 1", "= 2");
    let routing = |publish, subscribe| {
        format!("[routing]\npublish = \"{publish}\"\nsubscribe = {subscribe}\n")
    };
    assert_eq!(edits[0], format!("{a}{b}{}", routing("a", r#"["a", "b"]"#)));
    assert_eq!(edits[1], format!("{a}{b}{}", routing("b", r#"["a", "b"]"#)));
    assert_eq!(edits[2], format!("{b}{}", routing("b", r#"["b"]"#)));
}

/// What nodes would count within 10 s of a load, by its own arithmetic.
fn counted(load: &ClusterLoad, buckets: BucketCounts, placement: Placement) -> ObservedCluster {
    const SECONDS: f64 = 10.0;
    let nodes = f64::from(load.nodes);
    let class = |class: &ClassLoad| {
        let buckets = buckets.of(class.class);
        let copies = SECONDS * class.publishes_per_s * class.keys_per_publish;
        let chance = (class.reach(load.nodes, buckets) - class.holders) / (nodes - class.holders);
        ClassCounts {
            keys_held: class.keys_per_node * nodes,
            buckets_held: chance * f64::from(buckets.get()) * nodes,
            publishes: SECONDS * class.publishes_per_s,
            copies,
            useful: copies * (class.holders - class.publisher_holds),
            echo: copies * (class.publisher_holds + (1.0 - class.publisher_holds) * chance),
        }
    };
    ObservedCluster {
        nodes: load.nodes,
        seconds: SECONDS,
        buckets: Class::ALL.map(|class| buckets.of(class)),
        classes: load.classes.each_ref().map(class),
        publishes_to_all: 0.0,
        deliveries: SECONDS * load.deliveries_per_s,
        limited_sends: SECONDS * load.limited_sends_per_s,
        sessions: load.sessions_per_node * nodes,
        workers: f64::from(load.workers) * nodes,
        repair_reads_per_s: load.repair_reads_per_s,
        placement,
    }
}

fn deployments() -> impl Strategy<Value = Deployment> {
    let sizes = (2..200_u64, 1..2_000_000_u64, 1..5_u64, 0..40_u64, 1..200_u64);
    let rates = (0..100_000_u64, 1..100_u64, 0..100_000_u64, 0..100_000_u64, 0..100_000_u64);
    (sizes, rates, any::<bool>()).prop_map(|(sizes, rates, random)| Deployment {
        nodes: sizes.0,
        users: sizes.1,
        devices: sizes.2,
        rooms_per_user: sizes.3,
        room_size: sizes.4,
        topics: rates.0,
        watchers: rates.1,
        messages_per_s: rates.2,
        room_messages_per_s: rates.3,
        events_per_s: rates.4,
        workers: 1,
        placement: if random { Placement::Random } else { Placement::Bucket },
    })
}

proptest! {
    #[test]
    fn it_agrees_with_the_arithmetic_of_layouts(
        nodes in 2..100_u32, keys in 100..1_000_000_u32, sessions in 1..5_u32, power in 0..24_u32,
        random: bool,
    ) {
        let placement = if random { Placement::Random } else { Placement::Bucket };
        let deployment = Deployment {
            nodes: nodes.into(), users: keys.into(), devices: sessions.into(), placement, ..million()
        };
        let known = TopicLoad { nodes, keys, sessions, buckets: 1 << power, placement }.reach(1);
        let found = reach(&deployment, 1 << power);
        prop_assert!((found - known).abs() <= 0.01 * known + 0.01, "{} against {}", found, known);
    }

    #[test]
    fn a_layout_costs_what_a_workload_of_direct_messages_does(
        nodes in 2..50_u32, users in 1_000..100_000_u32, power in 8..24_u32,
    ) {
        let crowd = TopicLoad {
            nodes, keys: users, sessions: 2, buckets: 1 << power, placement: Placement::Random,
        };
        let none = TopicLoad { keys: 0, ..crowd };
        let known = Workload { users: crowd, messages: 1_000, topics: none, events: 0 }.predict();
        let deployment = Deployment { nodes: nodes.into(), users: users.into(), ..million() };
        let found = deployment.load().unwrap().node_events_per_delivery(&BucketCounts::all(count(1 << power)));
        prop_assert!((found / known.per_delivery() - 1.0).abs() < 0.02, "{} {:?}", found, known);
    }

    #[test]
    fn counts_of_running_nodes_give_the_load_back(deployment in deployments(), power in 12..24_u32) {
        let load = deployment.load().unwrap();
        let buckets = BucketCounts::all(count(1 << power));
        let found = counted(&load, buckets, deployment.placement).load().unwrap();
        let shipped = BucketCounts::all(count(1 << 20));
        let [known, found] = [&load, &found].map(|load| advise(load, Baseline::Shipped(&shipped)));
        let close = |a: f64, b: f64| (a - b).abs() <= 0.03 * a.max(b) + 1e-6;
        prop_assert!(
            close(known.node_events_per_delivery, found.node_events_per_delivery),
            "{:?} against {:?}", known, found
        );
    }

    #[test]
    fn the_choice_is_as_good_as_any_and_never_worse_than_now(
        deployment in deployments(), power in 0..25_u32, shards in 1..20_u32,
    ) {
        let load = deployment.load().unwrap();
        let now = BucketCounts::all(count(1 << power));
        let advice = advise(&load, Baseline::InForce(&now, shards));
        let events = load.node_events_per_s(&advice.buckets);
        prop_assert!(events <= load.node_events_per_s(&now) * (1.0 + 1e-9));
        for (class, advised) in load.classes.iter().zip(&advice.classes) {
            let chosen = class.reach(load.nodes, advice.buckets.of(class.class));
            let is_left = advised.why == Reason::ToAll || advised.why == Reason::Silent;
            for buckets in powers().filter(|_| !is_left) {
                prop_assert!(chosen <= class.reach(load.nodes, buckets) * AS_GOOD + 1e-9);
            }
        }
        prop_assert!(advice.shards.shards >= shards);
        let ShardCost { shards, cpu, subscribe_s, .. } = advice.shards;
        let fits = cpu <= SHARD_CPU_MAX + 1e-9 && subscribe_s <= SUBSCRIBE_S_MAX + 1e-9;
        prop_assert!(fits || shards == 1024);
    }

    #[test]
    fn any_counts_give_finite_figures(
        nodes in 0..9_u32, counts in proptest::array::uniform12(0.0..1e6_f64), seconds in 0.0..9.0_f64,
    ) {
        let class = |at: usize| ClassCounts {
            keys_held: counts[at], buckets_held: counts[at + 1], publishes: counts[at + 2],
            copies: counts[at + 3], useful: counts[at + 4], echo: counts[at + 5],
        };
        let observed = ObservedCluster {
            nodes, seconds, buckets: [count(1 << 12); 3], classes: [class(0), class(3), class(6)],
            publishes_to_all: counts[9], deliveries: counts[10], limited_sends: counts[11],
            sessions: counts[0], workers: counts[1], repair_reads_per_s: 0.0,
            placement: Placement::Random,
        };
        let Some(load) = observed.load() else {
            prop_assert!(nodes == 0 || seconds <= 0.0);
            return Ok(());
        };
        let advice = advise(&load, Baseline::InForce(&BucketCounts::all(count(1 << 12)), 1));
        prop_assert!(advice.node_events_per_delivery.is_finite() && advice.shards.cpu.is_finite());
        prop_assert!(load.classes.iter().all(|class| class.holders <= f64::from(nodes)));
    }
}
