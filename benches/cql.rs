//! What a stored message costs on a CQL server, beside the bare insert of one row of the same bytes
//! by the same driver, on the same server in the same run, in turn: through the store's port, and
//! from a client's `send` to its `sent`, through a node, limits included.
//!
//! `cargo bench --bench cql -- HOST:PORT [MESSAGES]`: how many at the deepest level, a tenth of it
//! with one in flight. It makes a keyspace of its own and drops it. A message of a running direct
//! conversation is three rows, of a room two, the first of a direct one six. Through a node each
//! session has one in flight; the sessions share the two cores with it.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use narrowcast::auth::{Claims, Mint, token_keys};
use narrowcast::client::Client;
use narrowcast::clock::WallClock;
use narrowcast::config::Config;
use narrowcast::domain::{Conversation, Message, MessageId, Micros, RoomId, UserId};
use narrowcast::node::{Cluster, ClusterOptions, apply_schema, open_store};
use narrowcast::store::Store;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency;
use scylla::statement::prepared::PreparedStatement;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use uuid::Uuid;

const BODY_BYTES: usize = 200;
const CONVERSATIONS: u64 = 100;
const IN_FLIGHT: [usize; 3] = [1, 16, 64];
const MESSAGES: u64 = 10_000;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What is written.
#[derive(Debug, Clone, Copy)]
enum What {
    Bare,
    Room,
    Direct,
    First,
    Sent,
}

impl What {
    const ALL: [Self; 5] = [Self::Bare, Self::Room, Self::Direct, Self::First, Self::Sent];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare insert (1 row)",
            Self::Room => "room (2)",
            Self::Direct => "direct, running (3)",
            Self::First => "direct, first (6)",
            Self::Sent => "sent, running (3)",
        }
    }

    fn message(self, number: u64, start: Micros) -> Outcome<Message> {
        let of = match self {
            Self::First => start.0 + number,
            _ => number % CONVERSATIONS,
        };
        let from = UserId::parse(&format!("a-{of}"))?;
        let conversation = match self {
            Self::Room => Conversation::Room(RoomId::parse(&format!("r-{of}"))?),
            _ => Conversation::between(&from, &UserId::parse(&format!("b-{of}"))?),
        };
        let id = MessageId::new(start + Duration::from_micros(number), number);
        let body = vec![b'7'; BODY_BYTES].into();
        Ok(Message { id, conversation, from, nonce: None, body })
    }
}

/// The store of a keyspace of one replica.
fn table(server: &str, keyspace: &str) -> String {
    format!(
        "[store]\nbackend = \"cql\"\nnodes = [{server:?}]\nkeyspace = {keyspace:?}\n\
         replication = 1\n"
    )
}

fn config(server: &str, keyspace: &str) -> Outcome<Config> {
    Ok(Config::load(Some(&table(server, keyspace)), std::iter::empty())?)
}

/// The ways to the server.
struct Ways {
    session: Session,
    insert: PreparedStatement,
    store: Arc<dyn Store>,
    /// Where the node is.
    url: String,
    /// Sessions that wait for nothing: as many as there may be in flight.
    idle: Mutex<Vec<Client>>,
}

impl Ways {
    async fn open(node: &str, keyspace: &str, url: String) -> Outcome<Self> {
        let session = SessionBuilder::new().known_node(node).build().await?;
        let text = format!(
            "INSERT INTO {keyspace}.messages (conversation, window, id, sender, nonce, body) \
             VALUES (?, ?, ?, ?, ?, ?)"
        );
        let mut insert = session.prepare(text).await?;
        insert.set_consistency(Consistency::LocalQuorum);
        let store = open_store(&config(node, keyspace)?, Path::new(""))?;
        Ok(Self { session, insert, store, url, idle: Mutex::default() })
    }

    /// From a client's `send` to its `sent`.
    async fn send(&self, message: &Message) -> Outcome<()> {
        let mut client = self.idle.lock().await.pop().ok_or("more in flight than sessions")?;
        let body = std::str::from_utf8(&message.body)?;
        send(&mut client, body).await?;
        self.idle.lock().await.push(client);
        Ok(())
    }

