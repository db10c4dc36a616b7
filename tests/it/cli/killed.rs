//! What was answered with a yes is there, whatever becomes of the server and of those who asked (F1, I17, I19).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chenlian::app::App;
use chenlian::clock::Clock;
use chenlian::config::Config;
use chenlian::on;
use chenlian::seal::SealKey;
use chenlian::store::open::{self, FileLock};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::binary::{Installation, Server, WAIT_MAX, client};
use crate::harness::{World, fresh_schema, needs};
use crate::http::bearer;

const SENIORS: usize = 20;
/// Clients that are gone before they are answered, all the time.
const VANISHING: usize = 16;
/// Clients that wait for their answer, one request after the other.
const PATIENT: usize = 12;
/// So many, and then the kill. Where transactions were left open, one answered look in nine was lost: all of these would be kept
/// by chance once in a thousand.
const ANSWERED_MIN: usize = 60;
const VANISHED_MIN: usize = 200;
const CROWD_LASTS_MAX: Duration = Duration::from_secs(90);

/// An installation with an invented street and a volunteer's token.
pub struct Street {
    pub home: Installation,
    pub world: World,
    pub token: String,
    url: String,
}

impl Street {
    pub async fn on_sqlite() -> Self {
        let home = Installation::new();
        let url = format!("sqlite://{}", home.database().display());
        Self::at(home, url).await
    }

    pub async fn at(home: Installation, url: String) -> Self {
        chenlian::serve::make_folder(&home.data()).expect("the folder is made");
        let (app, lock) = opened(&url, home.folder.path()).await;
        let world = World::seed(&app, SENIORS).await;
        let token = bearer(&app, world.site, world.primary).await;
        app.db.close().await;
        drop(lock);
        Self { home, world, token, url }
    }

    pub fn look(&self, number: usize) -> (Uuid, String) {
        let (id, senior) = (Uuid::now_v7(), self.world.seniors[number % SENIORS]);
        (id, json!({ "id": id, "senior_id": senior, "kind": "open", "observed_at": Clock::System.now() }).to_string())
    }

    /// Sends one look and waits for the answer's status.
    pub async fn send(&self, http: SocketAddr, body: String) -> Option<u16> {
        let request = client().post(format!("http://{http}/api/v1/signals")).bearer_auth(&self.token).body(body);
        request.header("content-type", "application/json").send().await.ok().map(|answer| answer.status().as_u16())
    }

    /// The signals in the database, looked up without the server.
    pub async fn signals(&self) -> Vec<Uuid> {
        let (app, _lock) = opened(&self.url, self.home.folder.path()).await;
        let ids = app.read(|mut tx| async move {
            let ids = on!(&mut tx, |conn| sqlx::query_scalar("select id from signal").fetch_all(conn).await)?;
            Ok((tx, ids))
        });
        let ids = ids.await.expect("signals are read");
        app.db.close().await;
        ids
    }
}

async fn opened(url: &str, folder: &Path) -> (App, Option<FileLock>) {
    let (db, lock) = open::open(url).await.expect("the database opens");
    let mut config = Config::defaults();
    folder.clone_into(&mut config.data.folder);
    (App::new(config, db, Clock::System, SealKey::from_bytes([42; 32])), lock)
}

