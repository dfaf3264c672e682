//! Reading a conversation's messages across its windows.
//!
//! The table `windows` holds which windows exist; without it a sparse year would be hundreds of
//! empty partitions. Where few windows can hold the range they are read directly. So a client that
//! comes back after minutes costs one read, and not two one after the other.

use std::sync::Arc;

use bytes::Bytes;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use super::error::corrupt;
use super::executor::{Executor, rows_of};
use super::reads::{limit, message_id};
use super::statements::StatementKind;
use super::window::{AHEAD, MessageWindow};
use super::writes::uuid;
use crate::domain::{Conversation, Message, MessageId, UserId};
use crate::protocol::MessageText;
use crate::store::{HistoryQuery, HistoryRange, Page, PageLimit, ReadError};

/// Windows that are read without looking which exist: the one that a client left in, the one since,
/// and the one that begins within [`AHEAD`].
const STRAIGHT_MAX: u64 = 3;

/// Windows in one page of `windows`: a year of a direct conversation in six.
const WINDOWS_A_PAGE: usize = 64;

/// Most windows read at once. The first is read alone, and each round that did not fill the page
/// reads twice as many. So a full window costs one read, a sparse year some rounds.
const AT_ONCE: usize = 8;

/// Messages in one read of a window: with bodies of 8 KiB, a megabyte.
const ROWS_A_READ: usize = 128;

/// The reading of one page.
struct Reading {
    executor: Arc<Executor>,
    conversation: Conversation,
    range: HistoryRange,
    limit: PageLimit,
    rows: Vec<Result<Message, ReadError>>,
    bytes: usize,
    reads: usize,
}

/// Reads a page of a conversation's messages.
pub(super) async fn history(
    executor: Arc<Executor>,
    HistoryQuery { conversation, range, limit }: HistoryQuery,
) -> Result<Page, ReadError> {
    let reading =
        Reading { executor, conversation, range, limit, rows: Vec::new(), bytes: 0, reads: 0 };
    reading.page().await
}

impl Reading {
    async fn page(mut self) -> Result<Page, ReadError> {
        match self.straight() {
            Some(windows) => drop(self.walk(&windows).await?),
            None => self.walk_all().await?,
        }
        Ok(Page { reads: self.reads, ..Page::fill(self.rows.into_iter(), self.limit)? })
    }

    /// The windows of a range that begins recently; none for any other range.
    fn straight(&self) -> Option<Vec<MessageWindow>> {
        let HistoryRange::After(Some(bound)) = self.range else { return None };
        let last = MessageWindow::of(&self.conversation, self.executor.present.latest() + AHEAD);
        let first = MessageWindow::of(&self.conversation, bound.time());
        // A bound further ahead than any clock may be is left to `windows`.
        if first > last {
            return None;
        }
        first.upto(last, &self.conversation, STRAIGHT_MAX)
    }

    /// Walks all windows of the range, in its order.
    async fn walk_all(&mut self) -> Result<(), ReadError> {
        let mut from = match self.range {
            HistoryRange::Before(bound) => bound.map_or(i64::MAX, |id| self.window_of(id).millis()),
            HistoryRange::After(bound) => bound.map_or(0, |id| self.window_of(id).millis()),
        };
        loop {
            let windows = self.windows(from).await?;
            let is_last = windows.len() < WINDOWS_A_PAGE;
            if self.walk(&windows).await? || is_last {
                return Ok(());
            }
            let Some(last) = windows.last() else { return Ok(()) };
            from = match self.range {
                HistoryRange::Before(_) => last.millis() - 1,
                HistoryRange::After(_) => last.millis() + 1,
            };
        }
    }

    fn window_of(&self, id: MessageId) -> MessageWindow {
        MessageWindow::of(&self.conversation, id.time())
    }

    /// Reads a page of the windows that exist.
    async fn windows(&mut self, from: i64) -> Result<Vec<MessageWindow>, ReadError> {
        let kind = match self.range {
            HistoryRange::Before(_) => StatementKind::WindowsBelow,
            HistoryRange::After(_) => StatementKind::WindowsAbove,
        };
        let name = self.conversation.to_string();
        let values = (name.as_str(), CqlTimestamp(from), limit(WINDOWS_A_PAGE));
        self.reads += 1;
        let rows = self.executor.read(kind, values).await?;
        let windows = rows_of::<(CqlTimestamp,)>(&rows, "windows")?;
        windows.map(|row| row.map(|(window,)| MessageWindow::from_millis(window.0))).collect()
    }

