//! The terminal: what is drawn on it, and the keys. However the command ends, the terminal is as it
//! was before.

use std::io::{self, Stdout};
use std::mem::ManuallyDrop;
use std::panic;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use tokio::sync::mpsc;

use super::table::RowState;
use super::view::{Look, ScreenLine};

/// Keys that wait. Beyond, they are read later.
const KEYS_WAITING_MAX: usize = 16;

/// How often the reader of keys looks whether it is still needed.
const KEYS_POLL: Duration = Duration::from_millis(250);

/// What the user asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Sort,
    /// Rows to go down.
    Scroll(isize),
    /// Screens to go down.
    Page(isize),
    /// The terminal has another size.
    Resized,
}

/// The terminal of the process, taken over until this is dropped.
pub(super) struct TopScreen {
    /// Never dropped: that would write to standard error, whose reader may be gone.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Stdout>>>,
    keys: mpsc::Receiver<Key>,
    has_colour: bool,
}

impl TopScreen {
    /// Takes the terminal over. A panic gives it back before it is reported.
    pub(super) fn open() -> io::Result<Self> {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            report(panic);
        }));
        let opened = enable_raw_mode()
            .and_then(|()| execute!(io::stdout(), EnterAlternateScreen))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        let terminal = opened.map(ManuallyDrop::new).inspect_err(|_| restore())?;
        let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Ok(Self { terminal, keys: read_keys(), has_colour: !is_plain })
    }

    /// Draws the lines of a width and a height.
    pub(super) fn draw(
        &mut self,
        lines: impl FnOnce(usize, usize) -> Vec<ScreenLine>,
    ) -> io::Result<()> {
        let has_colour = self.has_colour;
        let drawn = self.terminal.draw(|frame| {
            let area = frame.area();
            let lines = lines(area.width.into(), area.height.into());
            render(&lines, area, frame.buffer_mut(), has_colour);
        });
        drawn.map(drop)
    }

    /// Waits for a key; none if the terminal is gone.
    pub(super) async fn key(&mut self) -> Option<Key> {
        self.keys.recv().await
    }
}

impl Drop for TopScreen {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. What fails has no reader any more.
fn restore() {
    let _shown = execute!(io::stdout(), LeaveAlternateScreen, Show);
    let _cooked = disable_raw_mode();
}

/// Reads keys on a thread of its own, which ends soon after nothing waits for them.
fn read_keys() -> mpsc::Receiver<Key> {
    let (found, keys) = mpsc::channel(KEYS_WAITING_MAX);
    std::thread::spawn(move || {
        while !found.is_closed() {
            let event = match event::poll(KEYS_POLL) {
                Ok(true) => event::read(),
                Ok(false) => continue,
                Err(_) => return,
            };
            let Ok(event) = event else { return };
            if let Some(key) = key(&event)
                && found.blocking_send(key).is_err()
            {
                return;
            }
        }
    });
    keys
}

/// What an event asks for.
fn key(event: &Event) -> Option<Key> {
    let Event::Key(KeyEvent { code, modifiers, kind, .. }) = event else {
        return matches!(event, Event::Resize(..)).then_some(Key::Resized);
    };
    if *kind == KeyEventKind::Release {
        return None;
    }
    match code {
        KeyCode::Char('c') if modifiers.contains(KeyModifiers::CONTROL) => Some(Key::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Key::Quit),
        KeyCode::Char('s') => Some(Key::Sort),
        KeyCode::Up => Some(Key::Scroll(-1)),
        KeyCode::Down => Some(Key::Scroll(1)),
        KeyCode::PageUp => Some(Key::Page(-1)),
        KeyCode::PageDown => Some(Key::Page(1)),
        _ => None,
    }
}

/// Puts the lines on a screen, from its top.
fn render(lines: &[ScreenLine], area: Rect, buffer: &mut Buffer, has_colour: bool) {
    for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
        let style = style(line.look, has_colour);
        buffer.set_stringn(area.left(), y, &line.text, area.width.into(), style);
        buffer.set_style(Rect { y, height: 1, ..area }, style);
    }
}

fn style(look: Look, has_colour: bool) -> Style {
    let plain = Style::default();
    let coloured = |colour| if has_colour { plain.fg(colour) } else { plain };
    match look {
        Look::Title | Look::Keys => plain.add_modifier(Modifier::DIM),
        Look::Header => plain.add_modifier(Modifier::REVERSED),
        Look::Row(RowState::Well) => plain,
        Look::Row(RowState::Troubled) => coloured(Color::Yellow),
        Look::Row(RowState::Away) => coloured(Color::Red),
        Look::Total => plain.add_modifier(Modifier::BOLD),
        Look::Note => coloured(Color::Yellow),
    }
}

#[cfg(test)]
mod tests;
