//! Tells on the console what was committed, line by line: the story is read from the database, not made up beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::street::Street;
use crate::app::App;
use crate::serve::Running;
use crate::store::story::{self, Line};
use crate::text;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A line on standard output; a closed one is no reason to stop.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The teller and what it has told.
pub struct Story {
    app: App,
    zone: Tz,
    locale: &'static str,
    since: DateTime<Utc>,
    told: BTreeSet<(Uuid, String)>,
}

impl Story {
    pub fn new(app: App, zone: Tz, locale: &'static str, since: DateTime<Utc>) -> Self {
        Self { app, zone, locale, since, told: BTreeSet::new() }
    }

    /// Addresses, sign-ins, and what to try.
    pub fn opening(&self, street: &Street, running: &Running) {
        let seniors: usize = street.seniors.iter().map(Vec::len).sum();
        let mqtt = running.mqtt_addr.map_or_else(|| "-".to_owned(), |at| at.to_string());
        let facts = BTreeMap::from([
            ("seniors", seniors.to_string()),
            ("sensors", street.sensors.len().to_string()),
            ("http", running.http_addr.to_string()),
            ("ops", running.ops_addr.to_string()),
            ("mqtt", mqtt),
        ]);
        say(&text::render(self.locale, "demo.opening", &facts));
        for (called, phone, password) in &street.sign_ins {
            let sign_in =
                BTreeMap::from([("called", (*called).to_owned()), ("phone", (*phone).to_owned()), ("password", password.clone())]);
            say(&text::render(self.locale, "demo.sign_in", &sign_in));
        }
        say(&text::render(self.locale, "demo.begins", &facts));
    }

    /// Tells until told to stop.
    pub async fn tell(mut self, quit: CancellationToken) {
        while !quit.is_cancelled() {
            self.look_once().await;
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = quit.cancelled() => {}
            }
        }
    }

    async fn look_once(&mut self) {
        let since = self.since;
        let lines = self.app.read(move |mut tx| async move { story::lines(&mut tx, since).await.map(|lines| (tx, lines)) }).await;
        let lines = match lines {
            Ok(lines) => lines,
            Err(error) => {
                tracing::error!(%error, "the story could not be read");
                return;
            }
        };
        for line in lines {
            if self.told.insert((line.id, line.key.clone())) {
                say(&self.sentence(&line));
            }
        }
    }

    fn sentence(&self, line: &Line) -> String {
        let time = line.at.with_timezone(&self.zone).format("%H:%M:%S");
        let mut arguments = line.arguments.clone();
        // Words of closed lists are read as words.
        for name in ["act", "cause", "kind"] {
            if let Some(word) = arguments.get(name).filter(|word| !word.is_empty()) {
                let shown = text::plain(self.locale, &format!("demo.{name}_{word}"));
                arguments.insert(name.to_owned(), shown);
            }
        }
        format!("{time}  {}", text::render(self.locale, &line.key, &arguments))
    }
}
