//! What a durable append costs, beside the bare append and fsync of the same bytes to a file, on
//! the same disk in the same run.
//!
//! `cargo bench --bench store [-- MESSAGES [DIRECTORY]]`: how many at the deepest level (a tenth of
//! it at the others), and where to write. Many disks answer an fsync from a cache of their own, so
//! compare the columns with each other, not with another machine's. CPU is that of all threads,
//! the driving loop included.

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use narrowcast::domain::{Conversation, Message, MessageId, Micros, UserId};
use narrowcast::store::{Embedded, EmbeddedOptions, HistoryQuery, HistoryRange, PageLimit, Store};

const BODY_BYTES: usize = 200;
const CONVERSATIONS: u64 = 100;
const IN_FLIGHT: [usize; 3] = [1, 16, 256];
const MESSAGES: u64 = 200_000;
const READS: u64 = 5_000;
const PAGE: PageLimit = PageLimit { messages: 50, bytes: 1 << 20 };
const START: Micros = Micros(1_795_492_901_000_000);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The time that all threads of this process have run.
fn cpu() -> Outcome<Duration> {
    let mut nanos = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let schedstat = fs::read_to_string(task?.path().join("schedstat"))?;
        nanos += schedstat.split(' ').next().unwrap_or_default().parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Runs some work and prints what one of its `count` parts took.
fn measure(what: &str, count: u64, work: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    let (cpu_before, begun) = (cpu()?, Instant::now());
    work()?;
    let (took, cpu_took) = (begun.elapsed(), cpu()?.saturating_sub(cpu_before));
    let rate = count as f64 / took.as_secs_f64();
    let cpu_us = cpu_took.as_secs_f64() * 1e6 / count as f64;
    println!("{what:<44} {rate:>10.0}/s {cpu_us:>8.2} us CPU");
    Ok(())
}

fn conversation(n: u64) -> Outcome<Conversation> {
    let user = |side| UserId::parse(&format!("user-{n}-{side}"));
    Ok(Conversation::between(&user("a")?, &user("b")?))
}

/// Messages of rising ids, turn by turn in each conversation.
fn messages(count: u64, start: Micros) -> Outcome<Vec<Arc<Message>>> {
    let conversations = (0..CONVERSATIONS).map(conversation).collect::<Outcome<Vec<_>>>()?;
    let from = UserId::parse("user-0-a")?;
    let body = vec![b'7'; BODY_BYTES];
    let message = |(n, conversation): (u64, &Conversation)| Message {
        id: MessageId::new(start + Duration::from_micros(n), n),
        conversation: conversation.clone(),
        from: from.clone(),
        nonce: Some("0123456789".into()),
        body: body.clone().into(),
    };
    Ok((0..count).zip(conversations.iter().cycle()).map(message).map(Arc::new).collect())
}

/// Keeps so many appends in flight.
async fn append_all(store: &dyn Store, sent: &[Arc<Message>], in_flight: usize) -> Outcome<()> {
    let mut pending = VecDeque::with_capacity(in_flight);
    for message in sent {
        if pending.len() == in_flight
            && let Some(oldest) = pending.pop_front()
        {
            oldest.await?;
        }
        pending.push_back(store.append(Arc::clone(message)));
    }
    for append in pending {
        append.await?;
    }
    Ok(())
}

/// Appends blocks to a file and fsyncs each: what the disk can do.
fn append_bare(path: &Path, blocks: u64, block_bytes: usize) -> Outcome<()> {
    let mut file = File::create(path)?;
    let block = vec![b'7'; block_bytes];
    for _ in 0..blocks {
        file.write_all(&block)?;
        file.sync_data()?;
    }
    Ok(())
}

async fn read_pages(store: &dyn Store) -> Outcome<()> {
    for n in 0..READS {
        let conversation = conversation(n % CONVERSATIONS)?;
        let newest_first = HistoryRange::Before(None);
        let query = HistoryQuery { conversation, range: newest_first, limit: PAGE };
        let page = store.history(query).await?;
        black_box(page);
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let count = arguments.next().map_or(Ok(MESSAGES), |text| text.parse())?;
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let home = tempfile::tempdir_in(parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let options = EmbeddedOptions::new(home.path().join("store"), "bench");
    let store = Embedded::open(&options, START)?;

    let mut start = START;
    for in_flight in IN_FLIGHT {
        let count = if in_flight == IN_FLIGHT[2] { count } else { count / 10 };
        let sent = messages(count, start)?;
        start = start + Duration::from_micros(count);
        measure(&format!("store, {in_flight} in flight"), count, || {
            runtime.block_on(append_all(&*store, &sent, in_flight))
        })?;
        let blocks = count / in_flight as u64;
        let bytes = in_flight * BODY_BYTES;
        let what = format!("file, one fsync for {in_flight} of {BODY_BYTES} B");
        measure(&what, blocks * in_flight as u64, || {
            append_bare(&home.path().join("file"), blocks, bytes)
        })?;
    }
    measure("store, newest page of 50", READS, || runtime.block_on(read_pages(&*store)))?;
    runtime.block_on(store.close());
    Ok(())
}
