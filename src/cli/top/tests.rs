//! From rows to lines: what fits a width and a height.

use std::time::Duration;

use proptest::prelude::*;

use super::columns::TopColumn;
use super::name_text::width;
use super::table::{RowState, table};
use super::view::{Look, ScreenLine, Scroll, View};
use super::{NODES_MAX, check, whole_seconds};
use crate::monitor::{NodeFigures, NodeRow, NodeTrouble, OperatorUrl};

/// A node that works, of so many sessions.
pub(super) fn node(name: &str, sessions: u32) -> NodeRow {
    let mut figures = NodeFigures { sessions: Some(sessions.into()), ..NodeFigures::default() };
    figures.rates.sends = Some(120.4);
    figures.rates.deliveries = Some(1234.0);
    figures.rates.node_events = Some(1308.0);
    figures.rates.echoes = Some(8.0);
    figures.rates.useful = Some(1274.0);
    figures.rates.cpu = Some(0.42);
    figures.lag_s = Some(0.34);
    figures.resident_bytes = Some(88.0 * 1_048_576.0);
    NodeRow {
        url: format!("http://{name}:8081"),
        name: name.to_owned(),
        boot: name.to_owned(),
        version: "1".to_owned(),
        figures,
        trouble: NodeTrouble::None,
    }
}

pub(super) fn away(name: &str) -> NodeRow {
    let why = "cannot connect: Connection refused (os error 111)".to_owned();
    let trouble = NodeTrouble::Away { since: Duration::from_secs(12), why };
    NodeRow { figures: NodeFigures::default(), trouble, ..node(name, 0) }
}

/// The lines of a screen.
pub(super) fn lines(
    nodes: &[NodeRow],
    sort: TopColumn,
    (width, height): (usize, usize),
    scroll: &mut Scroll,
) -> Vec<ScreenLine> {
    let table = table(nodes, sort, Some(width));
    let warnings = ["not given: n9 (http://\u{1b}[2J:8081)".to_owned()];
    let view = View { table: &table, notes: &warnings, sort, every: Duration::from_secs(2) };
    view.lines(width, height, scroll)
}

fn text(nodes: &[NodeRow], width: Option<usize>) -> Vec<String> {
    let table = table(nodes, TopColumn::Sessions, width);
    let rows = table.rows.into_iter().map(|(line, _)| line);
    [table.header].into_iter().chain(rows).chain([table.total]).collect()
}

#[test]
fn forty_columns_show_what_matters_most() {
    let nodes = [node("eu-1", 7), node("a-very-long-name", 12), away("eu-3")];
    assert_eq!(
        text(&nodes, Some(40)),
        [
            "node      sessions  deliv/s  trouble".to_owned(),
            "a-very-…        12     1234  -".to_owned(),
            "eu-1             7     1234  -".to_owned(),
            "eu-3             -        -  away 12 s:…".to_owned(),
            "total           19     2468  1 away".to_owned(),
        ]
    );
}

#[test]
fn without_a_width_nothing_is_cut() {
    let nodes = [node("eu-1", 7), away("a-very-long-name")];
    assert_eq!(
        text(&nodes, None),
        [
            "node              sessions  sends/s  deliv/s  ev/deliv  useful    lag   CPU      RSS  trouble",
            "eu-1                     7      120     1234      1.06     98%  340ms   42%    88MiB  -",
            "a-very-long-name         -        -        -         -       -      -     -        -  away 12 s: \
             cannot connect: Connection refused (os error 111)",
            "total                    7      120     1234      1.06     98%  340ms   42%    88MiB  1 away",
        ]
    );
}

#[test]
fn rows_go_by_any_column_and_those_without_a_figure_are_last() {
    let mut idle = node("b", 5);
    idle.figures.rates.useful = Some(0.0);
    let nodes = [away("d"), node("a", 5), idle, node("c", 9)];
    let names = |sort: TopColumn| {
        let mut nodes = nodes.to_vec();
        nodes.sort_by(|one, two| sort.order(one, two));
        nodes.into_iter().map(|node| node.name).collect::<String>()
    };
    assert_eq!(names(TopColumn::Sessions), "cabd");
    assert_eq!(names(TopColumn::Node), "abcd");
    assert_eq!(names(TopColumn::UsefulShare), "bacd", "the smallest share is the worst");
    assert_eq!(names(TopColumn::Trouble), "dabc");
    let mut cycle = vec![TopColumn::Sessions];
    for _ in 1..TopColumn::ALL.len() {
        cycle.push(cycle[cycle.len() - 1].next());
    }
    assert!(TopColumn::ALL.iter().all(|column| cycle.contains(column)));
    assert_eq!(cycle[cycle.len() - 1].next(), TopColumn::Sessions);
}

