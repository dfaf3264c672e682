//! A server that speaks the protocol and answers nonsense.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};

use super::on_redis::limiter;
use super::*;
use crate::limiter::{LimiterError, PendingDecision};

const GREETING: &str = "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n";

/// Serves any number of clients. `answer` is the reply to the script; if it is empty there is none.
async fn serve(listener: TcpListener, answer: &'static str) {
    loop {
        let (stream, _) = listener.accept().await.expect("it listens");
        tokio::spawn(talk(BufStream::new(stream), answer));
    }
}

async fn talk(mut client: BufStream<TcpStream>, script: &'static str) -> std::io::Result<()> {
    loop {
        let command = read_command(&mut client).await?;
        let answer = match command.as_str() {
            "HELLO" => GREETING,
            "EVALSHA" => script,
            _ => "+OK\r\n",
        };
        client.write_all(answer.as_bytes()).await?;
        client.flush().await?;
    }
}

/// Returns the name of the next command and skips its arguments.
async fn read_command(client: &mut BufStream<TcpStream>) -> std::io::Result<String> {
    let count = read_number(client).await?;
    let mut name = String::new();
    for index in 0..count {
        let mut bytes = vec![0; read_number(client).await? + 2];
        client.read_exact(&mut bytes).await?;
        if index == 0 {
            name = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        }
    }
    Ok(name)
}

async fn read_number(client: &mut BufStream<TcpStream>) -> std::io::Result<usize> {
    let mut line = String::new();
    client.read_line(&mut line).await?;
    line.trim_end()
        .get(1..)
        .and_then(|n| n.parse().ok())
        .ok_or(std::io::ErrorKind::InvalidData.into())
}

async fn garbled(answer: &'static str, waits: Duration, waiting: usize) -> Arc<dyn Limiter> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, answer));
    limiter(&url, waits, waiting)
}

fn one() -> LimitedCall {
    call(&[(policy("sends", 5, 1), 1)])
}

#[tokio::test]
async fn what_is_no_verdict_is_an_error() {
    for answer in [
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "_\r\n",
        "*0\r\n",
        "*1\r\n:1\r\n",
        "*4\r\n:7\r\n:0\r\n:1\r\n:0\r\n",
        "*4\r\n:1\r\n:0\r\n:-1\r\n:0\r\n",
        "*4\r\n:0\r\n:9\r\n:0\r\n:5\r\n",
        "*4\r\n:0\r\n:1\r\n:0\r\n:9223372036854775807\r\n",
        "*4\r\n$1\r\n1\r\n:0\r\n:1\r\n:0\r\n",
        ",1.5\r\n",
        "#t\r\n",
    ] {
        let node = garbled(answer, PATIENCE, 64).await;
        let told = node.check(one()).await;
        assert!(matches!(told, Err(LimiterError::Malformed(_))), "{answer:?}: {told:?}");
    }
}

#[tokio::test]
async fn refusals_of_the_server_are_errors() {
    for answer in [
        "-OOM command not allowed\r\n",
        "-LOADING loading\r\n",
        "-BUSY busy\r\n",
        "-ERR user_script:7: attempt to compare nil with number\r\n",
        "-NOSCRIPT again and again\r\n",
        "-\r\n",
    ] {
        let node = garbled(answer, PATIENCE, 64).await;
        let told = node.check(one()).await;
        assert!(matches!(told, Err(LimiterError::Refused(_))), "{answer:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_replica_and_no_protocol_at_all_are_no_verdict() {
    for answer in ["-READONLY You can't write against a read only replica.\r\n", "?what\r\n"] {
        let node = garbled(answer, PATIENCE, 64).await;
        assert_eq!(node.check(one()).await, Err(LimiterError::Unavailable), "{answer:?}");
    }
}

/// The queue is bounded, and no call waits longer than the answer may take.
#[tokio::test]
async fn silence_is_bounded() {
    const WAITING: usize = 16;
    let node = garbled("", Duration::from_millis(300), WAITING).await;
    let first = tokio::spawn(node.check(one()));
    // Now the first call is under way and not among those that wait.
    tokio::task::yield_now().await;
    let of_user = |number| LimitedCall { user: user(&format!("u{number}")), ..one() };
    let rest = (0..WAITING + 5).map(|number| node.check(of_user(number))).collect();
    assert_eq!(refused_by(rest, WAITING).await, 5);
    assert_eq!(first.await.expect("no panic"), Err(LimiterError::Unavailable));
}

/// One user may fill a quarter of the queue: other users find room.
#[tokio::test]
async fn one_user_takes_a_quarter_of_the_queue() {
    const WAITING: usize = 16;
    let node = garbled("", Duration::from_millis(300), WAITING).await;
    let many = (0..WAITING).map(|_| node.check(one())).collect();
    let other = node.check(LimitedCall { user: user("other"), ..one() });
    assert_eq!(refused_by(many, WAITING / 4).await, WAITING - WAITING / 4);
    assert_eq!(other.await, Err(LimiterError::Unavailable), "it waited");
}

/// Returns how many calls were refused because so many wait. The others got no decision.
async fn refused_by(
    calls: Vec<PendingDecision<Result<LimitDecision, LimiterError>>>,
    bound: usize,
) -> usize {
    let mut full = 0;
    for pending in calls {
        match pending.await {
            Err(LimiterError::Full(waiting)) if waiting == bound => full += 1,
            Err(LimiterError::Unavailable) => {}
            told => panic!("{told:?}"),
        }
    }
    full
}
