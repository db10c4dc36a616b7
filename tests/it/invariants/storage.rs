//! A database that cannot keep what it is given: nothing is accepted, the server says that it is not ready, and it recovers
//! alone (I17, I18, I21). A full disk is played on the built binary, in `cli/full.rs`.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use chenlian::app::App;
use chenlian::store::Db;
use chenlian::store::open::{self, OpenError};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{count, meddle};
use crate::harness::{World, fresh_schema, needs, on_each_engine};
use crate::http::{Client, Server, plain_client};

/// Statements and locks are given up after five and four seconds.
const LONGER_THAN_A_STATEMENT: Duration = Duration::from_secs(6);

/// A server with its operator's door.
struct Opened {
    world: World,
    client: Client,
    ready: String,
    _server: Server,
}

impl Opened {
    async fn of(app: &App) -> Self {
        let world = World::seed(app, 1).await;
        let server = Server::start(app).await;
        let client = server.client(app, world.site, world.primary).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let ready = format!("http://{}/ready", listener.local_addr().expect("a bound socket has an address"));
        tokio::spawn(chenlian::http::ops::serve(app.clone(), listener, CancellationToken::new()));
        Self { world, client, ready, _server: server }
    }

    fn look(&self, app: &App) -> Value {
        json!({ "id": Uuid::now_v7(), "senior_id": self.world.seniors[0], "kind": "open", "observed_at": app.clock.now() })
    }

    async fn send(&self, look: &Value) -> u16 {
        self.client.post("/api/v1/signals", look.clone()).await.0.as_u16()
    }

    /// The operator's answer: status and reason.
    async fn ready(&self) -> (u16, String) {
        let answer = plain_client().get(&self.ready).send().await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("a line of text"))
    }
}

/// For every connection that may write, until it is said otherwise; outside a transaction, where SQLite changes none of these.
async fn on_the_writers(app: &App, sql: &str) {
    let sql = || sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    match &app.db {
        Db::Sqlite { write, .. } => sql().execute(write).await.map(drop).expect("the statement runs"),
        Db::Postgres(pool) => {
            // What was just used may still be on its way back.
            while pool.num_idle() < pool.size() as usize {
                tokio::task::yield_now().await;
            }
            let all: Vec<_> = std::iter::from_fn(|| pool.try_acquire()).collect();
            for mut connection in all {
                sql().execute(&mut *connection).await.expect("the statement runs");
                connection.return_to_pool().await;
            }
        }
    }
}

