use std::sync::Arc;

use smallvec::SmallVec;

use super::*;
use crate::cluster::sample::{about, layout};
use crate::cluster::{NodeInfo, ServerRun, ShardRow, sample};

const OWN: [u8; 16] = [5; 16];
const STARTED: Micros = Micros(100);

/// A node as old as the others, that publishes by and subscribes to one layout.
struct Node {
    publish: Layout,
    subscribe: Vec<Layout>,
    shards: Vec<String>,
    lost: Vec<usize>,
    serving: bool,
}

impl Node {
    fn new(serving: bool) -> Self {
        let shards = vec!["r1".into(), "r2".into()];
        Self { publish: layout(1), subscribe: vec![layout(1)], shards, lost: vec![], serving }
    }

    fn assess(&self, rows: &[Heartbeat]) -> JoinDecision {
        let Self { publish, subscribe, shards, serving, .. } = self;
        let (boot, started, serving) = (OWN, STARTED, *serving);
        let lost = &self.lost;
        let (name, address) = ("own", "10.0.0.1:8080");
        JoinCheck { name, address, boot, started, publish, subscribe, shards, lost, serving }
            .assess(rows.iter())
    }
}

fn row(incarnation: u128, about: NodeInfo) -> Heartbeat {
    Heartbeat { about: Arc::new(about), ..sample::row(incarnation, LINKS_TRIED) }
}

/// This node's own heartbeat, which states that it fits.
fn own() -> Heartbeat {
    row(1, NodeInfo { boot: OWN, started: STARTED, state: NodeState::Serving, ..about("own") })
}

/// Another node, which started `after` this one.
fn other(boot: u8, after: i64, state: NodeState) -> NodeInfo {
    let started = Micros(STARTED.0.saturating_add_signed(after));
    NodeInfo { boot: [boot; 16], started, state, ..about("other") }
}

/// Makes the other node move on: neither of the two subscribes to what the other publishes.
fn moved(about: NodeInfo) -> NodeInfo {
    NodeInfo { publish: layout(2), subscribe: vec![layout(2)], ..about }
}

#[test]
fn a_node_is_let_in_once_it_has_read_back_that_it_fits() {
    let starting = Node::new(false);
    let says_nothing = NodeInfo { boot: OWN, state: NodeState::Starting, ..about("own") };
    for rows in [&[][..], &[row(1, says_nothing)]] {
        let alone = starting.assess(rows);
        assert_eq!((alone.says, alone.serving), (NodeState::Serving, false));
        assert_eq!(alone.troubles, [HealthIssue::NotReadBack]);
    }
    let back = starting.assess(&[own()]);
    assert_eq!((back.serving, back.troubles, back.nodes), (true, vec![], 1));
    let expired = Node::new(true).assess(&[]);
    assert_eq!((expired.serving, expired.troubles), (true, vec![]), "and stays admitted");
}

#[test]
fn a_node_that_does_not_hear_an_older_one_is_deaf() {
    let elder =
        NodeInfo { subscribe: vec![layout(1), layout(2)], publish: layout(2), ..about("n7") };
    let rows = [own(), row(2, elder)];
    let JoinDecision { serving, troubles, .. } = Node::new(false).assess(&rows);
    assert!(!serving);
    assert_eq!(troubles, [HealthIssue::Deaf { node: "n7".into(), layout: layout(2) }]);
    let text = troubles[0].to_string();
    assert!(text.starts_with("routing.subscribe: node n7 publishes by { user = 2,"), "{text}");
    let both = Node { subscribe: vec![layout(1), layout(2)], ..Node::new(false) };
    assert_eq!(both.assess(&rows).troubles, []);
}

#[test]
fn a_node_that_an_older_one_does_not_hear_is_unheard() {
    let node =
        Node { publish: layout(2), subscribe: vec![layout(1), layout(2)], ..Node::new(false) };
    let JoinDecision { serving, troubles, .. } = node.assess(&[own(), row(2, about("n7"))]);
    assert!(!serving);
    assert_eq!(troubles, [HealthIssue::Unheard { node: "n7".into(), layout: layout(2) }]);
    let text = troubles[0].to_string();
    assert!(
        text.starts_with("routing.publish: node n7 does not subscribe to { user = 2,"),
        "{text}"
    );
    let elder = NodeInfo { subscribe: vec![layout(1), layout(2)], ..about("n7") };
    assert_eq!(node.assess(&[own(), row(2, elder)]).troubles, []);
}

