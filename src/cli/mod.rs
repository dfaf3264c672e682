//! The commands. Exit codes: 0 done, 1 failed, 2 the command or the configuration is wrong, 75 (of
//! `sysexits.h`: try again) the store failed and can be opened again.

mod advise;
mod bench;
mod demo;
mod display;
mod help;
mod operators;
mod output;
mod placement;
mod schema;
mod serve;
mod settings;
mod signals;
mod store;
mod talk;
mod target;
mod token;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::umask;

use self::help::example;
use crate::telemetry::{flush_errors, report_panics, say_error};

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliFailure {
    /// The caller's mistake.
    #[error("{0}")]
    Usage(String),
    /// The cause of the store's failure is gone, and a new process can open it.
    #[error("the store failed and can be opened again: start this command once more")]
    Again,
    /// Everything else.
    #[error("{0}")]
    Failed(String),
    /// The reader of standard output closed it, as `head -1` does. This is no failure.
    #[error("standard output was closed")]
    Unread,
}

impl CliFailure {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Unread => 0,
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Again => 75,
        }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

/// A realtime messaging broker: an event travels only to the nodes that hold someone it is for.
#[derive(Debug, Parser)]
#[command(name = "narrowcast", version, about, after_help = example!("demo", "COMMAND --help"))]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node.
    #[command(after_help = example!("serve --config /etc/narrowcast.toml"))]
    Serve(serve::Serve),
    /// Runs nodes to try out, in this process, with a store that is deleted at the end.
    #[command(after_help = example!("demo", "demo --nodes 3 --redis redis://127.0.0.1:6379"))]
    Demo(demo::Demo),
    /// Makes tokens with the configuration's first key.
    #[command(after_help = example!("token alice --subscribe 'topic.>' --publish 'topic.>'"))]
    Token(token::Token),
    /// Sends a message to a conversation.
    #[command(after_help = example!("send user.bob 'Hello there' --as alice", "send --user bob@example.com Hi"))]
    Send(talk::SendCommand),
    /// Publishes an event to a subject.
    #[command(after_help = example!("publish topic.scores.goal '{\"home\":1}'"))]
    Publish(talk::PublishCommand),
    /// Prints the events of patterns as they come, and what else comes for the user.
    #[command(after_help = example!("sub 'topic.scores.>' --as bob"))]
    Sub(talk::Sub),
    /// Prints a conversation, its history first, until the connection ends.
    #[command(after_help = example!("tail user.alice --as bob", "tail room.lobby --history 50"))]
    Tail(talk::TailCommand),
    /// Reads a configuration and reports all its mistakes.
    #[command(after_help = example!("check-config --config /etc/narrowcast.toml", "check-config n1.toml n2.toml n3.toml"))]
    CheckConfig(settings::CheckConfig),
    /// Prints a configuration with defaults and environment, secrets masked.
    #[command(after_help = example!("print-config --changed --config /etc/narrowcast.toml"))]
    PrintConfig(settings::PrintConfig),
    /// The tables of a CQL store.
    #[command(subcommand, after_help = example!("schema apply --config /etc/narrowcast.toml"))]
    Schema(schema::Schema),
    /// A store that no node uses: its files, and its identity.
    #[command(subcommand, after_help = example!("store check --config /etc/narrowcast.toml", "store retag --config /etc/narrowcast.toml"))]
    Store(store::StoreCommand),
    /// Advises bucket counts and shards, for numbers or for running nodes.
    #[command(after_help = example!("advise --nodes 8 --users 100000", "advise --from http://10.0.0.1:8081 http://10.0.0.2:8081"))]
    Advise(advise::Advise),
    /// Shows running nodes as a table that is refreshed.
    ///
    /// Rates are those between two reads of a node; `sends/s` are acknowledged, `ev/deliv` are pushes
    /// of the bus for a delivery, and `useful` is the share of them that a session received. `lag` is
    /// how far the watermark is behind the clock. CPU is of one core; CPU and RSS are the process's.
    ///
    /// Keys: q, Esc and Ctrl-C quit, s sorts by the next column, arrows and page keys scroll.
    #[command(after_help = example!("top --from http://10.0.0.1:8081 http://10.0.0.2:8081", "top --once --json --from http://10.0.0.1:8081"))]
    Top(top::Top),
    /// Measures.
    #[command(subcommand, after_help = example!("bench fanout --nodes 8"))]
    Bench(bench::Bench),
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    report_panics();
    // Only the owner may read the files of a store, including those that the engine makes in its
    // directory later.
    umask(Mode::RWXG | Mode::RWXO);
    if let Err(error) = crate::node::raise_descriptors() {
        say_error(format_args!("narrowcast: cannot raise the limit of open files: {error}"));
    }
    let result = match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Token(token) => token.run(),
        Command::Send(send) => send.run(),
        Command::Publish(publish) => publish.run(),
        Command::Sub(subscribe) => subscribe.run(),
        Command::Tail(tail) => tail.run(),
        Command::CheckConfig(check) => check.run(),
        Command::PrintConfig(print) => print.run(),
        Command::Schema(schema) => schema.run(),
        Command::Store(store) => store.run(),
        Command::Advise(advise) => advise.run(),
        Command::Top(top) => top.run(),
        Command::Bench(bench) => bench.run(),
    };
    if let Err(failure) = &result
        && !matches!(failure, CliFailure::Unread)
    {
        say_error(format_args!("narrowcast: {failure}"));
    }
    flush_errors();
    ExitCode::from(result.map_or_else(|failure| failure.exit_code(), |()| 0))
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = Result<T, CliFailure>>) -> Result<T, CliFailure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(CliFailure::failed)?;
    let result = runtime.block_on(future);
    // Threads that still run have had their time.
    runtime.shutdown_background();
    result
}