#[tokio::test]
async fn a_commit_that_fails_is_never_a_yes_and_its_repeat_is_counted_once() {
    on_each_engine(|app| async move {
        let opened = Opened::of(&app).await;
        // Only COMMIT can refuse these: on PostgreSQL as a doubled key, which before it would be the caller's business.
        let (traps, mended): (&[&str], _) = if app.db.is_postgres() {
            (
                &[
                    "create table kept (x int unique deferrable initially deferred)",
                    "create function twice() returns trigger language plpgsql as $$ begin insert into kept values (1), (1); return null; end $$",
                    "create trigger trap after insert on signal for each row execute function twice()",
                ],
                "drop trigger trap on signal",
            )
        } else {
            (
                &[
                    "create table parent (x integer primary key)",
                    "create table orphan (x integer references parent (x) deferrable initially deferred)",
                    "create trigger trap after insert on signal begin insert into orphan values (1); end",
                ],
                "drop trigger trap",
            )
        };
        for trap in traps {
            meddle(&app, trap).await;
        }
        let look = opened.look(&app);
        for _ in 0..3 {
            assert_eq!(opened.send(&look).await, 503);
        }
        assert_eq!(count(&app, "select count(*) from signal").await, 0);
        meddle(&app, mended).await;
        assert_eq!(opened.send(&look).await, 201);
        assert_eq!(opened.send(&look).await, 200);
        assert_eq!(count(&app, "select count(*) from signal").await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_database_that_lets_nobody_write_takes_nothing_and_is_not_ready_until_it_does() {
    on_each_engine(|app| async move {
        let opened = Opened::of(&app).await;
        let (shut, open) = if app.db.is_postgres() {
            ("set default_transaction_read_only = on", "set default_transaction_read_only = off")
        } else {
            ("pragma query_only = on", "pragma query_only = off")
        };
        let look = opened.look(&app);
        on_the_writers(&app, shut).await;
        assert_eq!(opened.ready().await.0, 503);
        on_the_writers(&app, shut).await;
        assert_eq!(opened.send(&look).await, 503);
        on_the_writers(&app, open).await;
        assert_eq!(opened.ready().await.0, 200);
        assert_eq!(opened.send(&look).await, 201);
    })
    .await;
}

#[tokio::test]
async fn a_server_is_not_ready_while_its_database_does_not_promise_to_keep_what_it_took() {
    on_each_engine(|app| async move {
        let opened = Opened::of(&app).await;
        let (setting, forgetful, strict) = if app.db.is_postgres() {
            ("synchronous_commit", "set synchronous_commit = off", "set synchronous_commit = on")
        } else {
            ("synchronous", "pragma synchronous = normal", "pragma synchronous = full")
        };
        on_the_writers(&app, forgetful).await;
        let (status, why) = opened.ready().await;
        assert!(status == 503 && why.contains(setting), "{status} {why}");
        on_the_writers(&app, strict).await;
        assert_eq!(opened.ready().await.0, 200);
        let Db::Sqlite { read, .. } = &app.db else { return };
        // The mode of the file can be changed by whoever has it alone.
        read.close().await;
        on_the_writers(&app, "pragma journal_mode = delete").await;
        let (status, why) = opened.ready().await;
        assert!(status == 503 && why.contains("journal_mode"), "{status} {why}");
    })
    .await;
}

#[tokio::test]
async fn a_postgresql_that_forgets_what_it_took_stops_the_start() {
    let Some(server) = needs::postgres() else { return };
    let url = format!("{}&options[synchronous_commit]=off", fresh_schema(&server).await);
    let refused = open::open(&url).await.map(|_| ()).expect_err("this is refused");
    assert!(matches!(refused, OpenError::NotDurable { setting: "synchronous_commit", .. }), "{refused}");
}

/// I36. What an ordinary statement waits for a lock is less than what the first instance may need for its migrations.
#[tokio::test]
async fn an_instance_that_starts_beside_another_one_waits_for_its_migrations() {
    let Some(server) = needs::postgres() else { return };
    let url = fresh_schema(&server).await;
    open::open(&url).await.expect("the first one starts").0.close().await;
    let mut first = PgConnection::connect(&url).await.expect("it is there");
    first.execute("begin; lock table _sqlx_migrations in access exclusive mode").await.expect("it is at work");
    let second = tokio::spawn(async move { open::open(&url).await });
    let shown = tokio::time::timeout(LONGER_THAN_A_STATEMENT, async {
        while !second.is_finished() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(shown.await.is_err(), "it neither gave up nor went past");
    first.execute("commit").await.expect("it is done");
    let (db, _) = second.await.expect("no panic").expect("the second one starts");
    db.close().await;
}

/// These are settings of the whole server, so the test starts one of its own.
#[tokio::test]
async fn a_postgresql_that_writes_in_a_way_that_a_power_cut_undoes_stops_the_start() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    if needs::postgres().is_none() {
        return;
    }
    for (setting, line) in [("fsync", "fsync = off"), ("full_page_writes", "full_page_writes = off")] {
        let mut server = Command::new("bash")
            .args(["tests/pg", "sh", "-c", "echo $CHENLIAN_TEST_POSTGRES; cat"])
            .env("CHENLIAN_PG_SETTING", line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("bash is there");
        let mut url = String::new();
        BufReader::new(server.stdout.take().expect("piped")).read_line(&mut url).expect("it says where it is");
        let refused = open::open(url.trim()).await.map(|_| ());
        // At the end of its input it stops.
        drop(server.stdin.take());
        server.wait().expect("it ends");
        assert!(matches!(refused, Err(OpenError::NotDurable { setting: found, .. }) if found == setting), "{line}: {refused:?}");
    }
}

#[tokio::test]
async fn a_damaged_file_takes_nothing_and_the_operator_is_told() {
    on_each_engine(|app| async move {
        let Db::Sqlite { write, .. } = &app.db else { return };
        let opened = Opened::of(&app).await;
        assert_eq!(opened.send(&opened.look(&app)).await, 201);
        let (page, page_bytes): (i64, i64) = sqlx::query_as(
            "select s.rootpage, p.page_size from sqlite_master s, pragma_page_size p where s.name = 'signal' and s.type = 'table'",
        )
        .fetch_one(write)
        .await
        .expect("the table is there");
        on_the_writers(&app, "pragma wal_checkpoint(truncate)").await;
        let path = app.config.database.url.strip_prefix("sqlite://").expect("a SQLite file");
        let file = std::fs::OpenOptions::new().write(true).open(path).expect("the file is there");
        let (page, page_bytes) = (u64::try_from(page).expect("positive"), u64::try_from(page_bytes).expect("positive"));
        let garbage = vec![0xa5; usize::try_from(page_bytes).expect("small")];
        file.write_all_at(&garbage, (page - 1) * page_bytes).expect("the page is overwritten");
        // What the writer remembers of the page is not asked for again until it forgets it.
        on_the_writers(&app, "pragma shrink_memory").await;
        assert_eq!(opened.send(&opened.look(&app)).await, 503);
        let (status, why) = opened.ready().await;
        assert!(status == 503 && why.contains("damaged"), "{status} {why}");
        assert_eq!(opened.send(&opened.look(&app)).await, 503);
    })
    .await;
}