#[test]
fn each_misfit_is_told() {
    let rows = [own(), row(2, moved(about("n7"))), row(3, moved(about("n8")))];
    let troubles = Node::new(false).assess(&rows).troubles;
    let deaf = |node: &str| HealthIssue::Deaf { node: node.into(), layout: layout(2) };
    assert_eq!(troubles, [deaf("n7"), deaf("n8")]);
}

#[test]
fn the_younger_of_two_must_fit_the_older() {
    use NodeState::{Draining, Serving, Starting};
    let cases = [
        (other(9, -1, Starting), false, "both start, and the other is older"),
        (other(9, 1, Starting), true, "both start, and this one is older"),
        (other(4, 0, Starting), false, "at once: the lesser boot counts as older"),
        (other(6, 0, Starting), true, "at once, the other way round"),
        (other(9, 1, Serving), false, "a serving node was there before, by any clock"),
        (other(9, 1, Draining), false, "a node that is being stopped still receives and publishes"),
    ];
    for (about, fits, why) in cases {
        let verdict = Node::new(false).assess(&[own(), row(2, moved(about))]);
        assert_eq!(verdict.serving, fits, "{why}");
    }
}

#[test]
fn a_node_that_serves_is_put_out_by_nobody() {
    let rows = [own(), row(2, moved(other(9, -1, NodeState::Serving)))];
    let verdict = Node::new(true).assess(&rows);
    assert_eq!((verdict.serving, verdict.troubles), (true, vec![]));
}

#[test]
fn nodes_are_boots_that_serve_and_this_one() {
    use NodeState::{Draining, Serving, Starting};
    let cases: [(&[(u8, NodeState)], u32); 5] = [
        (&[], 1),
        (&[(8, Serving), (9, Serving)], 3),
        (&[(8, Serving), (8, Serving)], 2),
        (&[(8, Serving), (9, Starting)], 2),
        (&[(8, Draining)], 2),
    ];
    for (boots, nodes) in cases {
        let others = (2..).zip(boots).map(|(x, (boot, state))| row(x, other(*boot, 0, *state)));
        let rows: Vec<Heartbeat> =
            others.chain([own(), Heartbeat { incarnation: own().incarnation, ..own() }]).collect();
        assert_eq!(Node::new(true).assess(&rows).nodes, nodes, "{boots:?}");
    }
}

/// A heartbeat with two flags of its node: that it holds a wide pattern, and that it copies.
fn says(about: NodeInfo, tap: bool, copies: bool) -> Heartbeat {
    row(9, NodeInfo { tap, copies, ..about })
}

#[test]
fn all_copy_once_every_row_says_so_this_node_s_own_included() {
    let mine = |copies| says(NodeInfo { boot: OWN, ..about("own") }, true, copies);
    let (all, not_me) = ([mine(true)], [mine(false)]);
    let theirs = [false, true].map(|copies| says(other(8, 0, NodeState::Starting), false, copies));
    let assess = |rows: &[&[Heartbeat]]| Node::new(true).assess(&rows.concat()).all_copy;
    assert!(assess(&[&all]));
    assert!(!assess(&[&not_me]));
    assert!(!assess(&[]), "its own heartbeat was not read");
    assert!(!assess(&[&all, &theirs]), "even one that starts publishes soon");
    assert!(assess(&[&all, &theirs[1..]]));
    assert!(!assess(&[&theirs[1..]]), "its own heartbeat was not read");
}

#[test]
fn taps_are_those_of_others() {
    let mine = says(NodeInfo { boot: OWN, ..about("own") }, true, true);
    let theirs = says(other(8, 0, NodeState::Serving), true, true);
    assert!(!Node::new(true).assess(std::slice::from_ref(&mine)).others_tap);
    assert!(Node::new(true).assess(&[mine, theirs]).others_tap);
}

/// The same heartbeat of a node that reaches these shards.
fn reaching(row: Heartbeat, shards: &[&str]) -> Heartbeat {
    let shard = |name: &&str| {
        let runs = SmallVec::from_slice(&[ServerRun(1)]);
        ShardRow { shard: ShardTag::of(name), runs, epoch: 0, gap_no: 0 }
    };
    // A shard that is out of reach has no run.
    let lost = ShardRow { runs: SmallVec::new(), ..shard(&"r2") };
    let shards = shards.iter().map(shard).chain((!shards.contains(&"r2")).then_some(lost));
    Heartbeat { shards: shards.collect(), ..row }
}

