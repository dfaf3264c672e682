//! What is drawn on a terminal that is tested.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;

use super::*;
use crate::cli::top::columns::TopColumn;
use crate::cli::top::tests::{away, lines, node};
use crate::cli::top::view::Scroll;
use crate::monitor::NodeRow;

/// Draws nodes, and returns the lines of the screen without blanks at their ends.
fn drawn(terminal: &mut Terminal<TestBackend>, nodes: &[NodeRow]) -> Vec<String> {
    let draw = terminal.draw(|frame| {
        let area = frame.area();
        let size = (area.width.into(), area.height.into());
        let lines = lines(nodes, TopColumn::Sessions, size, &mut Scroll::default());
        render(&lines, area, frame.buffer_mut(), true);
    });
    draw.expect("it is drawn");
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(usize::from(buffer.area.width).max(1));
    let text = |row: &[Cell]| row.iter().map(Cell::symbol).collect::<String>();
    rows.map(|row| text(row).trim_end().to_owned()).collect()
}

fn terminal(width: u16, height: u16) -> Terminal<TestBackend> {
    Terminal::new(TestBackend::new(width, height)).expect("a terminal")
}

fn many() -> Vec<NodeRow> {
    let mut nodes: Vec<NodeRow> =
        (1..30).map(|number| node(&format!("node-{number}"), 1000 - number)).collect();
    nodes.push(away("node-30"));
    nodes
}

#[test]
fn no_node_and_one_node_and_thirty_are_drawn_at_every_width() {
    for width in [40, 80, 200] {
        let empty = drawn(&mut terminal(width, 24), &[]);
        assert_eq!(empty[0], "0 of 0 nodes, by sessions, every 2 s");
        assert!(
            empty[1].starts_with("node   sessions") && empty[2].starts_with("total"),
            "{empty:?}"
        );
        let one = drawn(&mut terminal(width, 24), &[node("eu-1", 7)]);
        assert!(
            one[2].starts_with("eu-1          7") && one[3].starts_with("total         7"),
            "{one:?}"
        );
        let thirty = drawn(&mut terminal(width, 24), &many());
        assert_eq!(thirty[0], "29 of 30 nodes, by sessions, every 2 s");
        assert!(thirty[2].starts_with("node-1        999"), "{thirty:?}");
        assert_eq!(thirty[23], "1-19 of 30  q quit  s sort  ↑↓ scroll");
        let headers = ["deliv/s", "sends/s", "lag", "CPU", "RSS", "useful", "ev/deliv"];
        let shown = headers.iter().filter(|title| thirty[1].contains(*title)).count();
        assert_eq!(
            shown,
            match width {
                40 => 1,
                80 => 5,
                _ => 7,
            },
            "{}",
            thirty[1]
        );
    }
}

#[test]
fn a_screen_that_is_resized_is_drawn_anew() {
    let mut terminal = terminal(200, 40);
    let wide = drawn(&mut terminal, &many());
    assert!(
        wide[1].contains("ev/deliv") && wide[31].contains("away 12 s: cannot connect"),
        "{wide:?}"
    );
    for (width, height) in [(40, 12), (3, 1), (0, 0), (1, 30), (80, 24)] {
        terminal.backend_mut().resize(width, height);
        let lines = drawn(&mut terminal, &many());
        assert!(lines.len() <= usize::from(height), "{width}x{height}: {lines:?}");
    }
    let narrow = drawn(&mut terminal, &many());
    assert!(narrow[1].contains("sends/s") && !narrow[1].contains("ev/deliv"), "{narrow:?}");
}

/// The first number that stands alone: a name is cut, or has no number in it.
fn number_behind_name(line: &str) -> &str {
    let words = line.split_whitespace();
    words.into_iter().find(|word| word.parse::<u32>().is_ok()).expect("a number")
}

#[test]
fn hostile_names_stay_within_their_cells() {
    let nodes = [
        node("\u{1b}[2J\u{7}\r\nroot", 5),
        node("日本語の節点の名前はとても長い", 4),
        node("\u{202e}\u{200b}e\u{301}", 3),
        node(&"x".repeat(10_000), 2),
        node("", 1),
    ];
    for width in [40, 80, 200] {
        let lines = drawn(&mut terminal(width, 24), &nodes);
        assert!(!lines.iter().any(|line| line.chars().any(char::is_control)), "{lines:?}");
        // A wide character takes two cells; the second has no text of its own.
        let sessions: Vec<&str> = lines[2..7].iter().map(|line| number_behind_name(line)).collect();
        assert_eq!(sessions, ["5", "4", "3", "2", "1"], "{lines:?}");
        assert!(lines[7].starts_with("total"), "{lines:?}");
    }
}

#[test]
fn keys_ask_for_what_the_help_says() {
    let press = |code, modifiers| key(&Event::Key(KeyEvent::new(code, modifiers)));
    let none = KeyModifiers::NONE;
    assert_eq!(press(KeyCode::Char('q'), none), Some(Key::Quit));
    assert_eq!(press(KeyCode::Esc, none), Some(Key::Quit));
    assert_eq!(press(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Quit));
    assert_eq!(press(KeyCode::Char('c'), none), None);
    assert_eq!(press(KeyCode::Char('s'), none), Some(Key::Sort));
    assert_eq!(press(KeyCode::Up, none), Some(Key::Scroll(-1)));
    assert_eq!(press(KeyCode::PageDown, none), Some(Key::Page(1)));
    assert_eq!(key(&Event::Resize(1, 1)), Some(Key::Resized));
}

/// Tells the test below that it runs on a terminal of its own.
const ON_A_TERMINAL: &str = "NARROWCAST_TEST_ON_A_TERMINAL";

#[test]
fn a_panic_is_told_on_a_terminal_that_is_as_before() {
    if std::env::var_os(ON_A_TERMINAL).is_some() {
        // In a release the process is aborted, and nothing is dropped.
        std::mem::forget(TopScreen::open().expect("a terminal"));
        panic!("as it has to");
    }
    let test = std::env::current_exe().expect("this program");
    let path = concat!(module_path!(), "::a_panic_is_told_on_a_terminal_that_is_as_before");
    let path = path.split_once("::").expect("a path in the crate").1;
    let run = format!("'{}' --exact --nocapture {path}; stty -a", test.display());
    let script = std::process::Command::new("script")
        .args(["--quiet", "--command", &run, "/dev/null"])
        .env(ON_A_TERMINAL, "1")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("script is there");
    let seen = String::from_utf8_lossy(&script.stdout);
    let restored = seen.find("\x1b[?1049l\x1b[?25h").expect("the screen is given back");
    let told = seen.find("as it has to").expect("the panic is told");
    assert!(restored < told, "{seen}");
    assert!(seen[told..].contains(" icanon ") && seen[told..].contains(" echo "), "{seen}");
}
