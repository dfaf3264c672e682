//! Rows as the commands print them, drawn.

use super::*;

#[test]
fn fanout_has_a_panel_for_each_placement() {
    let row = |nodes: u32, placement: &str, lost: &str| {
        format!(
            r#"{{"nodes":{nodes},"buckets":1,"placement":"{placement}","users":1000,"devices":2,
            "node_events_per_delivery":2.2,"predicted":2.3,"broadcast":2.3,"more":1{lost}}}"#
        )
    };
    let text = [
        row(8, "random", r#","lost":0"#),
        row(8, "random", ""),
        row(8, "bucket", r#","lost":0"#),
        row(30, "bucket", ""),
    ];
    let svg = FigureKind::Fanout.draw(&text.join("\n")).unwrap();
    for found in
        ["users on nodes at random", "users placed by", ">30 nodes, broadcast<", "1,000 users"]
    {
        assert!(svg.contains(found), "{found}: {svg}");
    }
}

#[test]
fn relay_draws_medians() {
    let row = |server: &str, rate: u32, cpu: f64| {
        format!(r#"{{"server":"{server}","rate":{rate},"nodes_us":{cpu},"redis_us":0.5}}"#)
    };
    let text = [
        row("plain", 0, 9.0),
        row("1 nodes", 0, 12.0),
        row("1 nodes", 0, 99.0),
        row("1 nodes", 0, 13.0),
        row("plain", 4_000, 18.0),
    ];
    let svg = FigureKind::Relay.draw(&text.join("")).unwrap();
    for found in [">13.5<", ">1 node<", ">plain loop<", "4,000 deliveries a second"] {
        assert!(svg.contains(found), "{found}: {svg}");
    }
    assert!(!svg.contains(">99"), "{svg}");
}

#[test]
fn load_draws_percentiles_by_rate() {
    let row = |rate: u32, verdict: &str| {
        format!(
            r#"{{"verdict":"{verdict}","rate":{rate},"sockets":200,"mix":"dm=1","p50_us":500,
            "p90_us":900,"p99_us":2000,"p999_us":9000,"delivered":6000,"duration_ms":2000,"lost":0,
            "seconds":[{{"at_s":1,"delivered":4000}},{{"at_s":4,"delivered":2000}},
            {{"at_s":14,"delivered":0}}]}}"#
        )
    };
    let rows = [row(2_000, "generator saturated"), row(500, "passed")];
    let svg = FigureKind::Load.draw(&rows.concat()).unwrap();
    for found in
        [">p99.9<", ">2,000<", "200 sessions, mix dm=1", ">deliveries<", ">generator saturated<"]
    {
        assert!(svg.contains(found), "{found}: {svg}");
    }
    // 6,000 deliveries took four seconds: the axis does not go on to 3,000 a second. The ten seconds
    // in which one that was lost was waited for do not count.
    assert!(svg.contains(">1,500<") && !svg.contains(">3,000<"), "{svg}");
}

#[test]
fn a_timeline_has_what_was_done_and_gaps() {
    let second = |at: u32, rest: &str| {
        format!(
            r#"{{"at_s":{at},"acked":9,"delivered":20,"overdue":3,"p50_us":500,"p99_us":900{rest}}}"#
        )
    };
    let nodes = r#","nodes":4,"node_events":40,"watermark_lag_s":11.5"#;
    let seconds: Vec<String> = [
        (1, nodes),
        (2, nodes),
        (3, r#","nodes":0,"node_events":0,"watermark_lag_s":0"#),
        (4, nodes),
        (5, nodes),
    ]
    .map(|(at, rest)| second(at, rest))
    .into();
    let text = format!(
        r#"{{"title":"A fault","deeds":[{{"at_ms":3000,"label":"killed"}}]}}
        {{"began_ms":1000,"sockets":9,"mix":"dm=1","rate":50,"acked":45,"lost":0,"duplicate":0,
        "seconds":[{}]}}"#,
        seconds.join(",")
    );
    let failover = FigureKind::Failover.draw(&text).unwrap();
    for found in [">A fault<", ">killed<", ">overdue<", ">node events<", "0 deliveries lost"] {
        assert!(failover.contains(found), "{found}: {failover}");
    }
    let change = FigureKind::Change.draw(&text).unwrap();
    assert!(change.contains(">node events<"), "{change}");
    let lines = |svg: &str| svg.matches("stroke-width=\"2\"").count();
    assert_eq!((lines(&failover), lines(&change)), (9, 8), "a second without metrics is a gap");
    let alone = text.split_once('\n').unwrap().1;
    assert!(matches!(FigureKind::Change.draw(alone), Err(FigureError::Empty)));
}

#[test]
fn what_cannot_be_drawn_is_refused() {
    for kind in [FigureKind::Fanout, FigureKind::Relay] {
        assert!(matches!(kind.draw(""), Err(FigureError::Empty)), "{kind:?}");
        let error = kind.draw(r#"{"nodes":1}"#).unwrap_err().to_string();
        assert!(error.starts_with("row 1: missing field"), "{error}");
    }
}