    /// Reads these windows, in this order, until the page is full, and returns whether it is.
    async fn walk(&mut self, windows: &[MessageWindow]) -> Result<bool, ReadError> {
        let (mut rest, mut width) = (windows, 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(width.min(rest.len()));
            // Windows that are read at once share the limit on rows.
            let wanted = self.wanted().min(ROWS_A_READ / now.len());
            self.reads += now.len();
            let reads: Vec<_> = now
                .iter()
                .map(|window| tokio::spawn(self.chunk(*window, self.bound(), wanted)))
                .collect();
            for (window, read) in now.iter().zip(reads) {
                let stopped = |_| ReadError::Unavailable { reason: "the store is closed".into() };
                if self.take(*window, read.await.map_err(stopped)??).await? {
                    return Ok(true);
                }
            }
            (rest, width) = (later, (2 * width).min(AT_ONCE));
        }
        Ok(false)
    }

    /// Takes the rows of a window and reads on in it until it ends or the page is full.
    async fn take(&mut self, window: MessageWindow, mut chunk: Chunk) -> Result<bool, ReadError> {
        loop {
            for row in chunk.rows {
                self.bytes += row.as_ref().map_or(0, MessageText::bytes_at_most);
                self.rows.push(row);
                if self.is_full() {
                    return Ok(true);
                }
            }
            let Some(last) = chunk.last else { return Ok(false) };
            self.reads += 1;
            chunk = self.chunk(window, last, self.wanted()).await?;
        }
    }

    /// Rows that are still wanted: one more than fits shows whether there is a next page.
    fn wanted(&self) -> usize {
        let all = self.limit.messages.max(1).saturating_add(1);
        all.saturating_sub(self.rows.len()).clamp(1, ROWS_A_READ)
    }

    /// Whether there is one row more than fits, or one that cannot be read.
    fn is_full(&self) -> bool {
        self.rows.len() > self.limit.messages.max(1)
            || (self.bytes > self.limit.bytes && self.rows.len() > 1)
            || matches!(self.rows.last(), Some(Err(_)))
    }

    /// The bound of the range in each window. No id is below the nil UUID or above the largest.
    fn bound(&self) -> Uuid {
        match self.range {
            HistoryRange::Before(bound) => bound.map_or(Uuid::max(), uuid),
            HistoryRange::After(bound) => bound.map_or(Uuid::nil(), uuid),
        }
    }

    /// Reads rows of a window beyond a bound.
    fn chunk(
        &self,
        window: MessageWindow,
        bound: Uuid,
        wanted: usize,
    ) -> impl Future<Output = Result<Chunk, ReadError>> + Send + use<> {
        let kind = match self.range {
            HistoryRange::Before(_) => StatementKind::MessagesBelow,
            HistoryRange::After(_) => StatementKind::MessagesAbove,
        };
        let (executor, conversation) = (Arc::clone(&self.executor), self.conversation.clone());
        async move {
            let name = conversation.to_string();
            let values = (name.as_str(), CqlTimestamp(window.millis()), bound, limit(wanted));
            let answer = executor.read(kind, values).await?;
            let (mut rows, mut last) = (Vec::new(), None);
            let is_whole = answer.rows_num() < wanted;
            for row in rows_of::<Row>(&answer, "messages")? {
                let row = row?;
                last = Some(row.0);
                rows.extend(message(&conversation, &name, row).transpose());
            }
            Ok(Chunk { rows, last: last.filter(|_| !is_whole) })
        }
    }
}

/// Rows of one window.
struct Chunk {
    rows: Vec<Result<Message, ReadError>>,
    /// The id to read on from; none if the window ended.
    last: Option<Uuid>,
}

/// Id, sender, nonce, body.
type Row<'a> = (Uuid, Option<&'a str>, Option<&'a str>, Option<&'a str>);

/// The message of a row. A row without a sender is none: it is what is left of an expired one, or
/// was written by another program.
fn message(
    conversation: &Conversation,
    name: &str,
    (id, sender, nonce, body): Row<'_>,
) -> Result<Option<Message>, ReadError> {
    let Some(sender) = sender else { return Ok(None) };
    let key = format!("{name} {id}");
    let from = UserId::parse_sender(sender).map_err(|error| corrupt("messages", &key, error))?;
    Ok(Some(Message {
        id: message_id("messages", &key, id)?,
        conversation: conversation.clone(),
        from,
        nonce: nonce.filter(|nonce| !nonce.is_empty()).map(Into::into),
        body: Bytes::copy_from_slice(body.unwrap_or_default().as_bytes()),
    }))
}