#[test]
fn what_fits_is_scrolled_and_says_so() {
    let nodes: Vec<NodeRow> =
        (0..30).map(|number| node(&format!("n{number:02}"), 100 - number)).collect();
    let mut scroll = Scroll::default();
    let mut shown = |change: fn(&mut Scroll), height: usize| {
        change(&mut scroll);
        let lines = lines(&nodes, TopColumn::Sessions, (80, height), &mut scroll);
        let rows = lines.iter().filter(|line| matches!(line.look, Look::Row(_)));
        let rows: Vec<&str> = rows.map(|line| &line.text[..3]).collect();
        let keys = lines.last().expect("a line").text.clone();
        (rows[0].to_owned(), rows.len(), keys)
    };
    let of = |first: &str, rows, range: &str| {
        (first.to_owned(), rows, format!("{range}  q quit  s sort  ↑↓ scroll"))
    };
    assert_eq!(shown(|_| (), 15), of("n00", 10, "1-10 of 30"));
    assert_eq!(shown(|scroll| scroll.by_rows(-1), 15), of("n00", 10, "1-10 of 30"));
    assert_eq!(shown(|scroll| scroll.by_rows(3), 15), of("n03", 10, "4-13 of 30"));
    assert_eq!(shown(|scroll| scroll.by_pages(1), 15), of("n13", 10, "14-23 of 30"));
    assert_eq!(shown(|scroll| scroll.by_pages(9), 15), of("n20", 10, "21-30 of 30"));
    assert_eq!(shown(|_| (), 25), of("n10", 20, "11-30 of 30"), "it has grown");
    let (_, rows, keys) = shown(|_| (), 50);
    assert_eq!((rows, keys.as_str()), (30, "q quit  s sort  ↑↓ scroll"));
}

#[test]
fn a_low_screen_shows_rows_first() {
    let nodes = [node("a", 1), away("b")];
    let looks = |height: usize| {
        let lines = lines(&nodes, TopColumn::Sessions, (80, height), &mut Scroll::default());
        lines.into_iter().map(|line| line.look).collect::<Vec<Look>>()
    };
    let (well, away) = (Look::Row(RowState::Well), Look::Row(RowState::Away));
    assert_eq!(looks(0), []);
    assert_eq!(looks(1), [well]);
    assert_eq!(looks(2), [Look::Header, well]);
    assert_eq!(looks(4), [Look::Title, Look::Header, well, Look::Total]);
    assert_eq!(looks(6), [Look::Title, Look::Header, well, away, Look::Total, Look::Keys]);
    assert!(looks(12).contains(&Look::Note));
}

#[test]
fn the_interval_is_within_its_bounds() {
    assert_eq!(whole_seconds("1"), Ok(Duration::from_secs(1)));
    assert_eq!(whole_seconds("60s"), Ok(Duration::from_mins(1)));
    for wrong in ["0", "61s", "", "s", "-1", "1.5s", "2 s", "99999999999999999999", "1ms"] {
        assert_eq!(whole_seconds(wrong).unwrap_err(), "it must be from 1s to 60s", "{wrong}");
    }
}

#[test]
fn a_node_is_given_once_and_not_too_many_are() {
    let urls = |count: usize| -> Vec<OperatorUrl> {
        (0..count).map(|port| format!("http://h:{port}").parse().expect("a URL")).collect()
    };
    assert!(check(&urls(NODES_MAX)).is_ok());
    let many = check(&urls(NODES_MAX + 1)).unwrap_err().to_string();
    assert_eq!(many, "--from: 257 nodes are given, at most 256 are shown");
    let twice = ["http://h:1", "http://h:1/"].map(|url| url.parse().expect("a URL"));
    assert_eq!(check(&twice).unwrap_err().to_string(), "--from: http://h:1/ is given twice");
}

proptest! {
    #[test]
    fn no_line_is_wider_than_the_screen_and_there_are_no_more_than_fit(
        names in proptest::collection::vec(".{0,70}", 0..30),
        (width_, height) in (0_usize..220, 0_usize..60),
        sessions in any::<u32>(),
        sort in 0_usize..10,
    ) {
        let mut nodes: Vec<NodeRow> = names.iter().map(|name| node(name, sessions)).collect();
        nodes.extend(names.first().map(|name| away(name)));
        let sort = TopColumn::ALL[sort];
        let shown = lines(&nodes, sort, (width_, height), &mut Scroll::default());
        prop_assert!(shown.len() <= height);
        for line in shown {
            prop_assert!(width(&line.text) <= width_, "{line:?}");
            prop_assert!(!line.text.chars().any(char::is_control), "{line:?}");
        }
    }
}
