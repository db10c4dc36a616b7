//! Plays recorded messages against a broker, in the order in which they were received: rows of JSON lines with `topic`, `payload` or
//! `payload_b64`, `retain` and `recv_time`; whatever else a row says is left alone.
//!
//! Every message goes out at QoS 1 and is counted when it is acknowledged. A broker that hangs up over one message is asked once more;
//! then the message is named and the rest goes on.

use std::collections::VecDeque;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, FixedOffset};
use rumqttc::{Packet, Publish, QoS};
use serde::{Deserialize, Serialize};
use tokio::select;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::link::{Broker, Hello, Link, LinkError};

/// Messages under way at a time.
const WINDOW: usize = 16;
/// A message over which the connection broke so often is left out.
const TRIES_MAX: u8 = 2;
/// Connections in a row that bring nothing.
const FAILURES_MAX: u32 = 5;
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);
/// Within the keep-alive; an acknowledgement that takes longer will not come.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// One recorded message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// In the file, from 1.
    pub line: usize,
    pub topic: String,
    pub payload: Vec<u8>,
    pub retain: bool,
    /// Since the first message.
    pub after: Duration,
}

#[derive(Deserialize)]
struct Recorded {
    topic: String,
    payload: Option<String>,
    payload_b64: Option<String>,
    #[serde(default)]
    retain: bool,
    recv_time: Option<DateTime<FixedOffset>>,
}

#[derive(Clone, Debug)]
pub struct Player {
    pub broker: Broker,
    pub client_id: String,
    /// With its password.
    pub user: Option<(String, String)>,
    /// Before every topic.
    pub prefix: String,
    /// One message after the other, as fast as they are acknowledged.
    pub hurry: bool,
    /// A longer silence in the recording is cut to this.
    pub gap_max: Duration,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlayReport {
    pub messages: usize,
    pub sent: u64,
    pub acknowledged: u64,
    /// Sent again after the connection broke.
    pub resent: u64,
    /// No broker could be made to take them.
    pub left_out: Vec<LeftOut>,
    /// The end came before them.
    pub not_sent: usize,
    /// Why it ended early.
    pub error: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub line: usize,
    pub why: String,
}

/// Reads a recording, in order of time. A row without a time belongs to the one before it.
pub fn read(text: &str) -> Result<Vec<Row>, String> {
    let mut timed = Vec::new();
    let mut before = None;
    for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
        let recorded: Recorded = serde_json::from_str(text).map_err(|error| format!("line {line}: {error}"))?;
        let payload = match (recorded.payload, recorded.payload_b64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(text)) => STANDARD.decode(text).map_err(|error| format!("line {line}: payload_b64: {error}"))?,
            (None, None) => return Err(format!("line {line}: neither payload nor payload_b64")),
        };
        before = recorded.recv_time.or(before);
        timed.push((before, Row { line, topic: recorded.topic, payload, retain: recorded.retain, after: Duration::ZERO }));
    }
    // Stable: what came at the same time stays as it was written.
    timed.sort_by_key(|(at, _)| *at);
    let first = timed.iter().find_map(|(at, _)| *at);
    Ok(timed
        .into_iter()
        .map(|(at, row)| {
            let after = at.zip(first).and_then(|(at, first)| (at - first).to_std().ok()).unwrap_or_default();
            Row { after, ..row }
        })
        .collect())
}

struct Pending {
    row: Row,
    due: Instant,
    tries: u8,
}

