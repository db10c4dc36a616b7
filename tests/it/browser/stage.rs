//! A street in a time zone where it is early morning now: the browser's clock is the real one, so the server's is as well.

use std::path::PathBuf;

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::{Config, Secret};
use chenlian::domain::case::Actor;
use chenlian::jobs::plan_day;
use chenlian::on;
use chenlian::seal::SealKey;
use chenlian::store::{case, open};
use chrono::Timelike;
use uuid::Uuid;

use super::driver::{Browser, Screen};
use crate::harness::{World, declare_channels};
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
        Self::set_with(seniors, |_| ()).await
    }

    /// The same where browsers may be switched on for pop-ups, and the log tells people.
    pub async fn with_push(seniors: usize) -> Self {
        Self::set_with(seniors, |config| {
            config.outbox.allow_private_targets = true;
            config.outbox.log_counts = true;
            config.channels.web_push.private_key = Secret::new("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
            "mailto:ops@example.org".clone_into(&mut config.channels.web_push.subject);
        })
        .await
    }

    async fn set_with(seniors: usize, change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}", folder.path().join("stage.db").display());
        let (db, lock) = open::open(&url).await.unwrap_or_else(|error| panic!("the database opens: {error}"));
        std::mem::forget(lock);
        let mut config = Config::defaults();
        folder.path().clone_into(&mut config.data.folder);
        config.database.url = url;
        change(&mut config);
        let app = App::new(config, db, Clock::System, SealKey::from_bytes([42; 32]));
        declare_channels(&app).await;
        let world = World::seed(&app, seniors).await;
        early(&app, world.site).await;
        plan_day::run_once(&app).await.expect("the day is planned");
        let server = Server::start(&app).await;
        Self { app, world, server, folder }
    }

    /// A browser with a profile of this name, signed in as a member by the sign-in page.
    pub async fn browser(&self, screen: Screen, member: Uuid, name: &str) -> Option<Browser> {
        let browser = self.stranger(screen, name).await?;
        self.sign_in(&browser, member).await;
        Some(browser)
    }

    pub async fn sign_in(&self, browser: &Browser, member: Uuid) {
        let phone = self.phone_of(member);
        set_password(&self.app, member, &phone).await;
        browser.go("/sign-in").await;
        browser.write("input[name=phone]", &phone).await;
        browser.write("input[name=password]", PASSWORD).await;
        browser.tap("form button").await;
        browser.wait("somebody is signed in", "return !location.pathname.startsWith('/sign-in')", Vec::new()).await;
    }

    #[expect(clippy::unused_self, reason = "reads as a question to the stage")]
    pub fn phone_of(&self, member: Uuid) -> String {
        format!("1390000{:04}", member.as_u128() % 10_000)
    }

    /// Where the first senior lives.
    pub async fn home(&self) -> Uuid {
        let senior = self.world.seniors[0];
        let read = self.app.read(move |mut tx| async move {
            let sql = "select home_id from senior where id = $1";
            let home = on!(&mut tx, |conn| sqlx::query_scalar(sql).bind(senior).fetch_one(conn).await)?;
            Ok((tx, home))
        });
        read.await.expect("she has a home")
    }

    /// Somebody should look at the first senior: an alert that her people have been told of.
    pub async fn alarm(&self) {
        self.raise().await;
        crate::morning::all_told(&self.app).await;
    }

    /// The same while nobody has been told yet.
    pub async fn raise(&self) -> Uuid {
        let (site, senior, now) = (self.world.site, self.world.seniors[0], self.app.clock.now());
        let actor = Actor { id: self.world.social_worker, may_silence: false, may_confirm: false };
        crate::done!(self.app, |tx| case::raise(&mut tx, site, senior, actor, Uuid::now_v7(), None, now)).expect("an alert opens")
    }

    /// The server stops answering, as if the phone had lost its network.
    pub async fn network_off(&mut self) {
        self.server.stop();
        let started = tokio::time::Instant::now();
        while tokio::net::TcpStream::connect(self.server.address).await.is_ok() {
            assert!(started.elapsed().as_secs() < 20, "the server stops");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// It answers again, at the same address.
    pub async fn network_on(&mut self) {
        self.server = Server::start_at(&self.app, self.server.address).await;
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
