//! What one person reads at one moment: all her notices as few sentences, each a key with arguments.
//!
//! Nothing here is text; `notify::compose` renders it. A message names senior, building and unit: no room, no health (I34).
//! It is bounded whatever happens in a street: at most [`SENTENCES_MAX`] sentences with [`NAMES_MAX`] names each, then a count.
//! What becomes of a message after an attempt is decided in [`retry`].

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::notice::{Arguments, NoticeClass};

pub mod address;
pub mod brief;
pub mod channel;
pub mod elsewhere;
pub mod journey;
pub mod limit;
pub mod order;
pub mod receipt;
pub mod retry;

pub use channel::Channel;

/// Bytes of a signing key, as Standard Webhooks says.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The bytes of a signing key as people paste it, `whsec_` and base64; `None` if nothing can be signed with it.
pub fn signing_key(text: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(text.trim().strip_prefix("whsec_")?).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

/// Names in one sentence; the rest is a number.
pub const NAMES_MAX: usize = 12;
/// Sentences in one message; the rest is a number.
pub const SENTENCES_MAX: usize = 6;

/// One notice, as far as its sentence asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Two notices of one alert with the same key are one mention.
    pub alert_id: Option<Uuid>,
    pub key: String,
    pub arguments: Arguments,
}

/// The sentences of one message, most urgent first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Composed {
    pub sentences: Vec<Sentence>,
    /// Households in sentences that found no room.
    pub more: usize,
    /// The service was down from–to, which explains why the message is late.
    pub outage: Option<(String, String)>,
}

impl Composed {
    /// What is said by itself, beside every notice.
    pub fn one(key: &str, arguments: Arguments) -> Self {
        let sentence = Sentence { key: key.to_owned(), arguments, units: Vec::new(), count: 0 };
        Self { sentences: vec![sentence], ..Self::default() }
    }
}

/// One sentence: the arguments of its key, and the people it lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    pub key: String,
    pub arguments: Arguments,
    pub units: Vec<UnitGroup>,
    /// All whom the sentence is about, also those beyond [`NAMES_MAX`].
    pub count: usize,
}

/// The people of one unit (单元), by cause, in the order of urgency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitGroup {
    pub building: String,
    pub unit: String,
    pub causes: Vec<Alike>,
}

/// People of whom the same is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alike {
    pub cause: String,
    /// An absence that excused nothing: the word of it, and who reported it.
    pub remark: Option<(String, String)>,
    pub names: Vec<String>,
}

/// Which goes first when there is too much for one pass: calls for help, alerts, stand-downs, reminders, reports.
pub fn priority(class: NoticeClass, key: &str) -> i64 {
    match class {
        _ if key.starts_with("notice.help_") => 0,
        NoticeClass::Alert => 1,
        NoticeClass::StandDown => 2,
        NoticeClass::Reminder => 3,
        NoticeClass::Report => 4,
    }
}

/// Keys in the order in which a person should read them; keys that are not listed come last.
const READING_ORDER: [&str; 44] = [
    "notice.help_call",
    "notice.help_door",
    "notice.help_night",
    "notice.help_final",
    "notice.help_command",
    "notice.help_enter",
    "notice.help_family",
    "notice.help_contact",
    "notice.help_contact_cannot",
    "notice.help_contact_going",
    "notice.help_contact_reached",
    "notice.help_assigned",
    "notice.help_open_again",
    "notice.help_refused",
    "notice.help_refused_bound",
    "notice.help_refused_unbound",
    "notice.assigned",
    "notice.assigned_unreachable",
    "notice.open_again",
    "notice.alert_final",
    "notice.alert_command",
    "notice.alert_enter",
    "notice.alert_family",
    "notice.contact",
    "notice.contact_cannot",
    "notice.contact_going",
    "notice.contact_reached",
    "notice.alert_door",
    "notice.manual_call",
    "notice.alert_call",
    "notice.alert_again",
    "notice.alert_look",
    "notice.alert_confirm",
    "notice.claim_ran_out",
    "notice.step_found_nobody",
    "notice.step_unheard",
    "notice.passed_on",
    "notice.stand_down_well",
    "notice.stand_down_handled",
    "notice.remind_round",
    "notice.remind_last",
    "notice.remind_again",
    "notice.remind_return",
    "notice.remind_proposed",
];

/// Causes in the order of urgency: somebody looked and the sign was missing comes before nobody looked.
const CAUSES: [&str; 6] = ["help", "cry", "manual", "not_open", "blind", "not_observed"];

fn rank(list: &[&str], word: &str) -> usize {
    list.iter().position(|known| *known == word).unwrap_or(list.len())
}

