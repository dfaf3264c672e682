//! Which columns fit a width, and the lines that follow. No line is wider than the width.

use super::columns::{TopColumn, troubles};
use super::name_text::{cut, fit, width};
use crate::monitor::{NodeFigures, NodeRow, NodeTrouble};

/// Blanks between columns.
const GAP: usize = 2;

/// The least width of a name and of a trouble, if they are not shorter: a share of the screen.
const NAME_MIN: usize = 8;
const NAME_SHARE: usize = 5;
const TROUBLE_MIN: usize = 11;
const TROUBLE_SHARE: usize = 4;

/// The name of the last row.
const TOTAL: &str = "total";

/// How a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowState {
    Well,
    Troubled,
    Away,
}

/// Lines of text, all of one width at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopTable {
    pub(super) header: String,
    pub(super) rows: Vec<(String, RowState)>,
    pub(super) total: String,
}

/// The cells of a column, its title first and its total last, and how wide it is.
struct CellColumn {
    column: TopColumn,
    cells: Vec<String>,
    width: usize,
}

/// Lays nodes out in an order. Without a width everything is there and whole.
pub(super) fn table(nodes: &[NodeRow], sort: TopColumn, width: Option<usize>) -> TopTable {
    let mut nodes: Vec<&NodeRow> = nodes.iter().collect();
    nodes.sort_by(|one, two| sort.order(one, two));
    let columns = TopColumn::ALL.map(|column| CellColumn::new(column, &nodes));
    let columns = match width {
        Some(width) => fitted(columns, width),
        None => columns.into(),
    };
    let line = |row: usize| {
        let cells = columns.iter().map(|column| column.cell(row));
        let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
        let line = line.trim_end();
        width.map_or_else(|| line.to_owned(), |width| cut(line, width))
    };
    let rows = nodes.iter().enumerate().map(|(row, node)| (line(row + 1), state(&node.trouble)));
    TopTable { header: line(0), rows: rows.collect(), total: line(nodes.len() + 1) }
}

const fn state(trouble: &NodeTrouble) -> RowState {
    match trouble {
        NodeTrouble::None | NodeTrouble::Restarted(_) => RowState::Well,
        NodeTrouble::Away { .. } => RowState::Away,
        NodeTrouble::NotReady { .. } | NodeTrouble::SameAs(_) | NodeTrouble::Unread => {
            RowState::Troubled
        }
    }
}

impl CellColumn {
    fn new(column: TopColumn, nodes: &[&NodeRow]) -> Self {
        let figures: Vec<NodeFigures> = nodes.iter().map(|node| node.figures).collect();
        let total = match column {
            TopColumn::Node => TOTAL.to_owned(),
            TopColumn::Trouble => troubles(nodes),
            _ => column.figure_cell(&NodeFigures::total(&figures)),
        };
        let cells = nodes.iter().map(|node| column.cell(node));
        let cells: Vec<String> =
            [column.title().to_owned()].into_iter().chain(cells).chain([total]).collect();
        let widest = cells.iter().map(|cell| width(cell)).max().unwrap_or_default();
        Self { column, cells, width: widest.max(column.width_min()) }
    }

    fn cell(&self, row: usize) -> String {
        fit(&self.cells[row], self.width, self.column.is_figure())
    }

    /// The least width that it is of use with, on a screen of a width.
    fn least(&self, screen: usize) -> usize {
        match self.column {
            TopColumn::Node => self.width.min(NAME_MIN.max(screen / NAME_SHARE)),
            TopColumn::Trouble => self.width.min(TROUBLE_MIN.max(screen / TROUBLE_SHARE)),
            _ => self.width,
        }
    }
}

/// Takes the most important columns that fit. What is left over goes to names, then to troubles.
fn fitted(columns: [CellColumn; TopColumn::ALL.len()], screen: usize) -> Vec<CellColumn> {
    let least = |column: TopColumn| {
        columns.iter().find(|it| it.column == column).map_or(0, |it| it.least(screen))
    };
    let mut taken = least(TopColumn::Node);
    let mut shown = vec![TopColumn::Node];
    for column in TopColumn::OPTIONAL {
        let more = GAP + least(column);
        if taken + more > screen {
            break;
        }
        taken += more;
        shown.push(column);
    }
    let mut rest = screen.saturating_sub(taken);
    let mut fitted: Vec<CellColumn> =
        columns.into_iter().filter(|it| shown.contains(&it.column)).collect();
    for column in fitted.iter_mut().filter(|it| !it.column.is_figure()) {
        let least = column.least(screen);
        let width = column.width.min(least + rest);
        rest -= width - least;
        column.width = width;
    }
    fitted
}
