//! A message leaves its channel: its notices go on to the person's next one, back to one that had only paused, or fail (I11).

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::back::{self, Back};
use super::lease::Leased;
use crate::domain::message::Channel;
use crate::domain::message::elsewhere::Elsewhere;
use crate::domain::notice::RecipientKind;
use crate::on;
use crate::store::{Result, Tx, channel_account};

/// Site, member or contact.
pub(super) type Person = (Uuid, Uuid, RecipientKind);

/// A message as far as leaving its channel asks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carrier<'a> {
    pub id: Uuid,
    pub person: Person,
    pub channel_id: Option<Uuid>,
    pub channel: &'a str,
}

impl<'a> Carrier<'a> {
    pub fn of(leased: &'a Leased) -> Self {
        Self { id: leased.id, person: leased.person(), channel_id: leased.channel_id, channel: &leased.channel }
    }
}

/// What is left for the person beside this message.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// How many of her channels have been tried, this one included.
    used: i64,
    untried: bool,
    /// The notices that an earlier message may carry again.
    backs: Vec<Back>,
    notices: usize,
    /// That all of her channels have been tried is new.
    is_news: bool,
}

impl Rest {
    pub fn elsewhere(&self) -> Elsewhere {
        match self.backs.iter().map(|back| back.at).min() {
            _ if self.untried => Elsewhere::Untried,
            Some(at) => Elsewhere::Paused(at),
            None => Elsewhere::Nowhere,
        }
    }

    /// Whether no notice needs this message any more once the earlier ones carry what they can.
    pub fn is_left_by_all(&self) -> bool {
        self.backs.len() == self.notices
    }
}

/// Looks at the sealed notices of a message, and at what else could carry them.
pub(super) async fn rest(tx: &mut Tx, carrier: &Carrier<'_>, now: DateTime<Utc>) -> Result<Rest> {
    let site_id = carrier.person.0;
    let sql = "select id, channels_tried from notice where site_id = $1 and message_id = $2 and state = 'sealed'";
    let notices: Vec<(Uuid, i64)> = on!(tx, |conn| sqlx::query_as(sql).bind(site_id).bind(carrier.id).fetch_all(conn).await)?;
    let tried = notices.iter().map(|(_, tried)| *tried).max().unwrap_or(0);
    // Without a place the list cannot say how far it was: one more, so that it ends.
    let used = match rank(tx, carrier.person, carrier.channel_id, carrier.channel).await? {
        0 => tried + 1,
        rank => rank.max(tried),
    };
    let untried = has_channel_after(tx, carrier.person, used).await?;
    let rows: Vec<Value> = notices.iter().map(|(id, _)| json!({ "site": site_id, "id": id })).collect();
    let backs = if untried { Vec::new() } else { back::of_notices(tx, &rows, carrier.id, now).await? };
    Ok(Rest { used, untried, backs, notices: notices.len(), is_news: notices.iter().any(|(_, tried)| *tried < used) })
}

/// Takes its notices from the message. `stays`: it waits itself, and keeps those that nothing else can carry. Returns whether the rungs
/// behind it have to hear of it.
pub(super) async fn leave(tx: &mut Tx, carrier: &Carrier<'_>, rest: &Rest, stays: bool, now: DateTime<Utc>) -> Result<bool> {
    match rest.elsewhere() {
        Elsewhere::Untried => {
            requeue(tx, carrier, rest.used, now).await?;
            return Ok(false);
        }
        Elsewhere::Paused(_) => {
            cancel_needless(tx, carrier, now).await?;
            back::go(tx, &rest.backs, rest.used).await?;
        }
        Elsewhere::Nowhere => {}
    }
    if stays {
        return wait(tx, carrier, rest).await;
    }
    let failed = fail(tx, carrier, rest.used).await?;
    Ok(failed > 0 || rest.is_news)
}

