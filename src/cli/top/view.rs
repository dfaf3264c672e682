//! What a screen of a height shows of a table.

use std::time::Duration;

use super::columns::TopColumn;
use super::name_text::{cut, harmless};
use super::table::{RowState, TopTable};

/// What the keys do.
const KEYS: &str = "q quit  s sort  ↑↓ scroll";

/// From which height on a line is there besides the rows.
const HEADER_FROM: usize = 2;
const TOTAL_FROM: usize = 3;
const TITLE_FROM: usize = 4;
const KEYS_FROM: usize = 6;
const NOTES_FROM: usize = 12;

/// Most notes below the total.
const NOTES_MAX: usize = 2;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Title,
    Header,
    Row(RowState),
    Total,
    Note,
    Keys,
}

/// A line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScreenLine {
    pub(super) text: String,
    pub(super) look: Look,
}

/// Which rows are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scroll {
    /// The first one.
    first: usize,
    /// How many there was room for.
    room: usize,
}

impl Scroll {
    /// Goes down by rows, or up.
    pub(super) fn by_rows(&mut self, rows: isize) {
        self.first = self.first.saturating_add_signed(rows);
    }

    /// Goes down by screens, or up.
    pub(super) fn by_pages(&mut self, pages: isize) {
        self.by_rows(pages.saturating_mul(self.room.max(1) as isize));
    }

    /// Goes back to the last rows if it is beyond them.
    fn clamp(&mut self, rows: usize, room: usize) {
        self.room = room;
        self.first = self.first.min(rows.saturating_sub(room));
    }
}

/// What is to be shown.
pub(super) struct View<'a> {
    pub(super) table: &'a TopTable,
    pub(super) notes: &'a [String],
    pub(super) sort: TopColumn,
    pub(super) every: Duration,
}

impl View<'_> {
    /// Returns the lines of a screen. As many rows as have room are shown, from where `scroll` is.
    pub(super) fn lines(
        &self,
        width: usize,
        height: usize,
        scroll: &mut Scroll,
    ) -> Vec<ScreenLine> {
        let line = |text: &str, look| ScreenLine { text: cut(text, width), look };
        let notes = if height >= NOTES_FROM { self.notes } else { &[] };
        let notes = &notes[..notes.len().min(NOTES_MAX)];
        let besides = [HEADER_FROM, TOTAL_FROM, TITLE_FROM, KEYS_FROM];
        let besides = besides.into_iter().filter(|from| height >= *from).count() + notes.len();
        let room = height.saturating_sub(besides);
        let rows = &self.table.rows;
        scroll.clamp(rows.len(), room);
        let mut lines = Vec::new();
        if height >= TITLE_FROM {
            lines.push(line(&self.title(), Look::Title));
        }
        if height >= HEADER_FROM {
            lines.push(line(&self.table.header, Look::Header));
        }
        let shown = rows.iter().skip(scroll.first).take(room);
        lines.extend(shown.map(|(text, state)| line(text, Look::Row(*state))));
        if height >= TOTAL_FROM {
            lines.push(line(&self.table.total, Look::Total));
        }
        lines.extend(notes.iter().map(|note| line(&harmless(note), Look::Note)));
        if height >= KEYS_FROM {
            lines.push(line(&self.keys(*scroll), Look::Keys));
        }
        lines
    }

    /// How many nodes there are, and how the table is made.
    fn title(&self) -> String {
        let nodes = self.table.rows.len();
        let away = self.table.rows.iter().filter(|(_, state)| *state == RowState::Away).count();
        let sort = self.sort.title();
        let every = self.every.as_secs();
        format!("{} of {nodes} nodes, by {sort}, every {every} s", nodes - away)
    }

    /// What the keys do, and which rows are shown unless all are.
    fn keys(&self, scroll: Scroll) -> String {
        let rows = self.table.rows.len();
        if scroll.room >= rows {
            return KEYS.to_owned();
        }
        let last = (scroll.first + scroll.room).min(rows);
        format!("{}-{last} of {rows}  {KEYS}", scroll.first + 1)
    }
}
