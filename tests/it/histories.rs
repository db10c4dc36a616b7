//! Whatever happens in whatever order, on the real store: nobody due is forgotten, nobody is alerted twice, both engines say
//! the same, and two people at once come out as one after the other (I1 to I10). `interleaving` does the same with the pure
//! decisions, in memory and a thousand times as often.

use chenlian::app::App;
use chenlian::domain::signal::SignalKind;
use proptest::prelude::*;
use proptest::test_runner::{FileFailurePersistence, TestRunner};
use tokio::runtime::Runtime;

use crate::harness::{fresh_schema, local, needs, open_app};
use crate::invariants::another;
use crate::morning::{by_member, send, set};

mod inspect;
mod street;

use street::{Look, Op, Street, look, op};

/// Histories per test and engine; `PROPTEST_CASES` asks for more than the seconds of an ordinary run.
const CASES: u32 = 24;

fn rules() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES);
    ProptestConfig {
        cases: asked,
        // Each step of the way to a smaller history writes to a disk.
        max_shrink_iters: 200,
        // A failure leaves its seed beside this file, and is tried first from then on.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        source_file: Some(file!()),
        ..ProptestConfig::default()
    }
}

/// The engines that are there, open, and what keeps them so.
struct Engines {
    runtime: Runtime,
    apps: Vec<App>,
    _folder: tempfile::TempDir,
}

impl Engines {
    fn open() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let server = needs::postgres();
        let apps = runtime.block_on(async {
            let mut apps = vec![open_app(&format!("sqlite://{}", folder.path().join("test.db").display()), folder.path()).await];
            if let Some(server) = server {
                apps.push(open_app(&fresh_schema(&server).await, folder.path()).await);
            }
            apps
        });
        Self { runtime, apps, _folder: folder }
    }

    /// Plays the same on each engine, and holds that what came of it is the same.
    fn agree<T: PartialEq + std::fmt::Debug>(&self, play: impl AsyncFn(&App) -> T) -> Result<(), TestCaseError> {
        let outcomes: Vec<T> = self.apps.iter().map(|app| self.runtime.block_on(play(app))).collect();
        for two in outcomes.windows(2) {
            prop_assert_eq!(&two[0], &two[1], "SQLite and PostgreSQL differ");
        }
        Ok(())
    }
}

impl Drop for Engines {
    fn drop(&mut self) {
        self.runtime.block_on(async {
            for app in &self.apps {
                app.db.close().await;
            }
        });
    }
}

#[test]
fn on_the_real_store_every_due_check_is_closed_or_alerting_whatever_happens_in_whatever_order() {
    let engines = Engines::open();
    let histories = prop::collection::vec(op(), 5..35);
    let told = TestRunner::new(rules()).run(&histories, |ops| {
        engines.agree(async |app| {
            let mut street = Street::new(app).await;
            for op in &ops {
                street.play(op).await;
            }
            street.end().await
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn two_people_at_once_leave_every_due_check_closed_or_alerting() {
    let engines = Engines::open();
    let hands = || prop::collection::vec(op().prop_filter("both stand at the same moment", |op| !matches!(op, Op::Wait(_))), 1..4);
    let rounds = prop::collection::vec((hands(), hands(), prop_oneof![1_i64..30, 1_i64..300]), 1..7);
    let told = TestRunner::new(rules()).run(&rounds, |rounds| {
        for app in &engines.apps {
            engines.runtime.block_on(race(app, &rounds));
        }
        Ok(())
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}

/// Both hands of a round at once, each through a server of its own; then time passes, and the watch.
async fn race(app: &App, rounds: &[(Vec<Op>, Vec<Op>, i64)]) {
    let mut street = Street::new(app).await;
    for (one, other, minutes) in rounds {
        let (mut first, mut second) = (street.beside(app.clone(), 1), street.beside(another(app), 2));
        let (one, other) = (one.clone(), other.clone());
        let (one, other) = tokio::join!(
            tokio::spawn(async move {
                for op in &one {
                    first.play_unseen(op).await;
                }
                first
            }),
            tokio::spawn(async move {
                for op in &other {
                    second.play_unseen(op).await;
                }
                second
            }),
        );
        street.learn(one.expect("the first hand lives"));
        street.learn(other.expect("the second hand lives"));
        street.play(&Op::Wait(*minutes)).await;
        street.play(&Op::Pass).await;
    }
    street.end().await;
}

/// Looks, each perhaps taking back an earlier one; and the same twice, shuffled, cut into batches.
fn sheets() -> impl Strategy<Value = (Vec<(Look, Option<usize>)>, Vec<usize>, Vec<usize>)> {
    // A press is a trigger of its own, and what has called for help once is not taken back by a correction.
    let calm = look().prop_filter("no call for help", |look| !matches!(look.kind, SignalKind::Help | SignalKind::Cry));
    prop::collection::vec((calm, prop::option::weighted(0.3, 0_usize..8)), 1..8).prop_flat_map(|looks| {
        let twice: Vec<usize> = (0..looks.len()).chain(0..looks.len()).collect();
        (Just(looks), Just(twice).prop_shuffle(), prop::collection::vec(1_usize..5, 16))
    })
}

// I8
#[test]
fn on_the_real_store_the_same_signs_in_any_order_and_any_batches_leave_the_same_states_and_alerts() {
    let engines = Engines::open();
    let told = TestRunner::new(rules()).run(&sheets(), |(looks, shuffled, sizes)| {
        engines.agree(async |app| {
            // Before the cutoff nobody has been alerted, so the history is the same as well; after it, what is left open.
            for (time, asks_history) in [("09:44:00", true), ("13:00:00", false)] {
                let mut street = Street::new(app).await;
                set(app, local(time)).await;
                let (at_once, in_parts) = (street.world.seniors[0], street.world.seniors[1]);
                let signals = |senior| {
                    let of = |(number, (look, replaces)): (usize, &(Look, Option<usize>))| {
                        let mut signal = by_member(senior, look.kind, app.clock.now() - look.ago(), street.world.primary);
                        signal.id = street.id_of(senior, number);
                        signal.replaces = replaces.filter(|old| *old < number).map(|old| street.id_of(senior, old));
                        signal
                    };
                    looks.iter().enumerate().map(of).collect::<Vec<_>>()
                };
                send(app, &street.world, signals(at_once)).await;
                let (all, mut rest) = (signals(in_parts), shuffled.as_slice());
                let mut batches = Vec::new();
                for size in sizes.iter().chain([&usize::MAX]) {
                    let (batch, after) = rest.split_at((*size).min(rest.len()));
                    batches.push(batch.iter().map(|number| all[*number].clone()).collect());
                    rest = after;
                }
                street.send_until_taken(batches).await;
                set(app, local(time).max(local("09:45:00"))).await;
                street.play(&Op::Pass).await;
                let (one, other) = (street.seen_of(at_once, asks_history).await, street.seen_of(in_parts, asks_history).await);
                assert_eq!(one, other, "at once, and in parts");
                street.leave().await;
            }
        })
    });
    told.unwrap_or_else(|failure| panic!("{failure}"));
}
