//! Tells each group how many households wait in which building, whenever that has changed. It is a remark to everybody and counts for
//! nobody: the ladder does not know of it.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::task::JoinSet;

use crate::app::App;
use crate::domain::group_post::{Counts, Decision, decide};
use crate::domain::message::elsewhere::Elsewhere;
use crate::domain::message::retry::{Outcome, OutcomeClass, RetryRules, Settle, after_attempt};
use crate::notify::group::GroupPost;
use crate::store::group_post::{self, Group};
use crate::store::register::group_chat::key_place;
use crate::store::{Error, Result};
use crate::text;

/// What the platform refuses for our own fault is asked again this seldom.
const MENDING_PAUSE: TimeDelta = TimeDelta::minutes(10);

/// Looks at every group once and lets the posts go on beside the loop, which comes back when one has ended: a robot that hangs keeps
/// no group waiting whose turn comes meanwhile (I15). Returns when the next one is due.
pub async fn pass(app: App) -> Result<Option<DateTime<Utc>>> {
    let (next, posts) = look(&app).await?;
    for group in posts {
        let app = app.clone();
        tokio::spawn(async move {
            if let Err(error) = post(app.clone(), group).await {
                tracing::error!(job = "group_post", %error, "a post could not be settled");
            }
            app.wake.groups.notify_one();
        });
    }
    Ok(next)
}

/// Does everything that is due now and waits until it is settled.
pub async fn run_once(app: &App) -> Result<Option<DateTime<Utc>>> {
    let (next, posts) = look(app).await?;
    let mut sending: JoinSet<Result<()>> = posts.into_iter().map(|group| post(app.clone(), group)).collect();
    while let Some(done) = sending.join_next().await {
        done.map_err(|panic| Error::broken("task", "", panic))??;
    }
    Ok(next)
}

/// Notes what has changed. Returns when the next group is due, and those that are due now.
async fn look(app: &App) -> Result<(Option<DateTime<Utc>>, Vec<Group>)> {
    let now = app.clock.now();
    let groups = app.read(move |mut tx| async move { group_post::groups(&mut tx, now).await.map(|groups| (tx, groups)) }).await?;
    let (mut next, mut posts) = (None, Vec::new());
    for group in groups {
        match decide(&group.known, &group.counts, now) {
            Decision::Nothing if group.known.changed_at.is_none() => {}
            Decision::Nothing => note(app, &group, None).await?,
            Decision::At(at) => {
                if group.known.changed_at.is_none() {
                    note(app, &group, Some(now)).await?;
                }
                next = next.into_iter().chain([at]).min();
            }
            Decision::Post if group.next_at.is_some_and(|at| at > now) => next = next.into_iter().chain(group.next_at).min(),
            Decision::Post => posts.push(group),
        }
    }
    Ok((next, posts))
}

async fn note(app: &App, group: &Group, changed_at: Option<DateTime<Utc>>) -> Result<()> {
    let group = group.clone();
    app.write(move |mut tx| async move { group_post::note(&mut tx, &group, changed_at).await.map(|()| (tx, ())) }).await
}

/// Sent outside any transaction, settled in one of its own; a sender that dies leaves a lease that runs out.
async fn post(app: App, group: Group) -> Result<()> {
    let now = app.clock.now();
    let leasing = group.clone();
    if !app.write(move |mut tx| async move { group_post::lease(&mut tx, &leasing, now).await.map(|taken| (tx, taken)) }).await? {
        return Ok(());
    }
    let outcome = match app.seal.open(&key_place(group.id), &group.key_sealed) {
        Ok(key) => {
            let locale = text::DEFAULT_LOCALE;
            let (text, repeated) = (said(locale, &group.counts), group.repeated);
            app.group_notifier()?.send(&GroupPost { channel: group.channel, key, text, repeated, locale, at: now }).await
        }
        Err(_) => Outcome::new(OutcomeClass::Permanent, "key does not open"),
    };
    settle(&app, group, outcome).await
}

async fn settle(app: &App, group: Group, outcome: Outcome) -> Result<()> {
    let (now, outbox) = (app.clock.now(), &app.config.outbox);
    // The state of the moment is worth telling however late: only what can never go is given up.
    let rules = RetryRules { first: outbox.retry_first.0, max: outbox.retry_max.0, attempts_max: i64::MAX };
    let settled = after_attempt(&outcome, group.attempts + 1, Elsewhere::Nowhere, &rules, rand::random(), now);
    if outcome.class != OutcomeClass::Sent {
        tracing::warn!(group = %group.id, outcome = %outcome.class, detail = outcome.detail, "a group was not told");
    }
    app.write(move |mut tx| async move {
        match settled {
            _ if outcome.class == OutcomeClass::Config => {
                group_post::wait_for_mending(&mut tx, &group, now + MENDING_PAUSE, &outcome.detail, now).await?;
            }
            Settle::Sent => group_post::told(&mut tx, &group, now).await?,
            Settle::RetryAt(at) | Settle::HeldUp(at) => {
                let unknown = outcome.class == OutcomeClass::Ambiguous;
                group_post::failed(&mut tx, &group, at, unknown, &outcome.detail).await?;
            }
            Settle::NextChannel | Settle::BackAt(_) | Settle::Failed => group_post::give_up(&mut tx, &group, &outcome.detail, now).await?,
        }
        Ok((tx, ()))
    })
    .await
}

/// 3号楼 2户待上门
pub fn said(locale: &'static str, counts: &Counts) -> String {
    if counts.is_empty() {
        return text::plain(locale, "notice.group_none");
    }
    let line = |(building, count): &(String, i64)| {
        let arguments = BTreeMap::from([("building".to_owned(), building.clone()), ("count".to_owned(), count.to_string())]);
        text::render(locale, "notice.group_line", &arguments)
    };
    let mut lines: Vec<String> = counts.iter().take(LINES_MAX).map(line).collect();
    if counts.len() > LINES_MAX {
        let rest = counts.iter().skip(LINES_MAX).map(|(_, count)| count).sum::<i64>();
        lines.push(text::render(locale, "notice.group_more", &BTreeMap::from([("count".to_owned(), rest.to_string())])));
    }
    lines.join("\n")
}

/// Buildings in one post: robots take about 2,000 bytes.
const LINES_MAX: usize = 30;
