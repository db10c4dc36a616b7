//! The commands. Secrets come from a file, never from the command line, where every user of the machine can read them.
//! The trace goes to standard error, the report as JSON to standard output.

mod credentials;

mod values;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use firmware_sim::battery::{self, LinkQuality, Scenario};
use firmware_sim::sim::faults::Faults;
use firmware_sim::sim::fleet::{CONNECTIONS_MAX, FleetConfig, run_fleet};
use firmware_sim::sim::link::Broker;
use firmware_sim::sim::room::Act;
use firmware_sim::sim::{SensorConfig, run_planned};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use values::{broker, duration, probability, timed_act};

#[derive(Parser)]
#[command(version, about = "Plays curtain sensors against any MQTT 3.1.1 broker, with faults that a seed repeats.")]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One sensor through given acts, with a readable trace.
    One(One),
    /// Many sensors through planned days.
    Fleet(Fleet),
    /// How long two AA cells last.
    Battery(Battery),
}

#[derive(Args)]
struct Common {
    /// host:port
    #[arg(long, value_parser = broker, default_value = "127.0.0.1:1883")]
    broker: Broker,
    /// Repeats the faults and the days of an earlier run.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Skip what the devices sleep through.
    #[arg(long)]
    hurry: bool,
    /// Messages, and receipts, that are gone (0 to 1).
    #[arg(long, value_parser = probability, default_value = "0")]
    loss: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    duplicate: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    reorder: f64,
    /// Older messages published again, byte for byte.
    #[arg(long, value_parser = probability, default_value = "0")]
    replay: f64,
    /// Connections that break right after a message.
    #[arg(long, value_parser = probability, default_value = "0")]
    cut: f64,
    /// How long the devices may still deliver at the end, in real time.
    #[arg(long, value_parser = duration, default_value = "20s")]
    drain: Duration,
    /// Must grow from run to run; by default made from this machine's clock.
    #[arg(long)]
    boot_n: Option<u32>,
    /// How far the devices' wall clocks are ahead, in seconds; otherwise they learn the time from their first receipt.
    #[arg(long, allow_negative_numbers = true)]
    clock_error: Option<i64>,
    /// How much faster than real the devices' oscillators run: 0.05 is 5 %.
    #[arg(long, value_parser = values::drift, default_value = "0", allow_negative_numbers = true)]
    drift: f64,
    /// It is night: an opened curtain lets no light in.
    #[arg(long)]
    night: bool,
}

#[derive(Args)]
struct One {
    #[command(flatten)]
    common: Common,
    /// JSON: {"device_id","key_hex","kid"?,"password"?}
    #[arg(long)]
    credentials: PathBuf,
    /// What the hand does and when, such as open@5s; repeatable. One of open, close, sos, sos-long, ok, tamper, bounce,
    /// restart, low-battery, flat-battery.
    #[arg(long = "act", value_parser = timed_act)]
    acts: Vec<(Duration, Act)>,
    /// The curtain is open when the sensor starts.
    #[arg(long)]
    open: bool,
}

#[derive(Args)]
struct Fleet {
    #[command(flatten)]
    common: Common,
    /// JSON array of {"device_id","key_hex","kid"?,"password"?}; without it, devices that no server knows are invented.
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// The first so many of the file.
    #[arg(long)]
    count: Option<usize>,
    /// Device time; 24h and more is whole days, less is one shortened day.
    #[arg(long, value_parser = duration, default_value = "30s")]
    duration: Duration,
    /// Power failures per device and day.
    #[arg(long, value_parser = probability, default_value = "0")]
    restart: f64,
    /// Batteries that end for good, per device and day.
    #[arg(long, value_parser = probability, default_value = "0")]
    flat: f64,
    /// Connections at a time.
    #[arg(long, default_value_t = CONNECTIONS_MAX)]
    connections_max: usize,
}