/// Groups the notices of one person and moment by key and building.
pub fn compose(items: &[Item]) -> Composed {
    let mut groups: BTreeMap<(usize, &str, String), Vec<&Item>> = BTreeMap::new();
    let mut known = BTreeSet::new();
    for (position, item) in items.iter().enumerate() {
        if item.alert_id.is_some_and(|alert| !known.insert((alert, item.key.as_str()))) {
            continue;
        }
        groups.entry((rank(&READING_ORDER, &item.key), &item.key, place_of(item, position))).or_default().push(item);
    }
    let mut sentences: Vec<Sentence> = groups.values().map(|group| sentence(group)).collect();
    let more = sentences.iter().skip(SENTENCES_MAX).map(|sentence| sentence.count).sum();
    sentences.truncate(SENTENCES_MAX);
    Composed { sentences, more, outage: items.iter().find_map(outage) }
}

/// What shares a sentence: alerts one building, stand-downs everything, reminders and reports nothing.
fn place_of(item: &Item, position: usize) -> String {
    match (item.alert_id, item.key.as_str()) {
        (_, "notice.stand_down_well" | "notice.stand_down_handled") => String::new(),
        (Some(_), _) => argument(item, "building").to_owned(),
        (None, _) => format!("{position:06}"),
    }
}

fn argument<'a>(item: &'a Item, name: &str) -> &'a str {
    item.arguments.get(name).map_or("", String::as_str)
}

fn outage(item: &Item) -> Option<(String, String)> {
    Some((item.arguments.get("outage_from")?.clone(), item.arguments.get("outage_to")?.clone()))
}

fn sentence(group: &[&Item]) -> Sentence {
    let first = group[0];
    if first.alert_id.is_none() {
        return plain(first);
    }
    let mut people = group.to_vec();
    people.sort_by_cached_key(|item| (unit_rank(group, item), unit_order(item), rank(&CAUSES, argument(item, "cause"))));
    let mut units: Vec<UnitGroup> = Vec::new();
    for item in people.into_iter().take(NAMES_MAX) {
        list(&mut units, item);
    }
    let mut arguments = Arguments::from([("building".to_owned(), argument(first, "building").to_owned())]);
    if let Some(slot) = first.arguments.get("slot") {
        arguments.insert("slot".to_owned(), slot.clone());
    }
    Sentence { key: first.key.clone(), arguments, units, count: group.len() }
}

/// The unit whose worst cause is more urgent is named first.
fn unit_rank(group: &[&Item], of: &Item) -> usize {
    let same = group.iter().filter(|item| home_of(item) == home_of(of));
    same.map(|item| rank(&CAUSES, argument(item, "cause"))).min().unwrap_or(CAUSES.len())
}

fn home_of(item: &Item) -> (&str, &str) {
    (argument(item, "building"), argument(item, "unit"))
}

/// 2单元 comes before 10单元.
fn unit_order(item: &Item) -> (String, u64, String) {
    let (building, unit) = home_of(item);
    let digits: String = unit.chars().take_while(char::is_ascii_digit).collect();
    (building.to_owned(), digits.parse().unwrap_or(u64::MAX), unit.to_owned())
}

fn list(units: &mut Vec<UnitGroup>, item: &Item) {
    let (building, unit) = home_of(item);
    if units.last().is_none_or(|last| (last.building.as_str(), last.unit.as_str()) != (building, unit)) {
        units.push(UnitGroup { building: building.to_owned(), unit: unit.to_owned(), causes: Vec::new() });
    }
    let Some(UnitGroup { causes, .. }) = units.last_mut() else { return };
    let (cause, senior) = (argument(item, "cause"), argument(item, "senior").to_owned());
    let remark = item.arguments.get("remark").map(|word| (word.clone(), argument(item, "reported_by").to_owned()));
    match causes.last_mut() {
        Some(same) if same.cause == cause && same.remark == remark => same.names.push(senior),
        _ => causes.push(Alike { cause: cause.to_owned(), remark, names: vec![senior] }),
    }
}