/// The message waits, and no channel of the person is left to be tried. Returns whether that is new.
pub(super) async fn wait(tx: &mut Tx, carrier: &Carrier<'_>, rest: &Rest) -> Result<bool> {
    let sql = "update notice set channels_tried = $3 where site_id = $1 and message_id = $2 and state = 'sealed' and channels_tried < $3";
    on!(tx, |conn| sqlx::query(sql).bind(carrier.person.0).bind(carrier.id).bind(rest.used).execute(conn).await.map(|_| ()))?;
    Ok(rest.is_news)
}

/// The place of a channel in the person's list; 0 if its row is gone.
pub(super) async fn rank(tx: &mut Tx, (site_id, _, kind): Person, channel_id: Option<Uuid>, channel: &str) -> Result<i64> {
    if kind == RecipientKind::Contact {
        return Ok(channel.parse::<Channel>().map_or(0, Channel::rank_of_contacts));
    }
    let sql = "select count(*) from member_channel p
        join member_channel c on c.site_id = p.site_id and c.member_id = p.member_id
          and (p.position < c.position or (p.position = c.position and p.id <= c.id))
        where c.site_id = $1 and c.id = $2";
    Ok(on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(channel_id).fetch_one(conn).await)?)
}

async fn has_channel_after(tx: &mut Tx, (site_id, member_id, kind): Person, rank: i64) -> Result<bool> {
    if kind == RecipientKind::Contact {
        return Ok(channel_account::of_contacts(tx).await?.into_iter().any(|channel| channel.rank_of_contacts() > rank));
    }
    let sql = concat!(
        "select count(*) from (select cast($3 as bigint) as channels_tried) n, member_channel c
         join member m on m.site_id = c.site_id and m.id = c.member_id and m.ended_at is null
         where c.site_id = $1 and c.member_id = $2 and ",
        usable_channel!()
    );
    let count: i64 = on!(tx, |conn| sqlx::query_scalar(sql).bind(site_id).bind(member_id).bind(rank).fetch_one(conn).await)?;
    Ok(count > 0)
}

/// What nobody needs any more, because the alert ended or somebody went while this channel was being tried (L4 and L5 are told whoever
/// goes).
macro_rules! needless {
    () => {
        "(class = 'alert' and exists (select 1 from alert a where a.site_id = notice.site_id and a.id = notice.alert_id
            and (a.resolved_at is not null or (a.claim_until > $3 and notice.level < 4))))"
    };
}

async fn cancel_needless(tx: &mut Tx, carrier: &Carrier<'_>, now: DateTime<Utc>) -> Result<()> {
    let sql =
        concat!("update notice set state = 'cancelled' where site_id = $1 and message_id = $2 and state = 'sealed' and ", needless!());
    on!(tx, |conn| sqlx::query(sql).bind(carrier.person.0).bind(carrier.id).bind(now).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Back to be sealed for the next channel.
async fn requeue(tx: &mut Tx, carrier: &Carrier<'_>, used: i64, now: DateTime<Utc>) -> Result<()> {
    let sql = concat!(
        "update notice set channels_tried = case when $4 > channels_tried then $4 else channels_tried end, state = case when ",
        needless!(),
        " then 'cancelled' else 'pending' end
        where site_id = $1 and message_id = $2 and state = 'sealed'"
    );
    on!(tx, |conn| sqlx::query(sql).bind(carrier.person.0).bind(carrier.id).bind(now).bind(used).execute(conn).await.map(|_| ()))?;
    Ok(())
}

async fn fail(tx: &mut Tx, carrier: &Carrier<'_>, used: i64) -> Result<u64> {
    let sql = "update notice set state = 'failed', channels_tried = case when $3 > channels_tried then $3 else channels_tried end
        where site_id = $1 and message_id = $2 and state = 'sealed'";
    Ok(on!(tx, |conn| sqlx::query(sql).bind(carrier.person.0).bind(carrier.id).bind(used).execute(conn).await?.rows_affected()))
}
