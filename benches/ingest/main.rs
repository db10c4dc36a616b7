//! How fast sensors are heard. First each decoder alone on real messages, beside what a strict reading of the same bytes as JSON
//! costs. Then the whole way: many gateways on the endpoint, each with a full window of reports, acknowledged after their commit,
//! beside an endpoint that stores nothing and beside rows that are merely inserted. Last, a device gone mad among them.
//!
//! `cargo bench --bench ingest` measures SQLite; `bash tests/pg cargo bench --bench ingest` measures PostgreSQL as well.

use std::time::Duration;

#[path = "../../tests/it/harness/mod.rs"]
#[expect(dead_code, reason = "a part of the tests' harness is all that is needed here")]
mod harness;

mod clients;
mod decoders;
mod way;

use harness::{needs, on_fresh};

fn main() {
    decoders::measure();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(async {
        let null = way::null().await;
        engine("SQLite", None, null).await;
        match needs::postgres() {
            Some(server) => engine("PostgreSQL", Some(&server), null).await,
            None => println!("PostgreSQL: not measured; run `bash tests/pg cargo bench --bench ingest`"),
        }
    });
}

async fn engine(name: &str, server: Option<&str>, null: f64) {
    println!("{name}");
    on_fresh(server, async |app| way::measure(&app, null).await).await;
    on_fresh(server, async |app| way::beside_a_mad_device(&app).await).await;
}

/// The time below which so many of a hundred are; sorts.
fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
