//! How much one address takes (channels.md: what WeCom gets beyond its limit it drops and says that all is well; a telephone that
//! has been rung too often is barred). What exceeds waits its turn; nothing is dropped.

use chrono::{DateTime, Utc};

use super::channel::Limit;

/// When one more may go, given when the others went; `None` if at once. Times in the future are taken as they are.
pub fn free_at(limits: &[Limit], gone: &[DateTime<Utc>], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut gone = gone.to_vec();
    gone.sort_unstable_by(|a, b| b.cmp(a));
    let turns = limits.iter().filter_map(|limit| {
        // The oldest of those that fill the limit must have left its window.
        let oldest = gone.get(limit.most.checked_sub(1)?)?;
        Some(*oldest + limit.within).filter(|free| *free > now)
    });
    turns.max()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::message::Channel;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(100_000 + seconds)
    }

    fn check(channel: Channel, gone: &[i64], expected: Option<i64>) {
        let gone: Vec<DateTime<Utc>> = gone.iter().map(|second| at(*second)).collect();
        assert_eq!(free_at(channel.limits(), &gone, at(0)), expected.map(at), "{channel} {gone:?}");
    }

    #[test]
    fn a_telephone_rings_once_a_minute_five_times_an_hour_and_twenty_times_a_day() {
        check(Channel::AliyunVoice, &[], None);
        check(Channel::AliyunVoice, &[-60], None);
        check(Channel::AliyunVoice, &[-59], Some(1));
        check(Channel::AliyunVoice, &[0], Some(60));
        check(Channel::AliyunVoice, &[-3_000, -2_000, -1_000, -500, -100], Some(600));
        check(Channel::AliyunVoice, &[-3_601, -2_000, -1_000, -500, -100], None);
        let twenty: Vec<i64> = (1..=20).map(|hour| -hour * 4_000).collect();
        check(Channel::AliyunVoice, &twenty, Some(86_400 - 80_000));
    }

    #[test]
    fn a_member_of_wecom_gets_thirty_a_minute_and_a_channel_without_limits_waits_for_nothing() {
        let half_a_minute: Vec<i64> = (0..30).map(|n| -n).collect();
        check(Channel::WecomApp, &half_a_minute[..29], None);
        check(Channel::WecomApp, &half_a_minute, Some(31));
        check(Channel::Webhook, &half_a_minute, None);
    }
}
