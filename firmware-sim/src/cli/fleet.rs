//! `fleet`: many sensors through the same kind of days.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use firmware_sim::sim::fleet::{Days, run_fleet};

use super::playing::{Common, FaultArgs};
use super::values::duration;
use super::{Failure, credentials, ended, stop_on_interrupt};

#[derive(Args)]
pub struct Fleet {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    faults: FaultArgs,
    /// JSON array of {"device_id","key_hex","kid"?,"password"?}; without it, devices that no server knows are invented.
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// The first so many of the file.
    #[arg(long)]
    count: Option<usize>,
    /// Device time; 24h and more is whole days, less is one shortened day.
    #[arg(long, value_parser = duration, default_value = "30s")]
    duration: Duration,
}

pub async fn run(args: Fleet) -> Result<ExitCode, Failure> {
    let common = &args.common;
    let mut known = match &args.credentials {
        Some(path) => credentials::many(path)?,
        None => credentials::invented(args.count.unwrap_or(1), common.seed()),
    };
    if let Some(count) = args.count {
        if known.len() < count {
            return Err(format!("{count} sensors are wanted, {} have credentials", known.len()).into());
        }
        known.truncate(count);
    }
    let sensors: Result<Vec<_>, Failure> = known.iter().map(|credentials| Ok(common.sensor(credentials.sensor()?))).collect();
    let days = Days { duration: args.duration, seed: common.seed(), faults: args.faults.faults() };
    let report = run_fleet(&common.fleet(), days.parts(sensors?), stop_on_interrupt()).await;
    Ok(ended(&report, report.undelivered.is_empty())?)
}