/// Plays until all is acknowledged or named, the broker stays away, or `stop`.
pub async fn play(player: &Player, rows: Vec<Row>, stop: CancellationToken) -> PlayReport {
    let mut report = PlayReport { messages: rows.len(), ..PlayReport::default() };
    let mut queue = schedule(player, rows, &mut report);
    let mut failures = 0;
    while !queue.is_empty() && !stop.is_cancelled() {
        let before = (report.acknowledged, report.left_out.len());
        let ended = match Link::open(&player.broker, player.hello()).await {
            Ok(link) => converse(link, player, &mut queue, &mut report, &stop).await,
            Err(error) => Err(error),
        };
        let Err(error) = ended else { break };
        failures = if (report.acknowledged, report.left_out.len()) == before { failures + 1 } else { 0 };
        if failures >= FAILURES_MAX && !stop.is_cancelled() {
            report.error = Some(error.to_string());
            break;
        }
        sleep(RECONNECT_PAUSE).await;
    }
    report.not_sent = queue.len();
    report
}

impl Player {
    fn hello(&self) -> Hello {
        let (user, password) = self.user.clone().unzip();
        Hello { client_id: self.client_id.clone(), user: user.unwrap_or_default(), password, will: None, subscribe: None }
    }
}

fn schedule(player: &Player, rows: Vec<Row>, report: &mut PlayReport) -> VecDeque<Pending> {
    let (start, mut at, mut before) = (Instant::now(), Duration::ZERO, Duration::ZERO);
    let mut queue = VecDeque::new();
    for row in rows {
        if row.topic.is_empty() || row.topic.contains(['+', '#', '\0']) {
            report.left_out.push(LeftOut { line: row.line, why: "no broker carries this topic".to_owned() });
            continue;
        }
        if !player.hurry {
            at += row.after.saturating_sub(before).min(player.gap_max);
        }
        before = row.after;
        queue.push_back(Pending { row, due: start + at, tries: 0 });
    }
    queue
}

/// One connection. What it leaves unacknowledged goes back to the front of the queue.
async fn converse(
    mut link: Link,
    player: &Player,
    queue: &mut VecDeque<Pending>,
    report: &mut PlayReport,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    let mut flying: VecDeque<(u16, Pending)> = VecDeque::new();
    let result = loop {
        if queue.is_empty() && flying.is_empty() {
            break Ok(());
        }
        // Alone after a break, so that the one that breaks it can be told from its neighbours.
        let window =
            if flying.iter().map(|(_, pending)| pending).chain(queue.front()).any(|pending| pending.tries > 0) { 1 } else { WINDOW };
        let due = queue.front().map(|pending| pending.due).filter(|_| flying.len() < window);
        let happened = select! {
            biased;
            () = stop.cancelled() => break Ok(()),
            packet = link.receive() => packet.map(Some),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Ok(None),
            () = sleep(SILENCE_MAX) => {
                let alive = if flying.is_empty() { link.ping().await } else { Err(LinkError::Closed) };
                alive.map(|()| Some(Packet::PingResp))
            }
        };
        match happened {
            Err(error) => break Err(error),
            Ok(Some(Packet::PubAck(ack))) => {
                if let Some(at) = flying.iter().position(|(id, _)| *id == ack.pkid) {
                    flying.remove(at);
                    report.acknowledged += 1;
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                let Some(pending) = queue.pop_front() else { continue };
                let mut publish =
                    Publish::new(format!("{}{}", player.prefix, pending.row.topic), QoS::AtLeastOnce, pending.row.payload.clone());
                publish.retain = pending.row.retain;
                publish.dup = pending.tries > 0;
                link.number(&mut publish);
                if pending.tries == 0 {
                    report.sent += 1;
                } else {
                    report.resent += 1;
                }
                let id = publish.pkid;
                flying.push_back((id, pending));
                if let Err(error) = link.publish(publish).await {
                    break Err(error);
                }
            }
        }
    };
    match &result {
        Ok(()) => link.disconnect().await,
        Err(error) => {
            for (_, mut pending) in flying.into_iter().rev() {
                pending.tries += 1;
                if pending.tries >= TRIES_MAX {
                    report.left_out.push(LeftOut { line: pending.row.line, why: error.to_string() });
                } else {
                    queue.push_front(pending);
                }
            }
        }
    }
    result
}
