//! `battery`: how long the cells last, in words.

use clap::{Args, ValueEnum};
use firmware_sim::battery::{self, LinkQuality, Scenario};

#[derive(Args)]
pub struct Battery {
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

impl Battery {
    pub fn scenario(&self) -> Scenario {
        let link = match self.link {
            Quality::Good => LinkQuality::Good,
            Quality::Typical => LinkQuality::Typical,
            Quality::Bad => LinkQuality::Bad,
        };
        let usual = Scenario::over(link, self.wakes_per_day);
        Scenario {
            seconds_per_wake: self.seconds_per_wake.unwrap_or(usual.seconds_per_wake),
            sleep_microampere: self.sleep_microampere.unwrap_or(usual.sleep_microampere),
            ..usual
        }
    }
}

pub fn sentence(scenario: Scenario) -> String {
    let estimate = battery::estimate(scenario);
    format!(
        "{:.1} wakes a day of {} s, {} µA asleep: {:.2} mAh a day, {:.1} years from two AA cells{}",
        scenario.wakes_per_day,
        scenario.seconds_per_wake,
        scenario.sleep_microampere,
        estimate.mah_per_day,
        estimate.years,
        if estimate.shelf_life_wins { " (their age ends it, not their charge)" } else { "" },
    )
}