#[derive(Args)]
struct Battery {
    #[arg(long, default_value_t = 8.0)]
    wakes_per_day: f64,
    #[arg(long, value_enum, default_value = "good")]
    link: Quality,
    /// Instead of what the link suggests.
    #[arg(long)]
    seconds_per_wake: Option<f64>,
    #[arg(long)]
    sleep_microampere: Option<f64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Quality {
    Good,
    Typical,
    Bad,
}

type Failure = Box<dyn std::error::Error>;

pub async fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::One(args) => one(args).await,
        Command::Fleet(args) => fleet(args).await,
        Command::Battery(args) => {
            battery_life(&args);
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn one(args: One) -> Result<ExitCode, Failure> {
    let faults = args.common.faults(0.0, 0.0);
    let mut config = args.common.sensor(credentials::one(&args.credentials)?.sensor()?);
    let (trace, mut told) = mpsc::unbounded_channel();
    config.trace = Some(trace);
    config.faults = faults;
    config.seed = args.common.seed;
    config.hurry = args.common.hurry;
    config.curtain_open = args.open;
    let stop = stop_on_interrupt();
    let playing = tokio::spawn(run_planned(args.common.broker, config, args.acts, args.common.drain, None, stop));
    while let Some(line) = told.recv().await {
        eprintln!("{line}");
    }
    let report = playing.await?;
    Ok(ended(&report, report.events_waiting == 0)?)
}

async fn fleet(args: Fleet) -> Result<ExitCode, Failure> {
    let faults = args.common.faults(args.restart, args.flat);
    let mut known = match &args.credentials {
        Some(path) => credentials::many(path)?,
        None => credentials::invented(args.count.unwrap_or(1), args.common.seed),
    };
    if let Some(count) = args.count {
        if known.len() < count {
            return Err(format!("{count} sensors are wanted, {} have credentials", known.len()).into());
        }
        known.truncate(count);
    }
    let sensors: Result<Vec<SensorConfig>, Failure> =
        known.iter().map(|credentials| Ok(args.common.sensor(credentials.sensor()?))).collect();
    let mut config = FleetConfig::new(args.common.broker, sensors?, args.duration);
    config.faults = faults;
    config.seed = args.common.seed;
    config.hurry = args.common.hurry;
    config.drain = args.common.drain;
    config.connections_max = args.connections_max;
    let report = run_fleet(config, stop_on_interrupt()).await;
    Ok(ended(&report, report.undelivered.is_empty())?)
}

/// Status 1 tells a script that events stayed undelivered.
fn ended(report: &impl Serialize, delivered: bool) -> Result<ExitCode, serde_json::Error> {
    println!("{}", serde_json::to_string_pretty(report)?);
    Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn battery_life(args: &Battery) {
    let link = match args.link {
        Quality::Good => LinkQuality::Good,
        Quality::Typical => LinkQuality::Typical,
        Quality::Bad => LinkQuality::Bad,
    };
    let scenario = Scenario {
        wakes_per_day: args.wakes_per_day,
        seconds_per_wake: args.seconds_per_wake.unwrap_or(link.seconds_per_wake()),
        sleep_microampere: args.sleep_microampere.unwrap_or(link.sleep_microampere()),
    };
    let estimate = battery::estimate(scenario);
    println!(
        "{} wakes a day of {} s, {} µA asleep: {:.2} mAh a day, {:.1} years from two AA cells{}",
        scenario.wakes_per_day,
        scenario.seconds_per_wake,
        scenario.sleep_microampere,
        estimate.mah_per_day,
        estimate.years,
        if estimate.shelf_life_wins { " (their age ends it, not their charge)" } else { "" },
    );
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

impl Common {
    const fn faults(&self, restart: f64, flat: f64) -> Faults {
        Faults { loss: self.loss, duplicate: self.duplicate, reorder: self.reorder, replay: self.replay, cut: self.cut, restart, flat }
    }

    fn sensor(&self, mut config: SensorConfig) -> SensorConfig {
        config.boot_n = self.boot_n.unwrap_or_else(values::boot_n_of_now);
        config.births = config.boot_n;
        config.clock_error_s = self.clock_error;
        config.drift = self.drift;
        config.daylight = !self.night;
        config
    }
}
