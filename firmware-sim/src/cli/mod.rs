//! The commands. Secrets come from a file, never from the command line, where every user of the machine can read them.
//! The trace goes to standard error, the report as JSON to standard output; status 1 tells a script that something stayed undelivered.

mod battery;

mod playing;

mod credentials;

mod fleet;

mod homes;

mod one;

mod play;

mod values;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(version, about = "Plays curtain sensors against any MQTT 3.1.1 broker, with faults that a seed repeats.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One sensor through given acts, with a readable trace.
    One(one::One),
    /// Many sensors through planned days.
    Fleet(fleet::Fleet),
    /// One home: a resident who gets up, sleeps in, forgets, or does not get up.
    House(homes::House),
    /// Many homes on several buildings, each with an own hour; some curtains stay shut.
    Compound(homes::Compound),
    /// Homes, acts and faults as a TOML file says.
    Scenario(homes::FromFile),
    /// Recorded messages, one JSON object a line, in order of time.
    Play(play::Play),
    /// How long two AA cells last.
    Battery(battery::Battery),
}

type Failure = Box<dyn std::error::Error>;

pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::One(args) => one::run(args).await,
        Command::Fleet(args) => fleet::run(args).await,
        Command::House(args) => homes::house(args).await,
        Command::Compound(args) => homes::compound(args).await,
        Command::Scenario(args) => homes::from_file(args).await,
        Command::Play(args) => play::run(args).await,
        Command::Battery(args) => {
            println!("{}", battery::sentence(args.scenario()));
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn ended(report: &impl Serialize, delivered: bool) -> Result<ExitCode, serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(report)?);
    Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn stop_on_interrupt() -> CancellationToken {
    let stop = CancellationToken::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    stop
}
