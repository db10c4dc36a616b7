//! What the two heaviest pages cost: a volunteer's round of 500 windows and the board over 5,000 seniors, asked for over HTTP one
//! after the other. Beside them, in the same run, a file that needs no database: what HTTP itself costs here.
//!
//! `cargo bench --bench pages` measures SQLite; `bash tests/pg cargo bench --bench pages` measures PostgreSQL as well. Processor
//! time is that of this whole process: server, client, and for SQLite the database.

use std::time::Instant;

use chenlian::app::App;
use chenlian::http;
use chenlian::jobs::plan_day;
use chenlian::store::session::{self, NewSession, SessionKind, Token};
use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[path = "../../tests/it/harness/mod.rs"]
#[expect(dead_code, reason = "a part of the tests' harness is all that is needed here")]
mod harness;

use harness::{World, fresh_schema, needs, open_app};

const ROUND_SENIORS: usize = 500;
const BOARD_SENIORS: usize = 5_000;
/// Enough for a 99th percentile.
const REQUESTS: usize = 300;
/// Clock ticks of /proc/self/stat per second on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let _ = rustls::crypto::ring::default_provider().install_default();
    runtime.block_on(async {
        engine("SQLite", None).await;
        match needs::postgres() {
            Some(server) => engine("PostgreSQL", Some(&server)).await,
            None => println!("PostgreSQL: not measured; run `bash tests/pg cargo bench --bench pages`"),
        }
    });
}

async fn engine(name: &str, server: Option<&str>) {
    println!("{name}: {REQUESTS} requests each, one after the other");
    measure(server, ROUND_SENIORS, async |page| {
        page.time("a file of static/", http::pages::assets::address("app.css"), page.world.primary).await;
        page.time("/round, 500 windows", "/round".to_owned(), page.world.primary).await;
    })
    .await;
    measure(server, BOARD_SENIORS, async |page| page.time("/board, 5,000 seniors", "/board".to_owned(), page.world.social_worker).await)
        .await;
}

struct Pages {
    app: App,
    world: World,
    base: String,
    client: reqwest::Client,
}

async fn measure(server: Option<&str>, seniors: usize, work: impl AsyncFnOnce(&Pages)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = match server {
        Some(server) => fresh_schema(server).await,
        None => format!("sqlite://{}", folder.path().join("bench.db").display()),
    };
    let app = open_app(&url, folder.path()).await;
    let world = World::seed(&app, seniors).await;
    plan_day::run_once(&app).await.expect("the day is planned");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let base = format!("http://{}", listener.local_addr().expect("a bound socket has an address"));
    let stop = CancellationToken::new();
    tokio::spawn(http::serve(app.clone(), listener, stop.clone()));
    let client = reqwest::Client::builder().no_proxy().build().expect("a client without TLS files");
    work(&Pages { app: app.clone(), world, base, client }).await;
    stop.cancel();
    app.db.close().await;
}

impl Pages {
    async fn time(&self, what: &str, path: String, member: Uuid) {
        let token = self.sign_in(member).await;
        let (mut times, mut sizes) = (Vec::new(), (0, 0));
        let mut before = processor();
        for number in 0..REQUESTS + 10 {
            // The first ones fill caches.
            if number == 10 {
                before = processor();
            }
            let began = Instant::now();
            let plain = self.ask(&path, &token, "gzip").await;
            if number >= 10 {
                times.push(began.elapsed());
            }
            sizes.1 = plain;
        }
        let spent = (processor() - before) / REQUESTS as f64 * 1_000.0;
        sizes.0 = self.ask(&path, &token, "identity").await;
        times.sort_unstable();
        let ms = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)].as_secs_f64() * 1_000.0;
        println!(
            "  {what:<24} p50 {:>7.2} ms  p99 {:>7.2} ms  processor {spent:>6.2} ms  {:>7} bytes, {:>6} compressed",
            ms(50),
            ms(99),
            sizes.0,
            sizes.1
        );
    }

    /// Bytes of the body as it travelled.
    async fn ask(&self, path: &str, token: &str, encoding: &str) -> usize {
        let request = self.client.get(format!("{}{path}", self.base)).header("accept", "text/html").header("accept-encoding", encoding);
        let response = request.header("cookie", format!("chenlian={token}")).send().await.expect("the server answers");
        assert_eq!(response.status(), 200, "{path}");
        response.bytes().await.expect("a whole body").len()
    }

    async fn sign_in(&self, member: Uuid) -> String {
        let (now, site_id) = (self.app.clock.now(), self.world.site);
        let made = self.app.write(move |mut tx| async move {
            let token = Token::random();
            let new = NewSession {
                site_id,
                id: Uuid::now_v7(),
                member_id: member,
                kind: SessionKind::Cookie,
                label: "bench",
                created_at: now,
                authenticated_at: Some(now),
                expires_at: now + TimeDelta::days(1),
            };
            session::create(&mut tx, &new, &token.hash()).await?;
            Ok((tx, token.text().to_owned()))
        });
        made.await.expect("a session is made")
    }
}

/// Seconds of processor time of this process so far.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux machine");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("the name stands in brackets").1.split_whitespace().collect();
    let ticks: f64 = [fields[11], fields[12]].iter().map(|field| field.parse::<f64>().expect("a number")).sum();
    ticks / TICKS_PER_SECOND
}
