//! How many looks a second are taken over HTTP: batches of as many as one request may bring, one after the other, each answered
//! after its commit.

use std::time::Instant;

use chenlian::app::App;
use chenlian::store::session::{self, NewSession, SessionKind, Token};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::street::{BATCH, SENIORS, Street};
use super::{TimeDelta, local, ms};

const ROUNDS: usize = 3;

pub async fn measure(app: App) {
    let street = Street::planned(&app, "http://127.0.0.1:1/nobody?").await;
    let token = token(&app, street.world.site, street.world.primary).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/api/v1/signals", listener.local_addr().expect("bound"));
    let stop = CancellationToken::new();
    let serving = tokio::spawn(chenlian::http::serve(app.clone(), listener, stop.clone()));
    let client = reqwest::Client::new();
    let began = Instant::now();
    for _ in 0..ROUNDS {
        for seniors in street.seniors.chunks(BATCH) {
            let looks: Vec<_> = seniors
                .iter()
                .map(|senior| json!({ "id": Uuid::now_v7(), "senior_id": senior, "kind": "open", "observed_at": local("05:50:00") }))
                .collect();
            let sent = client.post(&url).bearer_auth(&token).json(&json!({ "signals": looks })).send().await.expect("it answers");
            assert!(sent.status().is_success(), "{} {}", sent.status(), sent.text().await.unwrap_or_default());
        }
    }
    let (took, looks) = (began.elapsed(), ROUNDS * SENIORS);
    let a_second = f64::from(u32::try_from(looks).expect("few")) / took.as_secs_f64();
    println!("  {looks} looks by HTTP, {BATCH} each: {a_second:.0} a second ({:.1} ms)", ms(took));
    stop.cancel();
    let _ = serving.await;
}

/// A sign-in of a member.
pub async fn token(app: &App, site_id: Uuid, member_id: Uuid) -> String {
    let now = app.clock.now();
    app.write(move |mut tx| async move {
        let token = Token::random();
        let new = NewSession {
            site_id,
            id: Uuid::now_v7(),
            member_id,
            kind: SessionKind::Bearer,
            label: "bench",
            created_at: now,
            authenticated_at: Some(now),
            expires_at: now + TimeDelta::days(1),
        };
        session::create(&mut tx, &new, &token.hash()).await?;
        Ok((tx, token.text().to_owned()))
    })
    .await
    .expect("a token is made")
}
