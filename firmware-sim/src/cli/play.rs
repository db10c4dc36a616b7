//! `play`: recorded messages against a broker.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use firmware_sim::sim::link::Broker;
use firmware_sim::sim::player::{self, Player};

use super::values::{broker, duration};
use super::{Failure, ended, stop_on_interrupt};

#[derive(Args)]
pub struct Play {
    /// JSON lines {"topic", "payload" or "payload_b64", "retain"?, "recv_time"?}
    file: PathBuf,
    /// host:port
    #[arg(long, value_parser = broker, default_value = "127.0.0.1:1883")]
    broker: Broker,
    #[arg(long, default_value = "firmware-sim-player")]
    client_id: String,
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// Holds the password of that user and nothing else.
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// Before every topic, such as site/7/.
    #[arg(long, default_value = "")]
    prefix: String,
    /// As fast as the broker takes them; otherwise with the pauses of the recording.
    #[arg(long)]
    hurry: bool,
    /// Longer pauses are cut to this.
    #[arg(long, value_parser = duration, default_value = "60s")]
    gap_max: Duration,
}

pub async fn run(args: Play) -> Result<ExitCode, Failure> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", args.file.display());
    let text = std::fs::read_to_string(&args.file).map_err(|error| told(&error))?;
    let rows = player::read(&text).map_err(|error| told(&error))?;
    let password = match &args.password_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?.trim().to_owned()),
        None => None,
    };
    let player = Player {
        broker: args.broker,
        client_id: args.client_id,
        user: args.user.zip(password),
        prefix: args.prefix,
        hurry: args.hurry,
        gap_max: args.gap_max,
    };
    let report = player::play(&player, rows, stop_on_interrupt()).await;
    let delivered = report.error.is_none() && report.not_sent == 0;
    Ok(ended(&report, delivered)?)
}
