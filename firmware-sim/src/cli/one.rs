//! `one`: a sensor on the bench.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use firmware_sim::sim::room::Act;
use firmware_sim::sim::run_planned;
use tokio::sync::mpsc;

use super::playing::{Common, FaultArgs};
use super::values::timed_act;
use super::{Failure, credentials, ended, stop_on_interrupt};

#[derive(Args)]
pub struct One {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    faults: FaultArgs,
    /// JSON: {"device_id","key_hex","kid"?,"password"?,"next"?:{"kid","key_hex","password"?}}
    #[arg(long)]
    credentials: PathBuf,
    /// What happens and when, such as open@5s; repeatable. One of open, close, sos, sos-long, ok, tamper, magnet-off, magnet-on,
    /// bounce, restart, low-battery, flat-battery, clock-jump, broker-down, broker-up, new-key.
    #[arg(long = "act", value_parser = timed_act)]
    acts: Vec<(Duration, Act)>,
    /// The curtain is open when the sensor starts.
    #[arg(long)]
    open: bool,
}

pub async fn run(args: One) -> Result<ExitCode, Failure> {
    let mut config = args.common.sensor(credentials::one(&args.credentials)?.sensor()?);
    if config.next.is_none() && args.acts.iter().any(|(_, act)| *act == Act::NewKey) {
        return Err(format!("{}: new-key needs \"next\"", args.credentials.display()).into());
    }
    let (trace, mut told) = mpsc::unbounded_channel();
    config.trace = Some(trace);
    config.faults = args.faults.faults();
    config.drift = config.faults.drift;
    config.seed = args.common.seed();
    config.curtain_open = args.open;
    let playing = tokio::spawn(run_planned(args.common.broker, config, args.acts, args.common.drain, stop_on_interrupt()));
    while let Some(line) = told.recv().await {
        eprintln!("{line}");
    }
    let report = playing.await?;
    Ok(ended(&report, report.events_waiting == 0)?)
}
