//! `top` on a terminal: what is seen, the keys, and what is left behind.

use crate::harness::{Demo, FalseOperator, Process, PseudoTerminal, eventually};

const UP: &str = "\x1b[A";
const DOWN: &str = "\x1b[B";

/// `top` of these nodes on a terminal.
fn start(terminal: &PseudoTerminal, from: &[String]) -> Process {
    let mut command = Process::narrowcast();
    command.args(["top", "--every", "1s", "--from"]).args(from);
    terminal.start(&command)
}

fn urls(demo: &Demo) -> Vec<String> {
    demo.nodes.iter().map(|node| format!("http://{}", node.operator.address())).collect()
}

/// Waits for a line.
async fn seen(terminal: &PseudoTerminal, what: &str, holds: impl Fn(&[String]) -> bool) {
    eventually(what, || holds(&terminal.lines())).await;
}

#[tokio::test]
async fn nodes_are_shown_at_any_size_and_q_gives_the_terminal_back() {
    let demo = Demo::start(3, &[], &[]);
    let terminal = PseudoTerminal::open(120, 24);
    assert!(terminal.is_as_before());
    let mut top = start(&terminal, &urls(&demo));
    let has =
        |part: &'static str| move |lines: &[String]| lines.iter().any(|line| line.contains(part));
    seen(&terminal, "three nodes", |lines| {
        lines[0].starts_with("3 of 3 nodes, by sessions, every 1 s")
            && lines[1].contains("ev/deliv")
            && lines[2].starts_with("n1")
            && lines[4].starts_with("n3")
            && lines[5].starts_with("total")
    })
    .await;
    assert!(!terminal.is_as_before());
    terminal.press("s");
    seen(&terminal, "the next column", has("by sends/s")).await;
    terminal.resize(40, 5);
    seen(&terminal, "the columns of a narrow screen", |lines| {
        lines[1].starts_with("node") && !lines[1].contains("sends/s") && lines[2].starts_with("n1")
    })
    .await;
    terminal.press(DOWN);
    seen(&terminal, "the second node", |lines| lines[2].starts_with("n2")).await;
    terminal.press(UP);
    seen(&terminal, "the first node", |lines| lines[2].starts_with("n1")).await;
    terminal.resize(80, 24);
    seen(&terminal, "the keys", has("q quit  s sort")).await;
    terminal.press("q");
    assert_eq!(top.wait(), (Some(0), String::new()));
    eventually("the terminal is as before", || terminal.is_as_before()).await;
}

#[tokio::test]
async fn however_it_ends_the_terminal_is_as_before() {
    let demo = Demo::start(1, &[], &[]);
    let end: [(&str, fn(&PseudoTerminal, &Process)); 4] = [
        ("Ctrl-C", |terminal, _| terminal.press("\x03")),
        ("Esc", |terminal, _| terminal.press("\x1b")),
        ("SIGTERM", |_, top| top.signal("TERM")),
        ("SIGINT", |_, top| top.signal("INT")),
    ];
    for (name, end) in end {
        let terminal = PseudoTerminal::open(80, 24);
        let mut top = start(&terminal, &urls(&demo));
        seen(&terminal, name, |lines| lines[2].starts_with("n1")).await;
        end(&terminal, &top);
        assert_eq!(top.wait(), (Some(0), String::new()), "{name}");
        eventually(name, || terminal.is_as_before()).await;
    }
}

#[tokio::test]
async fn an_error_is_told_on_a_terminal_that_is_as_before() {
    let demo = Demo::start(1, &[], &[]);
    let clients = demo.nodes[0].url.replace("ws://", "http://").replace("/v1/ws", "");
    let terminal = PseudoTerminal::open(80, 24);
    let (code, errors) = start(&terminal, &[clients]).wait();
    assert_eq!(code, Some(1), "{errors}");
    assert!(errors.contains("is not the operator's listener"), "{errors}");
    eventually("the terminal is as before", || terminal.is_as_before()).await;
}

#[tokio::test]
async fn a_node_that_goes_is_away_and_the_others_stay() {
    let (one, two) = (Demo::start(1, &[], &[]), Demo::start(1, &[], &[]));
    let silent = FalseOperator::start(|_| None);
    let from = [urls(&one), urls(&two), vec![silent.url()]].concat();
    let terminal = PseudoTerminal::open(100, 24);
    let mut top = start(&terminal, &from);
    seen(&terminal, "one is away", |lines| lines[0].starts_with("2 of 3 nodes")).await;
    seen(&terminal, "it is told that they are two deployments", |lines| {
        lines.iter().any(|line| line == "the nodes are of 2 deployments")
    })
    .await;
    drop(two);
    seen(&terminal, "another one is away", |lines| {
        let away = lines.iter().filter(|line| line.contains("away ")).count();
        lines[0].starts_with("1 of 3 nodes") && away == 2 && lines[2].ends_with("-")
    })
    .await;
    terminal.press("q");
    assert_eq!(top.code(), Some(0));
}

#[tokio::test]
async fn a_terminal_that_goes_ends_it() {
    let demo = Demo::start(1, &[], &[]);
    let terminal = PseudoTerminal::open(80, 24);
    let mut top = start(&terminal, &urls(&demo));
    seen(&terminal, "one node", |lines| lines[2].starts_with("n1")).await;
    drop(terminal);
    let (code, errors) = top.wait();
    assert!(code.is_some_and(|code| code <= 1), "{code:?}: {errors}");
    assert!(!errors.contains("panicked"), "{errors}");
}
