//! `house`, `compound` and `scenario`: people behind curtains, and a file that says who really opened.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use firmware_sim::battery::{LinkQuality, Scenario as Cells};
use firmware_sim::sim::fleet::{FleetReport, run_fleet};
use firmware_sim::sim::homes::{self, Truth};
use firmware_sim::sim::resident::{Morning, Resident};
use firmware_sim::sim::scenario::{ClockTime, DAYS_MAX, SPEED_MAX, Scenario};
use serde::Serialize;

use super::playing::{Common, FaultArgs};
use super::values::{probability, unix_ms_now};
use super::{Failure, battery, ended, stop_on_interrupt};

#[derive(Args)]
struct Playing {
    #[command(flatten)]
    common: Common,
    /// JSON array of {"device_id","key_hex","kid"?,"password"?}; homes take them in order.
    #[arg(long)]
    credentials: PathBuf,
    /// Where to write who really opened and when: one JSON object a line, before the first device starts.
    #[arg(long)]
    oracle: Option<PathBuf>,
}

#[derive(Args)]
struct People {
    #[command(flatten)]
    faults: FaultArgs,
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(DAYS_MAX)))]
    days: u32,
    /// So many seconds of these days pass in one second.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(SPEED_MAX)))]
    speed: u32,
    /// Earlier or later than usual, at most.
    #[arg(long, default_value_t = 30)]
    spread_minutes: u32,
    #[arg(long, default_value = "21:30")]
    goes_to_bed: ClockTime,
    /// Mornings on which the curtain opens hours later (0 to 1); so are the next ones.
    #[arg(long, value_parser = probability, default_value = "0.1")]
    sleeps_in: f64,
    /// Up and well, and the curtain stays shut.
    #[arg(long, value_parser = probability, default_value = "0.05")]
    forgets: f64,
    /// Does not get up.
    #[arg(long, value_parser = probability, default_value = "0.01")]
    stays_shut: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    presses_ok: f64,
    #[arg(long, value_parser = probability, default_value = "0")]
    calls_for_help: f64,
}

#[derive(Args)]
pub struct House {
    #[command(flatten)]
    playing: Playing,
    #[command(flatten)]
    people: People,
    #[arg(long, default_value = "07:00")]
    gets_up: ClockTime,
}

#[derive(Args)]
pub struct Compound {
    #[command(flatten)]
    playing: Playing,
    #[command(flatten)]
    people: People,
    #[arg(long, default_value_t = 50)]
    homes: usize,
    #[arg(long, default_value_t = 6)]
    buildings: usize,
    /// The earliest usual hour of a home.
    #[arg(long, default_value = "05:30")]
    from: ClockTime,
    /// And the latest.
    #[arg(long, default_value = "08:30")]
    to: ClockTime,
}

#[derive(Args)]
pub struct FromFile {
    #[command(flatten)]
    playing: Playing,
    /// TOML, as in firmware-sim/scenarios.
    file: PathBuf,
}

#[derive(Serialize)]
struct ScenarioReport {
    name: String,
    homes: usize,
    days: u32,
    mornings: Mornings,
    #[serde(flatten)]
    fleet: FleetReport,
    /// In words: how long two AA cells would last at this rate of wakes. Only of hours that pass as hours.
    battery: Option<String>,
}

#[derive(Default, Serialize)]
struct Mornings {
    opened: usize,
    slept_in: usize,
    forgot: usize,
    stayed_shut: usize,
}

impl People {
    fn resident(&self, gets_up: ClockTime) -> Result<Resident, Failure> {
        let resident = Resident {
            gets_up,
            spread_minutes: self.spread_minutes,
            goes_to_bed: self.goes_to_bed,
            sleeps_in: self.sleeps_in,
            forgets: self.forgets,
            stays_shut: self.stays_shut,
            presses_ok: self.presses_ok,
            calls_for_help: self.calls_for_help,
        };
        resident.wrong().map_or(Ok(resident), |wrong| Err(format!("{wrong}: not from 0 to 1").into()))
    }

    fn over(&self, scenario: Scenario, seed: u64) -> Scenario {
        Scenario { seed, speed: self.speed, faults: self.faults.faults(), ..scenario }
    }
}

pub async fn house(args: House) -> Result<ExitCode, Failure> {
    let resident = args.people.resident(args.gets_up)?;
    let scenario = homes::house("house", args.people.days, resident);
    let scenario = args.people.over(scenario, args.playing.common.seed());
    play(scenario, &args.playing).await
}

pub async fn compound(args: Compound) -> Result<ExitCode, Failure> {
    if args.to < args.from {
        return Err("--to: it must not be before --from".into());
    }
    let seed = args.playing.common.seed();
    let usual = args.people.resident(args.from)?;
    let scenario = homes::compound(args.homes, args.buildings, args.people.days, seed, usual, (args.from, args.to));
    play(args.people.over(scenario, seed), &args.playing).await
}

pub async fn from_file(args: FromFile) -> Result<ExitCode, Failure> {
    let told = |error: String| format!("{}: {error}", args.file.display());
    let text = std::fs::read_to_string(&args.file).map_err(|error| told(error.to_string()))?;
    let mut scenario = Scenario::read(&text).map_err(told)?;
    scenario.seed = args.playing.common.seed.unwrap_or(scenario.seed);
    play(scenario, &args.playing).await
}

async fn play(scenario: Scenario, playing: &Playing) -> Result<ExitCode, Failure> {
    let common = &playing.common;
    let start = (!common.hurry).then(unix_ms_now);
    let plan = homes::plan(&scenario, common.sensors(&playing.credentials)?, start)?;
    if let Some(path) = &playing.oracle {
        write_oracle(path, &plan.oracle).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let fleet = run_fleet(&common.fleet(), plan.parts, stop_on_interrupt()).await;
    let delivered = fleet.undelivered.is_empty();
    let report = ScenarioReport {
        name: scenario.name,
        homes: scenario.homes.len(),
        days: scenario.days,
        mornings: count(&plan.oracle),
        battery: (scenario.speed == 1).then(|| of_cells(scenario.link, &fleet)),
        fleet,
    };
    Ok(ended(&report, delivered)?)
}

fn write_oracle(path: &Path, oracle: &[Truth]) -> Result<(), Failure> {
    let mut file = BufWriter::new(File::create(path)?);
    for truth in oracle {
        serde_json::to_writer(&mut file, truth)?;
        writeln!(file)?;
    }
    Ok(file.flush()?)
}

fn count(oracle: &[Truth]) -> Mornings {
    let mut mornings = Mornings::default();
    for truth in oracle {
        *match truth.morning {
            Morning::Opened => &mut mornings.opened,
            Morning::SleptIn => &mut mornings.slept_in,
            Morning::Forgot => &mut mornings.forgot,
            Morning::StayedShut => &mut mornings.stayed_shut,
        } += 1;
    }
    mornings
}

#[expect(clippy::cast_precision_loss, reason = "a mean of far fewer than 2^52 wakes")]
fn of_cells(link: LinkQuality, fleet: &FleetReport) -> String {
    battery::sentence(Cells::over(link, fleet.total.connections as f64 / fleet.device_days.max(f64::MIN_POSITIVE)))
}
