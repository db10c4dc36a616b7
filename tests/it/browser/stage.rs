//! A street in a time zone where it is early morning now: the browser's clock is the real one, so the server's is as well.

use std::path::PathBuf;

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::Config;
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::seal::SealKey;
use chenlian::store::open;
use chrono::Timelike;
use uuid::Uuid;

use super::driver::{Browser, Screen};
use crate::harness::World;
use crate::http::{PASSWORD, Server, set_password};

/// The local hour at which every journey begins: the round is open, and the deadline is far away.
const HOUR: u32 = 7;

pub struct Stage {
    pub app: App,
    pub world: World,
    pub server: Server,
    folder: tempfile::TempDir,
}

impl Stage {
    /// So many seniors, planned for today.
    pub async fn set(seniors: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("stage.db").display());
        let (db, lock) = open::open(&url).await.unwrap_or_else(|error| panic!("the database opens: {error}"));
        std::mem::forget(lock);
        let mut config = Config::defaults();
        folder.path().clone_into(&mut config.data.folder);
        config.database.url = url;
        let app = App::new(config, db, Clock::System, SealKey::from_bytes([42; 32]));
        let world = World::seed(&app, seniors).await;
        early(&app, world.site).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        let server = Server::start(&app).await;
        Self { app, world, server, folder }
    }

    /// A browser with a profile of this name, signed in as a member by the sign-in page.
    pub async fn browser(&self, screen: Screen, member: Uuid, name: &str) -> Option<Browser> {
        let phone = format!("1390000{:04}", member.as_u128() % 10_000);
        set_password(&self.app, member, &phone).await;
        let browser = self.stranger(screen, name).await?;
        browser.go("/sign-in").await;
        browser.write("input[name=phone]", &phone).await;
        browser.write("input[name=password]", PASSWORD).await;
        browser.tap("form button").await;
        browser.wait("somebody is signed in", "return !location.pathname.startsWith('/sign-in')", Vec::new()).await;
        Some(browser)
    }

    pub async fn stranger(&self, screen: Screen, name: &str) -> Option<Browser> {
        Browser::open(&self.server.url(""), screen, &self.profile(name)).await
    }

    pub fn profile(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Etc/GMT zones have no daylight saving, and one of them has the wanted hour.
async fn early(app: &App, site: Uuid) {
    let hour = i64::from(app.clock.now().hour());
    // POSIX counts the other way round: Etc/GMT-8 is eight hours ahead. They go from 14 ahead to 12 behind.
    let ahead = (i64::from(HOUR) - hour + 24 + 10) % 24 - 10;
    let zone = if ahead >= 0 { format!("Etc/GMT-{ahead}") } else { format!("Etc/GMT+{}", -ahead) };
    app.write(move |mut tx| async move {
        let sql = "update site set timezone = $2 where id = $1";
        on!(&mut tx, |conn| sqlx::query(sql).bind(site).bind(zone).execute(conn).await.map(|_| ()))?;
        Ok((tx, ()))
    })
    .await
    .expect("the zone is set");
}