#[test]
fn a_node_is_cut_off_from_what_others_reach() {
    let others = || row(2, other(8, 0, NodeState::Serving));
    let own = || row(1, NodeInfo { boot: OWN, ..about("own") });
    let assess = |rows: &[Heartbeat]| Node::new(true).assess(rows).troubles;
    let lost = HealthIssue::CutOff { shard: "r2".into() };
    let apart = [reaching(own(), &["r1"]), reaching(others(), &["r1", "r2"])];
    assert_eq!(assess(&apart), [lost]);
    assert_eq!(assess(&apart[1..]), [], "nothing is known of this one");
    let down = [reaching(own(), &["r1"]), reaching(others(), &["r1"])];
    assert_eq!(assess(&down), [], "it is down for all");
    let two = [reaching(own(), &["r1"]), reaching(own(), &["r2"]), reaching(others(), &["r2"])];
    assert_eq!(assess(&two), [], "any incarnation of it counts");
    let early = Heartbeat { counter: LINKS_TRIED - 1, ..reaching(own(), &[]) };
    assert_eq!(assess(&[early, apart[1].clone()]), [], "its connections were not tried yet");
    let verdict = Node::new(true).assess(&apart);
    assert!(verdict.serving, "it has an issue, and goes on");
    let deaf = Node { lost: vec![1], ..Node::new(true) };
    let rows = [reaching(own(), &["r1", "r2"]), reaching(others(), &["r1", "r2"])];
    assert_eq!(deaf.assess(&rows).troubles, [HealthIssue::CutOff { shard: "r2".into() }]);
    assert_eq!(deaf.assess(&down).troubles, [], "others may have lost it too");
}

#[test]
fn a_node_that_is_not_let_in_is_not_cut_off() {
    let rows = [
        reaching(own(), &["r1"]),
        reaching(row(2, moved(other(8, -1, NodeState::Serving))), &["r1", "r2"]),
    ];
    let troubles = Node::new(false).assess(&rows).troubles;
    assert!(matches!(&troubles[..], [HealthIssue::Deaf { .. }]), "{troubles:?}");
}

#[test]
fn a_node_that_publishes_to_another_server_is_named() {
    let others = || reaching(row(2, other(8, 0, NodeState::Serving)), &["r1", "r2"]);
    let own = || reaching(row(1, NodeInfo { boot: OWN, ..about("own") }), &["r1", "r2"]);
    let assess = |rows: &[Heartbeat]| Node::new(true).assess(rows).troubles;
    let led_to = |row: Heartbeat, run| {
        let mut row = row;
        row.shards[1].runs = SmallVec::from_slice(&[ServerRun(run)]);
        row
    };
    let told = HealthIssue::Elsewhere { shard: "r2".into(), node: "other".into() };
    assert_eq!(assess(&[own(), led_to(others(), 7)]), [told]);
    assert_eq!(assess(&[own(), others()]), []);
    // Two incarnations of a node name both servers of a failover.
    let before = Heartbeat { incarnation: crate::cluster::Incarnation(9), ..led_to(own(), 7) };
    assert_eq!(assess(&[own(), before, led_to(others(), 7)]), []);
    let verdict = Node::new(true).assess(&[own(), led_to(others(), 7)]);
    assert!(verdict.serving, "it goes on: nothing is lost, only late");
}

/// The addresses of the nodes that are reported to have this node's name.
fn namesakes(decision: &JoinDecision) -> Vec<&str> {
    let named = decision.troubles.iter().filter_map(|issue| match issue {
        HealthIssue::SameName { there, .. } => Some(there.as_str()),
        _ => None,
    });
    named.collect()
}

#[test]
fn a_live_node_of_the_same_name_is_told_and_keeps_neither_out() {
    let twin = |boot, state, written| Heartbeat {
        written: Micros(STARTED.0 + written),
        ..row(u128::from(boot), NodeInfo { node: "own".into(), ..other(boot, 1, state) })
    };
    let second = OUTLIVED_BY.as_micros() as u64;
    let later = second + 1;
    for serving in [false, true] {
        let rows = [own(), twin(7, NodeState::Serving, later), twin(7, NodeState::Serving, later)];
        let told = Node::new(serving).assess(&rows);
        assert!(told.serving, "it is let in");
        assert_eq!(namesakes(&told), [about("other").address], "a boot is told once");
        let text = told.troubles[0].to_string();
        assert!(text.contains("two nodes are called own, this one at 10.0.0.1:8080"), "{text}");
    }
    for gone in [twin(7, NodeState::Serving, second), twin(7, NodeState::Draining, later)] {
        assert_eq!(namesakes(&Node::new(true).assess(&[own(), gone])), [""; 0]);
    }
    let stranger =
        Heartbeat { written: Micros(u64::MAX), ..row(7, other(7, 1, NodeState::Serving)) };
    assert_eq!(namesakes(&Node::new(true).assess(&[own(), stranger])), [""; 0]);
}