/// A reminder or report: its own arguments, and the variant that leaves out what is zero.
fn plain(item: &Item) -> Sentence {
    let none = |name| matches!(argument(item, name), "" | "0");
    let variant = match item.key.as_str() {
        "notice.remind_last" if none("again") => "notice.remind_last_look",
        "notice.remind_last" if none("count") => "notice.remind_last_again",
        "notice.proof" if !none("unheard") => "notice.proof_unheard",
        other => other,
    };
    let count = argument(item, "count").parse().unwrap_or(1);
    Sentence { key: variant.to_owned(), arguments: item.arguments.clone(), units: Vec::new(), count }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u128, key: &str, building: &str, unit: &str, senior: &str, cause: &str) -> Item {
        let arguments = [("building", building), ("unit", unit), ("senior", senior), ("cause", cause)];
        Item {
            alert_id: Some(Uuid::from_u128(n)),
            key: key.to_owned(),
            arguments: arguments.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }
    }

    #[test]
    fn a_signing_key_has_its_prefix_and_a_length_that_cannot_be_guessed() {
        let pasted = |bytes: usize| format!("whsec_{}\n", STANDARD.encode(vec![7; bytes]));
        assert_eq!(signing_key(&pasted(24)), Some(vec![7; 24]));
        assert_eq!(signing_key(&pasted(64)), Some(vec![7; 64]));
        for unusable in [pasted(23), pasted(65), STANDARD.encode([7; 32]), "whsec_".to_owned(), "whsec_no base64!".to_owned()] {
            assert_eq!(signing_key(&unusable), None, "{unusable}");
        }
    }

    #[test]
    fn those_looked_at_come_before_those_nobody_looked_at_and_units_in_the_order_of_numbers() {
        let composed = compose(&[
            item(1, "notice.alert_call", "3号楼", "3单元", "赵奶奶", "not_observed"),
            item(2, "notice.alert_call", "3号楼", "10单元", "孙爷爷", "not_open"),
            item(3, "notice.alert_call", "3号楼", "2单元", "张奶奶", "not_open"),
            item(4, "notice.alert_call", "3号楼", "2单元", "李爷爷", "not_open"),
        ]);
        let [only] = composed.sentences.as_slice() else { panic!("{composed:?}") };
        let said = |unit: &UnitGroup| unit.causes.iter().map(|alike| (alike.cause.clone(), alike.names.clone())).collect::<Vec<_>>();
        let read: Vec<String> = only.units.iter().map(|unit| format!("{}{:?}", unit.unit, said(unit))).collect();
        assert_eq!(
            read,
            [
                r#"2单元[("not_open", ["张奶奶", "李爷爷"])]"#,
                r#"10单元[("not_open", ["孙爷爷"])]"#,
                r#"3单元[("not_observed", ["赵奶奶"])]"#
            ]
        );
        assert_eq!(only.count, 4);
    }

    #[test]
    fn buildings_and_acts_have_their_own_sentences_and_a_call_for_help_is_read_first() {
        let composed = compose(&[
            item(1, "notice.alert_look", "3号楼", "1", "甲", "not_observed"),
            item(2, "notice.alert_call", "3号楼", "1", "乙", "not_open"),
            item(3, "notice.alert_call", "1号楼", "1", "丙", "not_open"),
            item(4, "notice.help_call", "9号楼", "1", "丁", "help"),
        ]);
        let read: Vec<(&str, &str)> =
            composed.sentences.iter().map(|sentence| (sentence.key.as_str(), sentence.arguments["building"].as_str())).collect();
        assert_eq!(
            read,
            [("notice.help_call", "9号楼"), ("notice.alert_call", "1号楼"), ("notice.alert_call", "3号楼"), ("notice.alert_look", "3号楼")]
        );
    }

    #[test]
    fn a_whole_street_fits_one_message_and_nobody_is_forgotten_in_its_count() {
        let items: Vec<Item> =
            (0..400).map(|n| item(n, "notice.alert_call", &format!("{}号楼", n % 20), "1", &format!("老人{n}"), "not_observed")).collect();
        let composed = compose(&items);
        assert_eq!(composed.sentences.len(), SENTENCES_MAX);
        let named = |sentence: &Sentence| sentence.units.iter().flat_map(|u| &u.causes).map(|alike| alike.names.len()).sum::<usize>();
        assert!(composed.sentences.iter().all(|sentence| named(sentence) == NAMES_MAX && sentence.count == 20));
        assert_eq!(composed.sentences.iter().map(|sentence| sentence.count).sum::<usize>() + composed.more, 400);
    }

    #[test]
    fn the_same_senior_is_named_once_although_two_rungs_used_the_same_sentence() {
        let again = item(1, "notice.alert_final", "3号楼", "1", "甲", "not_open");
        let composed = compose(&[again.clone(), again.clone(), item(2, "notice.alert_final", "3号楼", "1", "甲", "not_open")]);
        assert_eq!(composed.sentences[0].count, 2, "two seniors may share a name, one alert is one senior");
    }

    #[test]
    fn reminders_leave_out_what_is_zero_and_stay_apart() {
        let remind = |count: &str, again: &str| Item {
            alert_id: None,
            key: "notice.remind_last".to_owned(),
            arguments: Arguments::from([("count".to_owned(), count.to_owned()), ("again".to_owned(), again.to_owned())]),
        };
        let composed = compose(&[remind("2", "1"), remind("2", "0"), remind("0", "1")]);
        let keys: Vec<&str> = composed.sentences.iter().map(|sentence| sentence.key.as_str()).collect();
        assert_eq!(keys, ["notice.remind_last", "notice.remind_last_look", "notice.remind_last_again"]);
    }
}
