//! The commands. Exit codes: 0 done, 1 failed, 2 the command or the configuration is wrong.

mod bench;
mod demo;
mod schema;
mod serve;
mod settings;
mod talk;
mod token;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The caller's mistake.
    #[error("{0}")]
    Usage(String),
    /// Everything else.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    fn usage(error: impl std::fmt::Display) -> Self {
        Self::Usage(error.to_string())
    }
}

/// A realtime messaging broker: an event travels only to the nodes that hold someone it is for.
#[derive(Debug, Parser)]
#[command(name = "narrowcast", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a node.
    Serve(serve::Serve),
    /// Runs nodes to play with, in this process, on a store that goes with it.
    Demo(demo::Demo),
    /// Makes tokens with the configuration's first key.
    Token(token::Token),
    /// Sends a message to a conversation, or publishes an event to a subject.
    Pub(talk::Pub),
    /// Prints the events of patterns as they come.
    Sub(talk::Sub),
    /// Prints a conversation, its history first.
    Tail(talk::Tail),
    /// Reads a configuration and tells all its mistakes.
    CheckConfig(settings::CheckConfig),
    /// Prints a configuration with defaults and environment, secrets masked.
    PrintConfig(settings::PrintConfig),
    /// The tables of a CQL store.
    #[command(subcommand)]
    Schema(schema::Schema),
    /// Measures.
    #[command(subcommand)]
    Bench(bench::Bench),
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    if let Err(error) = crate::node::raise_descriptors() {
        eprintln!("narrowcast: cannot raise the limit of open files: {error}");
    }
    let result = match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Token(token) => token.run(),
        Command::Pub(publish) => publish.run(),
        Command::Sub(subscribe) => subscribe.run(),
        Command::Tail(tail) => tail.run(),
        Command::CheckConfig(check) => check.run(),
        Command::PrintConfig(print) => print.run(),
        Command::Schema(schema) => schema.run(),
        Command::Bench(bench) => bench.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("narrowcast: {failure}");
            ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::failed)?;
    let result = runtime.block_on(future);
    // What still runs in threads of its own has had its time.
    runtime.shutdown_background();
    result
}
