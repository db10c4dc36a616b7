//! When and by which channel people are told who need not go at once, and whether somebody has proved that the way is open.

mod canary;
mod drills;
mod order;
mod quiet;

use chenlian::app::App;
use chenlian::domain::rules::{NotifyRules, Rules};
use chenlian::on;
use chrono::{DateTime, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::harness::World;
use crate::http::{Client, read};

/// The rules of a site with quiet hours and without jitter, so that times can be told exactly.
pub fn quiet_from(from: &str, to: &str) -> Rules {
    let time = |text: &str| text.parse().expect("a literal time");
    let notify = NotifyRules { quiet_from: time(from), quiet_to: time(to), jitter_seconds: [0, 0], ..NotifyRules::default() };
    Rules { notify, ..Rules::default() }
}

/// (state, when it leaves) of the notices with this key to this member, oldest first.
pub async fn waiting(app: &App, member: uuid::Uuid, key: &'static str) -> Vec<(String, DateTime<Utc>)> {
    app.read(move |mut tx| async move {
        let sql = "select state, not_before from notice where recipient_id = $1 and key = $2 order by created_at, id";
        let rows = on!(&mut tx, |conn| sqlx::query_as(sql).bind(member).bind(key).fetch_all(conn).await)?;
        Ok((tx, rows))
    })
    .await
    .expect("notices are read")
}

/// Changes settings of the site as an administrator does.
pub async fn change_settings(client: &Client, world: &World, notify: Value) {
    let path = format!("/api/v1/sites/{}", world.site);
    let (_, site) = client.get(&path).await;
    let request = client.request(Method::PATCH, &path).header("if-match", format!("\"{}\"", site["version"]));
    let (status, changed) = read(request.json(&json!({ "settings": { "notify": notify } }))).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
}