/// One street on each engine that is there.
async fn on_each_engine(test: impl AsyncFn(Street, Option<String>)) {
    test(Street::on_sqlite().await, None).await;
    if let Some(server) = needs::postgres() {
        let url = fresh_schema(&server).await;
        test(Street::at(Installation::on(url.clone()), url.clone()).await, Some(url)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_look_that_was_answered_survives_kill_9_amid_hundreds_of_clients_that_vanish() {
    on_each_engine(async |street, postgres| {
        let mut server = street.home.serve();
        let street = Arc::new(street);
        let (accepted, vanished) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(0)));
        let mut crowd = JoinSet::new();
        for number in 0..VANISHING {
            crowd.spawn(vanish(Arc::clone(&street), server.http, number, Arc::clone(&vanished)));
        }
        for number in 0..PATIENT {
            let (street, http, accepted) = (Arc::clone(&street), server.http, Arc::clone(&accepted));
            crowd.spawn(async move {
                for turn in 0.. {
                    let (id, body) = street.look(number + turn);
                    if street.send(http, body).await == Some(201) {
                        accepted.lock().expect("not poisoned").push(id);
                    }
                }
            });
        }
        let began = Instant::now();
        let enough = || {
            let (answered, vanished) = (accepted.lock().expect("not poisoned").len(), *vanished.lock().expect("not poisoned"));
            answered >= ANSWERED_MIN && vanished >= VANISHED_MIN
        };
        while !enough() {
            assert!(began.elapsed() < CROWD_LASTS_MAX, "the crowd is not served");
            if let Some(url) = &postgres {
                assert_eq!(forgotten_transactions(url).await, 0);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        server.signal("KILL");
        server.wait();
        crowd.shutdown().await;
        let (accepted, vanished) = (accepted.lock().expect("not poisoned").clone(), *vanished.lock().expect("not poisoned"));
        let kept = street.signals().await;
        println!("{} answered, {vanished} vanished, {} kept", accepted.len(), kept.len());
        let lost: Vec<_> = accepted.iter().filter(|id| !kept.contains(id)).collect();
        assert!(lost.is_empty(), "{} of {} were answered and are lost", lost.len(), accepted.len());
    })
    .await;
}

/// Sends looks and is gone at another moment each time: before, while and after they are written.
async fn vanish(street: Arc<Street>, http: SocketAddr, number: usize, vanished: Arc<Mutex<usize>>) {
    for turn in 0.. {
        let (_, body) = street.look(number + turn);
        if let Ok(mut stream) = TcpStream::connect(http).await {
            let _ = stream.write_all(request(&street.token, &body).as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..300))).await;
            *vanished.lock().expect("not poisoned") += 1;
        }
    }
}

fn request(token: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /api/v1/signals HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Transactions on this test's tables that have waited for their next statement for longer than any write does.
async fn forgotten_transactions(url: &str) -> i64 {
    use sqlx::Connection;
    let mut connection = sqlx::PgConnection::connect(url).await.expect("PostgreSQL answers");
    let sql = "select count(*) from pg_stat_activity a where a.state like 'idle in transaction%'
        and a.state_change < clock_timestamp() - interval '2 seconds'
        and exists (select 1 from pg_locks l join pg_class c on c.oid = l.relation
            where l.pid = a.pid and c.relnamespace = current_schema()::regnamespace)";
    let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("sessions are counted");
    connection.close().await.expect("the connection closes");
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_whose_sender_leaves_while_it_waits_for_its_turn_is_kept_all_the_same() {
    let Some(server) = needs::postgres() else { return };
    let url = fresh_schema(&server).await;
    let street = Street::at(Installation::on(url.clone()), url.clone()).await;
    let server = street.home.serve();
    // Somebody else holds her row for a moment.
    let mut holder = sqlx::pool::PoolOptions::<sqlx::Postgres>::new().max_connections(1).connect(&url).await.expect("it answers");
    street.leave_while_waiting(&mut holder, &server).await;
    assert_eq!(street.signals().await.len(), 1);
}

impl Street {
    async fn leave_while_waiting(&self, pool: &mut sqlx::PgPool, server: &Server) {
        let mut holding = pool.begin_with("begin").await.expect("it begins");
        sqlx::query("select id from senior for update").execute(&mut *holding).await.expect("the rows are held");
        let (_, body) = self.look(0);
        let mut stream = TcpStream::connect(server.http).await.expect("the server listens");
        stream.write_all(request(&self.token, &body).as_bytes()).await.expect("the request is sent");
        // Jobs wait for her row as well; only a request has looked up what its sender may see before.
        let waits = "select count(*) from pg_locks waiting join pg_locks held on held.pid = waiting.pid and held.granted
            join pg_class c on c.oid = held.relation
            where not waiting.granted and c.relname = 'role_grant' and c.relnamespace = current_schema()::regnamespace";
        let began = Instant::now();
        loop {
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut *holding).await.expect("a number");
            if waiting > 0 {
                break;
            }
            assert!(began.elapsed() < WAIT_MAX, "the look never came to its turn");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // She leaves, and the server has seen it when it leaves her as well.
        stream.shutdown().await.expect("the connection stands");
        let mut said = Vec::new();
        let left = tokio::time::timeout(WAIT_MAX, stream.read_to_end(&mut said)).await.expect("the server sees that she is gone");
        assert_eq!(left.unwrap_or_default(), 0, "she is gone before she is answered");
        holding.commit().await.expect("the rows are let go");
        let began = Instant::now();
        while self.count(pool).await == 0 {
            assert!(began.elapsed() < WAIT_MAX, "the look was dropped with its sender");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn count(&self, pool: &sqlx::PgPool) -> i64 {
        sqlx::query_scalar("select count(*) from signal").fetch_one(pool).await.expect("a number")
    }
}
