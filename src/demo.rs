//! A throw-away street that lives through one morning in two minutes: real server, real MQTT, real HTTP, invented people.
//!
//! The site's zone is a fixed offset in which it is eight in the morning now, so the demo works at any hour. Everything that
//! happens goes through the same doors as in earnest: sensors speak TCP, volunteers post over HTTP, and the console only
//! reads what was committed.

mod morning;
mod people;
mod story;
mod street;

use std::future::Future;
use std::path::PathBuf;

use chrono::{DateTime, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use crate::clock::Clock;
use crate::config::Config;
use crate::domain::rules::{Rules, Span};
use crate::serve::{self, StartError};
use crate::text;

/// The local hour that the street lives in.
const MORNING_HOUR: i32 = 8;
/// From the start to the deadline of every agreement.
const DEADLINE_AFTER: TimeDelta = TimeDelta::seconds(45);

/// Runs the demo until `stop`.
pub async fn run(mut config: Config, locale: &'static str, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    let folder = throw_away_folder()?;
    config.data.folder.clone_from(&folder);
    config.data.key_file = PathBuf::new();
    config.database.url = String::new();
    config.mqtt.anonymous_loopback = true;
    // The console is read by whoever started the demo.
    config.outbox.log_counts = true;
    config.sensor.closed_min = Span::seconds(5);
    config.sensor.settle = Span::seconds(3);
    config.sensor.online_grace = Span::seconds(1);
    let zone = morning_zone(Clock::System.now());
    let rules = rules();
    config.check = rules.check.clone();
    config.ladder = rules.ladder.clone();
    let outcome = tell(config, zone, rules, locale, stop).await;
    // The street was invented for this run; nothing of it stays.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

async fn tell(config: Config, zone: Tz, rules: Rules, locale: &'static str, stop: impl Future<Output = ()>) -> Result<(), StartError> {
    serve::start_log(&config.log);
    let (app, _lock) = serve::open(config).await?;
    let start = app.clock.now();
    let deadline = deadline(start, zone);
    let street = street::build(&app, zone, rules, deadline).await?;
    let running = serve::start(app.clone()).await?;
    let story = story::Story::new(app.clone(), zone, locale, start);
    story.opening(&street, &running);
    let quit = tokio_util::sync::CancellationToken::new();
    let actors = morning::play(&app, &street, &running, quit.clone());
    let teller = tokio::spawn(story.tell(quit.clone()));
    stop.await;
    story::say(&text::plain(locale, "demo.stopping"));
    quit.cancel();
    actors.wait().await;
    let _ = teller.await;
    running.stop().await;
    story::say(&text::plain(locale, "demo.stopped"));
    Ok(())
}

/// A zone without daylight saving in which it is morning now. The names of the IANA's `Etc/GMT` zones count westwards.
pub fn morning_zone(now: DateTime<Utc>) -> Tz {
    let hour = i32::try_from(now.hour()).expect("an hour is small");
    let mut offset = MORNING_HOUR - hour;
    if offset < -12 {
        offset += 24;
    }
    let name = match offset {
        0 => "Etc/GMT".to_owned(),
        east if east > 0 => format!("Etc/GMT-{east}"),
        west => format!("Etc/GMT+{}", -west),
    };
    name.parse().expect("every whole hour from -12 to +14 has a zone")
}

/// The local deadline, in whole seconds.
fn deadline(start: DateTime<Utc>, zone: Tz) -> NaiveTime {
    let local = (start + DEADLINE_AFTER + TimeDelta::milliseconds(999)).with_timezone(&zone).time();
    local.with_nanosecond(0).expect("zero is a nanosecond")
}

/// The morning in seconds instead of minutes.
fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.check.grace = Span::seconds(5);
    rules.check.remind_round = Span::seconds(30);
    rules.check.remind_last = Span::seconds(12);
    rules.check.look_again = Span::seconds(2);
    // No trial mode: the whole ladder is to be seen.
    rules.check.trial = Span::seconds(0);
    // A morning of a minute has no time to wait for anything.
    rules.notify.jitter_seconds = [0, 0];
    rules.notify.quiet_to = rules.notify.quiet_from;
    let ladder = &mut rules.ladder;
    ladder.l1 = Span::seconds(10);
    ladder.l1_claimed = Span::seconds(30);
    ladder.again = Span::seconds(15);
    ladder.l2 = Span::seconds(20);
    ladder.l2_unseen = Span::seconds(25);
    ladder.l3 = Span::seconds(30);
    ladder.l4 = Span::seconds(40);
    ladder.l5 = Span::seconds(50);
    ladder.repeat = Span::minutes(2);
    ladder.claim = Span::minutes(1);
    ladder.on_site = Span::minutes(2);
    rules
}

fn throw_away_folder() -> Result<PathBuf, StartError> {
    let folder = std::env::temp_dir().join(format!("chenlian-demo-{}", uuid::Uuid::now_v7()));
    serve::make_folder(&folder)?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_hour_it_is_eight_in_the_morning_on_the_street() {
        for hour in 0..24 {
            let now = DateTime::from_timestamp(1_795_392_000 + hour * 3600 + 3599, 0).unwrap();
            let local = now.with_timezone(&morning_zone(now));
            assert_eq!(local.hour(), 8, "at {now}");
        }
    }

    #[test]
    fn the_deadline_is_never_earlier_than_promised() {
        let start = DateTime::from_timestamp_millis(1_795_392_000_001).unwrap();
        let zone = morning_zone(start);
        let wait = deadline(start, zone) - start.with_timezone(&zone).time();
        assert!(wait >= DEADLINE_AFTER && wait <= DEADLINE_AFTER + TimeDelta::seconds(1), "{wait}");
    }
}
