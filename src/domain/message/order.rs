//! Which channel of a person is used first if she has not put hers into an order: for people who go to doors a text and then a call,
//! for people at a desk what stands on their screen (`notify.order_helpers`, `notify.order_staff`).

use super::Channel;
use crate::domain::place::Role;
use crate::domain::rules::NotifyRules;

/// Whether none of these roles sends her to a door. Somebody who also walks is reached on the way.
pub fn sits_at_desk(roles: &[Role]) -> bool {
    let desk =
        |role: &Role| matches!(role, Role::Administrator | Role::SocialWorker | Role::BranchSecretary | Role::StreetDuty | Role::Operator);
    !roles.is_empty() && roles.iter().all(desk)
}

/// The place of a channel in the order for people with these roles; what the site does not name comes last.
pub fn rank(rules: &NotifyRules, roles: &[Role], channel: &str) -> usize {
    let order = if sits_at_desk(roles) { &rules.order_staff } else { &rules.order_helpers };
    let known = order.iter().position(|word| word == channel);
    // The log is read by nobody: behind everything.
    known.unwrap_or(if channel == Channel::Log.as_str() { usize::MAX } else { usize::MAX - 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(roles: &[Role]) -> Vec<&'static str> {
        let rules = NotifyRules::default();
        let mut channels = vec!["log", "email", "aliyun_voice", "wecom_app", "aliyun_sms"];
        channels.sort_by_key(|channel| rank(&rules, roles, channel));
        channels
    }

    #[test]
    fn people_who_go_get_a_text_and_then_a_call_and_people_at_a_desk_their_app_first() {
        let going = ["aliyun_sms", "aliyun_voice", "wecom_app", "email", "log"];
        for roles in [&[Role::Volunteer][..], &[], &[Role::SocialWorker, Role::Volunteer], &[Role::PropertyStaff]] {
            assert_eq!(sorted(roles), going, "{roles:?}");
        }
        for roles in [&[Role::SocialWorker][..], &[Role::Administrator, Role::Operator]] {
            assert_eq!(sorted(roles), ["wecom_app", "aliyun_sms", "aliyun_voice", "email", "log"], "{roles:?}");
        }
    }
}