    async fn write(&self, what: What, message: Message) -> Outcome<()> {
        match what {
            What::Bare => self.insert(message).await,
            What::Sent => self.send(&message).await,
            What::Room | What::Direct | What::First => {
                Ok(self.store.append(Arc::new(message)).await?)
            }
        }
    }

    async fn insert(&self, message: Message) -> Outcome<()> {
        let values = (
            message.conversation.to_string(),
            scylla::value::CqlTimestamp(0),
            Uuid::from_bytes(message.id.to_bytes()),
            message.from.to_string(),
            "",
            String::from_utf8(message.body.to_vec())?,
        );
        self.session.execute_unpaged(&self.insert, values).await?;
        Ok(())
    }
}

async fn send(client: &mut Client, body: &str) -> Outcome<()> {
    let request = json!({"op": "send", "conversation": "user.friend", "body": body});
    let answer = client.ask(request).await?;
    if answer["op"] == "sent" { Ok(()) } else { Err(answer.to_string().into()) }
}

/// A node on the keyspace, without limits on what a user sends.
async fn start_node(server: &str, keyspace: &str, directory: &Path) -> Outcome<Cluster> {
    let (tables, unlimited) = (vec![table(server, keyspace)], true);
    let plan = ClusterOptions { nodes: 1, tables, unlimited, ..ClusterOptions::default() };
    let cluster = Cluster::start(&plan, directory)?;
    cluster.ready().await?;
    Ok(cluster)
}

/// Sessions of users who have all written to their friend before.
async fn log_in(url: &str, count: usize) -> Outcome<Vec<Client>> {
    const TOKEN_LIFE: u64 = 3600;
    let mint = Mint::new(&token_keys(&Config::default().auth)[0]);
    let now = WallClock::system().seconds();
    let mut clients = Vec::new();
    for number in 0..count {
        let claims = Claims::of_user(&format!("u-{number}"), now, TOKEN_LIFE);
        let mut client = Client::login(url, &mint.token(&claims)).await?;
        send(&mut client, "\"Hi!\"").await?;
        clients.push(client);
    }
    Ok(clients)
}

/// Keeps so many writes in flight; prints how many were done a second, and how long each took.
async fn measure(ways: &Arc<Ways>, what: What, in_flight: usize, count: u64) -> Outcome<()> {
    let start = WallClock::system();
    if let What::Sent = what {
        *ways.idle.lock().await = log_in(&ways.url, in_flight).await?;
    }
    let (begun, mut took, mut writing) = (Instant::now(), Vec::new(), JoinSet::new());
    for number in 0..count {
        if writing.len() == in_flight {
            took.extend(writing.join_next().await.transpose()?.transpose()?);
        }
        let (ways, message) = (Arc::clone(ways), what.message(number, start)?);
        writing.spawn(async move {
            let begun = Instant::now();
            ways.write(what, message).await?;
            Ok::<_, Box<dyn Error + Send + Sync>>(begun.elapsed())
        });
    }
    while let Some(done) = writing.join_next().await {
        took.push(done??);
    }
    ways.idle.lock().await.clear();
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{in_flight:>4} in flight  {:<20} {rate:>8.0}/s  p50 {:>6.2} ms  p99 {:>6.2} ms",
        what.name(),
        at(0.5),
        at(0.99)
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let node = arguments.next().ok_or("a server is wanted: HOST:PORT")?;
    let count = arguments.next().map_or(Ok(MESSAGES), |text| text.parse())?;
    let keyspace = format!("nc_bench_{:08x}", rand::random::<u32>());
    apply_schema(&config(&node, &keyspace)?).await?;
    let home = tempfile::tempdir()?;
    let cluster = start_node(&node, &keyspace, home.path()).await?;
    let ways = Arc::new(Ways::open(&node, &keyspace, cluster.url(0)).await?);
    for in_flight in IN_FLIGHT {
        for what in What::ALL {
            let count = if in_flight == 1 { count / 10 } else { count };
            measure(&ways, what, in_flight, count).await?;
        }
    }
    cluster.stop().await;
    ways.store.close().await;
    ways.session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await?;
    Ok(())
}
