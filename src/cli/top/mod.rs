//! `top`: running nodes as a table that is refreshed.
//!
//! | file | holds |
//! | --- | --- |
//! | `node_reads` | a task for each node, which reads it again and again |
//! | `figure_text` | figures with their units |
//! | `name_text` | texts of nodes, made harmless and cut to a width |
//! | `columns` | the columns: titles, cells, order of rows |
//! | `table` | which columns fit a width, and the lines that follow |
//! | `view` | what a screen of a height shows of a table |
//! | `screen` | the terminal; only here is `ratatui` named |
//! | `report` | the table and the JSON of `--once` |

mod columns;
mod figure_text;
mod name_text;
mod node_reads;
mod report;
mod screen;
mod table;
#[cfg(test)]
mod tests;
mod view;

use std::collections::BTreeSet;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::interval;

use self::columns::TopColumn;
use self::node_reads::{NodeRead, NodeReads};
use self::screen::{Key, TopScreen};
use self::table::table;
use self::view::{Scroll, View};
use super::operators::operator_urls;
use super::output::output_failure;
use super::signals::StopRequests;
use super::{CliFailure, block_on};
use crate::monitor::{Fleet, OperatorUrl};

/// Most nodes: each has a row, and is read by a task of its own.
const NODES_MAX: usize = 256;

/// How often ages are shown anew if nothing else happens.
const AGES_REFRESH: Duration = Duration::from_secs(1);

/// The bounds of `--every`, in seconds.
const EVERY_S: std::ops::RangeInclusive<u64> = 1..=60;

/// Shows running nodes as a table that is refreshed.
#[derive(Debug, Args)]
pub(super) struct Top {
    /// The operators' listeners of the nodes, as http://HOST:PORT.
    #[arg(long, value_name = "URL", num_args = 1.., required = true)]
    from: Vec<String>,
    /// How far apart reads are, from 1s to 60s.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = whole_seconds)]
    every: Duration,
    /// Reads twice, prints the table as plain text, and ends; fails if no node can be read. The same
    /// happens without it if standard output is a pipe or a file.
    #[arg(long)]
    once: bool,
    /// As --once, but one JSON object a line for each node.
    #[arg(long)]
    json: bool,
}

impl Top {
    pub(super) fn run(self) -> Result<(), CliFailure> {
        let urls = operator_urls(&self.from)?;
        check(&urls)?;
        let is_once = self.once || self.json || !io::stdout().is_terminal();
        block_on(async {
            if is_once {
                print_once(&urls, self.every, self.json).await
            } else {
                watch(&urls, self.every).await
            }
        })
    }
}

/// Reads `2s`, or `2`.
fn whole_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let seconds = seconds.filter(|seconds| EVERY_S.contains(seconds));
    let wrong = || format!("it must be from {}s to {}s", EVERY_S.start(), EVERY_S.end());
    seconds.map(Duration::from_secs).ok_or_else(wrong)
}

/// Refuses too many nodes, and one that is given twice.
fn check(urls: &[OperatorUrl]) -> Result<(), CliFailure> {
    if urls.len() > NODES_MAX {
        let text = format!("--from: {} nodes are given, at most {NODES_MAX} are shown", urls.len());
        return Err(CliFailure::Usage(text));
    }
    let mut known = BTreeSet::new();
    match urls.iter().find(|url| !known.insert(url.authority())) {
        Some(url) => Err(CliFailure::Usage(format!("--from: {} is given twice", url.as_str()))),
        None => Ok(()),
    }
}

/// Notes a read. An address that is not an operator's listener ends the command.
fn note(fleet: &mut Fleet, read: NodeRead) -> Result<(), CliFailure> {
    fleet.note(read.place, read.at, read.read).map_err(CliFailure::failed)
}

async fn print_once(urls: &[OperatorUrl], every: Duration, json: bool) -> Result<(), CliFailure> {
    let mut fleet = Fleet::new(urls);
    let mut reads = NodeReads::twice(urls, every);
    while let Some(read) = reads.next().await {
        note(&mut fleet, read)?;
    }
    report::print(&fleet, Instant::now(), json)
}

async fn watch(urls: &[OperatorUrl], every: Duration) -> Result<(), CliFailure> {
    let mut fleet = Fleet::new(urls);
    let mut stop = StopRequests::of_terminal()?;
    let mut screen = TopScreen::open().map_err(|error| {
        CliFailure::Failed(format!("the terminal cannot be used, but --once can: {error}"))
    })?;
    let mut reads = NodeReads::start(urls, every);
    let mut ages = interval(AGES_REFRESH);
    let (mut sort, mut scroll) = (TopColumn::Sessions, Scroll::default());
    loop {
        let now = Instant::now();
        let draw = screen.draw(|width, height| {
            let table = table(&fleet.rows(now), sort, Some(width));
            View { table: &table, notes: &fleet.notes(), sort, every }.lines(
                width,
                height,
                &mut scroll,
            )
        });
        draw.map_err(output_failure)?;
        tokio::select! {
            Some(read) = reads.next() => note(&mut fleet, read)?,
            key = screen.key() => match key {
                None | Some(Key::Quit) => return Ok(()),
                Some(Key::Sort) => sort = sort.next(),
                Some(Key::Scroll(rows)) => scroll.by_rows(rows),
                Some(Key::Page(pages)) => scroll.by_pages(pages),
                Some(Key::Resized) => {}
            },
            _kind = stop.next() => return Ok(()),
            _instant = ages.tick() => {}
        }
    }
}
