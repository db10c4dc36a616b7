//! The outbox: notice → message → attempt. A notice is written with the alert that causes it; sealing makes one message of
//! what one person must read at one moment; a message is leased, sent outside any transaction, and settled.
//!
//! What must stay true:
//! - a row ends delivered at least once or `failed`, visibly, and then the alert is told at once (I11);
//! - a message keeps its key over all attempts (I12), and its body never changes after sealing;
//! - two instances never hold the same live lease (I5); a lease that ran out is taken over and its outcome counts as unknown.
//!
//! `jobs::deliver` drives it; `domain::message` decides.

/// Which rows of `member_channel c` carry messages at all: never an unsigned webhook, and of each channel only while this
/// installation has an account that works (see `store::channel_account`; the log works where `outbox.log_counts` says that
/// somebody reads it). A browser shows what another way carries, and never counts as somebody told ([`shows`]).
macro_rules! carries {
    () => {
        "(c.verified_at is not null and c.disabled_at is null and c.channel <> 'web_push'
          and (c.channel <> 'webhook' or c.secret_sealed is not null)
          and exists (select 1 from channel_account u where u.channel = c.channel and u.configured and u.fault_at is null))"
    };
}
pub(crate) use carries;

/// Which rows of `member_channel c` are browsers that show a copy of each message to their person.
macro_rules! shows {
    () => {
        "(c.channel = 'web_push' and c.verified_at is not null and c.disabled_at is null and c.secret_sealed is not null
          and exists (select 1 from channel_account u where u.channel = c.channel and u.configured and u.fault_at is null))"
    };
}

/// Which of them are not used up by the notice `n`.
///
/// `channels_tried` counts from the first channel of the person, also over channels that are switched off since, so that an
/// edit of the list in between never skips one.
macro_rules! usable_channel {
    () => {
        concat!(
            carries!(),
            " and n.channels_tried < (select count(*) from member_channel p where p.site_id = c.site_id and p.member_id = c.member_id
             and (p.position < c.position or (p.position = c.position and p.id <= c.id)))"
        )
    };
}

/// Whether the contact of the notice `n` has a channel left: the telephones of this installation in the order of
/// `OF_CONTACTS`, while she may be told.
macro_rules! reaches_contact {
    () => {
        concat!(
            "(n.recipient_kind = 'contact'
              and exists (select 1 from contact k where k.site_id = n.site_id and k.id = n.recipient_id and ",
            $crate::store::contact_call::agreed!(),
            ") and exists (select 1 from channel_account u where u.configured and u.tells_contacts and u.fault_at is null
                and ",
            rank_of_contacts!("u.channel"),
            " > n.channels_tried))"
        )
    };
}

/// `Channel::rank_of_contacts` of a column.
macro_rules! rank_of_contacts {
    ($channel:literal) => {
        concat!("case ", $channel, " when 'aliyun_sms' then 1 when 'tencent_sms' then 2 when 'aliyun_voice' then 3 else 0 end")
    };
}

/// The classes of notices that this version knows; a row with another word is broken and ends `failed` (I28).
macro_rules! known_class {
    () => {
        "('alert', 'stand_down', 'reminder', 'report')"
    };
}

/// A stand-down `n` waits for the alert that it takes back: the other way round somebody would go after all. An alert that
/// cannot be sent ends within its attempts, and then the stand-down goes.
macro_rules! before_its_alert {
    () => {
        "(n.class = 'stand_down' and exists (select 1 from notice t where t.site_id = n.site_id and t.alert_id = n.alert_id
             and t.recipient_id = n.recipient_id and t.class = 'alert' and t.state = 'sealed'))"
    };
}

/// Whether a person may have seen this message although nobody has said so: a second copy of hers is told from a first one.
macro_rules! in_doubt {
    ($message:literal) => {
        concat!(
            "(",
            $message,
            ".repeated or exists (select 1 from message_attempt d where d.site_id = ",
            $message,
            ".site_id and d.message_id = ",
            $message,
            ".id and d.outcome = 'ambiguous'))"
        )
    };
}

mod back;
mod fail;
mod lease;
mod leave;
mod limit;
pub mod receipt;
mod ring;
mod seal;
mod settle;

pub use fail::{Escalate, fail_unreachable};
pub use lease::{LEASE_RAN_OUT, Leased, Terms, lease, next_due, release};
pub use seal::{
    BUNDLE, Due, NOTICES_PER_PASS_MAX, NewMessage, Recipient, Route, claim_due, drop_useless, insert, next_call_no, recipients,
};
pub use settle::{Attempt, settle};

#[cfg(test)]
mod tests {
    use crate::domain::message::Channel;
    use crate::domain::message::channel::OF_CONTACTS;
    use crate::domain::notice::NoticeClass;

    #[test]
    fn contacts_are_told_in_one_order_everywhere() {
        for channel in OF_CONTACTS {
            assert!(rank_of_contacts!("c").contains(&format!("'{channel}' then {}", channel.rank_of_contacts())), "{channel}");
        }
        assert_eq!(Channel::ALL.iter().filter(|channel| channel.rank_of_contacts() > 0).count(), OF_CONTACTS.len());
    }

    #[test]
    fn every_class_is_known_to_the_outbox() {
        for class in NoticeClass::ALL {
            assert!(known_class!().contains(&format!("'{class}'")), "{class} is missing in known_class!");
        }
    }
}
