//! Renders a composed message as the text that one person reads, in that person's language.

use std::collections::BTreeMap;

use crate::domain::message::brief::{self, Brief, Template};
use crate::domain::message::{Alike, Composed, NAMES_MAX, Sentence, UnitGroup};
use crate::domain::notice::NoticeClass;
use crate::text;

/// To whom and how.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// 王师傅
    pub called: &'a str,
    pub locale: &'static str,
    /// Said on every message of a drill, before everything else.
    pub drill: bool,
    /// Where the person taps; `None` without `http.public_url`.
    pub link: Option<&'a str>,
}

type Filled = BTreeMap<String, String>;

pub fn render(letter: &Letter<'_>, composed: &Composed) -> String {
    let say = |key: &str, arguments: &[(&str, &str)]| {
        let arguments: Filled = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        text::render(letter.locale, key, &arguments)
    };
    let mut parts: Vec<String> = composed.sentences.iter().map(|sentence| render_sentence(letter.locale, sentence)).collect();
    if composed.more > 0 {
        parts.push(say("notice.more", &[("count", &composed.more.to_string())]));
    }
    if let Some((from, to)) = &composed.outage {
        parts.push(say("notice.outage", &[("from", from), ("to", to)]));
    }
    let mut text = if letter.drill { say("notice.drill", &[]) } else { String::new() };
    if let Some(greeting) = composed.sentences.first().and_then(greeting) {
        text.push_str(&say(greeting, &[("called", letter.called)]));
    }
    let together = parts.into_iter().reduce(|first, second| say("notice.two", &[("first", &first), ("second", &second)]));
    text.push_str(&together.unwrap_or_default());
    if let Some(url) = letter.link {
        text.push_str(&say("notice.link", &[("url", url)]));
    }
    text
}

/// The same in the arguments of a template.
pub fn brief(letter: &Letter<'_>, class: NoticeClass, composed: &Composed) -> Brief {
    let places = brief::places(composed);
    let place = match places.as_slice() {
        [] => text::plain(letter.locale, "notice.brief.everywhere"),
        [one] => (*one).to_owned(),
        [first, ..] => {
            let arguments = Filled::from([("place".to_owned(), (*first).to_owned()), ("count".to_owned(), places.len().to_string())]);
            text::render(letter.locale, "notice.brief.places", &arguments)
        }
    };
    Brief {
        template: brief::template(class, letter.drill, composed),
        called: letter.called.to_owned(),
        place,
        count: brief::households(composed),
        link: brief::path(letter.link),
        code: None,
    }
}

/// The heading of a message.
pub fn title(locale: &'static str, template: Template) -> String {
    text::plain(locale, &format!("notice.title.{template}"))
}

/// Short follow-ups begin without a greeting.
fn greeting(first: &Sentence) -> Option<&'static str> {
    match first.key.as_str() {
        "notice.remind_round" if is_evening(first) => Some("notice.greeting_evening"),
        "notice.remind_round" => Some("notice.greeting_morning"),
        key if brief::of_contact(key).is_some() => None,
        key if key.starts_with("notice.remind_") || key.starts_with("notice.stand_down_") => None,
        _ => Some("notice.greeting"),
    }
}

fn is_evening(sentence: &Sentence) -> bool {
    let named = sentence.arguments.get("slot").is_some_and(|slot| slot == "evening");
    let by_deadline = sentence.arguments.get("deadline").and_then(|time| time.split(':').next()?.parse::<u8>().ok());
    named || by_deadline.is_some_and(|hour| hour >= 12)
}

fn render_sentence(locale: &'static str, sentence: &Sentence) -> String {
    let mut arguments: Filled = sentence.arguments.clone();
    let slot = if is_evening(sentence) { "evening" } else { "morning" };
    for name in ["when", "today"] {
        arguments.insert(name.to_owned(), text::plain(locale, &format!("notice.{name}.{slot}")));
    }
    if let Some(word) = arguments.get_mut("channel") {
        *word = text::plain(locale, &format!("channel.name_{word}"));
    }
    if let Some(number) = arguments.get_mut("unit") {
        *number = unit(locale, number);
    }
    if let Some(counts) = arguments.get_mut("buildings") {
        *counts = buildings(locale, counts);
    }
    if !sentence.units.is_empty() {
        let causes_shown = shows_causes(&sentence.key);
        arguments.insert("count".to_owned(), sentence.count.to_string());
        arguments.insert("people".to_owned(), people(locale, sentence, causes_shown));
        arguments.insert("homes".to_owned(), homes(locale, &sentence.units));
    }
    blank_missing(&text::render(locale, &sentence.key, &arguments))
}

/// Whether a sentence says after each name what was seen; the others say it for all.
fn shows_causes(key: &str) -> bool {
    let for_all =
        ["alert_look", "alert_confirm", "manual_call", "stand_down_well", "passed_on", "assigned", "help_assigned", "claim_ran_out"];
    let of_family = |name: &str| name.trim_start_matches("help_").starts_with("contact_");
    !key.strip_prefix("notice.").is_some_and(|name| for_all.contains(&name) || of_family(name))
}

/// 2单元张奶奶、李爷爷（看过，没拉开），3单元赵奶奶（还没人看）
fn people(locale: &'static str, sentence: &Sentence, causes_shown: bool) -> String {
    let (comma, semicolon) = (text::plain(locale, "notice.people.names"), text::plain(locale, "notice.people.units"));
    let by_name = sentence.key == "notice.stand_down_well";
    let mut listed = 0;
    let units: Vec<String> = sentence
        .units
        .iter()
        .map(|group| {
            let causes: Vec<String> = group
                .causes
                .iter()
                .map(|alike| {
                    listed += alike.names.len();
                    let names = alike.names.join(&comma);
                    match said_of(locale, alike, causes_shown) {
                        None => names,
                        Some(said) => text::render(locale, "notice.people.cause", &BTreeMap::from([("names", names), ("cause", said)])),
                    }
                })
                .collect();
            let people = causes.join(&comma);
            if by_name {
                return people;
            }
            text::render(locale, "notice.people.unit", &BTreeMap::from([("unit", unit(locale, &group.unit)), ("people", people)]))
                .trim_start()
                .to_owned()
        })
        .collect();
    let people = units.join(if by_name { &comma } else { &semicolon });
    if listed == sentence.count {
        return people;
    }
    text::render(locale, "notice.people.etc", &BTreeMap::from([("people", people), ("count", sentence.count.to_string())]))
}

/// What stands in brackets after a name: what was seen, and what is said of an absence.
fn said_of(locale: &'static str, alike: &Alike, causes_shown: bool) -> Option<String> {
    let worded = |key: String, arguments: &Filled| Some(text::render(locale, &key, arguments)).filter(|text| *text != key);
    let cause = worded(format!("notice.cause.{}", alike.cause), &Filled::new()).filter(|_| causes_shown);
    let remark = alike.remark.as_ref().and_then(|(word, reported_by)| {
        worded(format!("notice.remark.{word}"), &Filled::from([("reported_by".to_owned(), reported_by.clone())]))
    });
    match (cause, remark) {
        (Some(cause), Some(remark)) => {
            Some(text::render(locale, "notice.people.remark", &BTreeMap::from([("cause", cause), ("remark", remark)])))
        }
        (cause, remark) => cause.or(remark),
    }
}

/// 3号楼2单元、5号楼1单元: no name, because it may tell what happened.
fn homes(locale: &'static str, units: &[UnitGroup]) -> String {
    let homes: Vec<String> = units
        .iter()
        .map(|group| {
            let arguments = BTreeMap::from([("building", group.building.clone()), ("unit", unit(locale, &group.unit))]);
            text::render(locale, "notice.people.home", &arguments).trim_end().to_owned()
        })
        .collect();
    homes.join(&text::plain(locale, "notice.people.names"))
}

/// 3号楼2位，5号楼1位: from the JSON that a notice keeps, `[["3号楼",2],["5号楼",1]]`.
fn buildings(locale: &'static str, counts: &str) -> String {
    let counts: Vec<(String, i64)> = serde_json::from_str(counts).unwrap_or_default();
    let one = |(building, count): &(String, i64)| {
        let arguments = BTreeMap::from([("building", building.clone()), ("count", count.to_string())]);
        text::render(locale, "notice.unresolved_building", &arguments)
    };
    let named: Vec<String> = counts.iter().take(NAMES_MAX).map(one).collect();
    let named = named.join(&text::plain(locale, "notice.people.units"));
    if counts.len() <= NAMES_MAX {
        return named;
    }
    text::render(locale, "notice.unresolved_etc", &BTreeMap::from([("buildings", named), ("count", counts.len().to_string())]))
}

/// Registers hold "2" or "2单元".
fn unit(locale: &'static str, unit: &str) -> String {
    if unit.is_empty() || !unit.chars().all(|digit| digit.is_ascii_digit()) {
        return unit.to_owned();
    }
    text::render(locale, "notice.people.unit_number", &BTreeMap::from([("unit", unit)]))
}

/// An argument that a notice does not have is a dash for the reader, never a placeholder.
fn blank_missing(sentence: &str) -> String {
    let mut out = String::with_capacity(sentence.len());
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once("%{") {
        out.push_str(before);
        let Some((_, tail)) = after.split_once('}') else { break };
        out.push('—');
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::message::{Item, compose};

    const LETTER: Letter<'_> = Letter { called: "王师傅", locale: "zh-CN", drill: false, link: None };

    fn alert(n: u128, key: &str, unit: &str, senior: &str, cause: &str) -> Item {
        let arguments = [("building", "3号楼"), ("unit", unit), ("senior", senior), ("cause", cause)];
        item(Some(Uuid::from_u128(n)), key, &arguments)
    }

    fn item(alert_id: Option<Uuid>, key: &str, arguments: &[(&str, &str)]) -> Item {
        let arguments = arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Item { alert_id, key: format!("notice.{key}"), arguments }
    }

    fn check(items: &[Item], expected: &str) {
        assert_eq!(render(&LETTER, &compose(items)), expected);
    }

    #[test]
    fn three_seniors_of_one_building_are_one_sentence_that_says_who_was_looked_at() {
        check(
            &[
                alert(1, "alert_call", "2单元", "张奶奶", "not_open"),
                alert(2, "alert_call", "2单元", "李爷爷", "not_open"),
                alert(3, "alert_call", "3", "赵奶奶", "not_observed"),
            ],
            "王师傅，3号楼有3位老人早上还没报平安：2单元张奶奶、李爷爷（看过，没拉开），3单元赵奶奶（还没人看）。请先打电话，再敲门。",
        );
    }

    #[test]
    fn what_is_said_of_an_absence_stands_behind_the_name_also_where_the_sentence_tells_the_cause_of_all() {
        let said = |mut item: Item, word: &str| {
            item.arguments.insert("remark".to_owned(), word.to_owned());
            item.arguments.insert("reported_by".to_owned(), "女儿".to_owned());
            item
        };
        check(
            &[
                said(alert(1, "alert_call", "2单元", "张奶奶", "not_open"), "return_in_doubt"),
                alert(2, "alert_call", "2单元", "李爷爷", "not_open"),
            ],
            "王师傅，3号楼有2位老人早上还没报平安：2单元张奶奶（看过，没拉开；刚到回来的日子，没有人确认，请先给女儿打电话）、李爷爷（看过，没拉开）。请先打电话，再敲门。",
        );
        check(
            &[said(alert(1, "alert_look", "2单元", "张奶奶", "not_observed"), "proposed")],
            "王师傅，3号楼今早还有1户没人看窗，请离得近的同志到楼下看一眼。（2单元张奶奶（女儿说不在家，还没有人确认））",
        );
        check(
            &[said(alert(1, "alert_call", "2单元", "张奶奶", "not_open"), "a_word_of_another_version")],
            "王师傅，3号楼有1位老人早上还没报平安：2单元张奶奶（看过，没拉开）。请先打电话，再敲门。",
        );
    }

    #[test]
    fn a_long_list_ends_with_how_many_it_is_about() {
        let many: Vec<Item> = (0..15).map(|n| alert(n, "alert_look", "2单元", "张奶奶", "not_observed")).collect();
        let names = ["张奶奶"; 12].join("、");
        check(&many, &format!("王师傅，3号楼今早还有15户没人看窗，请离得近的同志到楼下看一眼。（2单元{names}等15位）"));
    }

    #[test]
    fn good_news_names_the_person_and_other_news_does_not() {
        check(&[alert(1, "stand_down_well", "2单元", "张奶奶", "not_open")], "张奶奶联系上了，人平安。您不用再去了，辛苦了。");
        check(&[alert(1, "stand_down_handled", "2单元", "张奶奶", "help")], "3号楼2单元那户已有人在处理，您不用再去了，辛苦了。");
    }

    #[test]
    fn reminders_read_as_people_speak() {
        let remind = |key: &str, deadline: &str, count: &str, again: &str| {
            item(None, key, &[("building", "3号楼"), ("count", count), ("again", again), ("deadline", deadline)])
        };
        check(&[remind("remind_round", "09:00", "5", "0")], "王师傅早上好，3号楼还有5户没看，09:00前看完就行。今天走不开？请早点找人替。");
        check(&[remind("remind_round", "20:00", "5", "0")], "王师傅晚上好，3号楼还有5户没看，20:00前看完就行。今天走不开？请早点找人替。");
        check(&[remind("remind_last", "09:00", "2", "1")], "3号楼快到09:00了：2户没看，1户请再看一眼，看不清就打个电话。");
        check(&[remind("remind_last", "09:00", "0", "1")], "3号楼快到09:00了：1户请再看一眼，看不清就打个电话。");
        check(&[remind("remind_again", "09:00", "0", "1")], "3号楼有1户请再看一眼，看不清就打个电话。");
    }

    #[test]
    fn the_daily_proof_speaks_of_those_nobody_has_seen_or_heard_only_if_there_are_any() {
        let proof = |unheard: &str| {
            let counts = [("total", "40"), ("seen", "38"), ("visited", "2"), ("open", "0"), ("excused", "1"), ("unheard", unheard)];
            item(None, "proof", &counts)
        };
        let numbers = "王师傅，今早约好的40位老人，38位已报平安，2位上门看过，0位还在找。1位登记了不在家。";
        check(&[proof("0")], numbers);
        check(&[proof("3")], &format!("{numbers}有3位老人一个多星期没人见过面、也没通过话，请安排人打个电话或上门。"));
    }

    #[test]
    fn what_is_unresolved_is_counted_by_building_and_a_long_list_ends_with_how_many_they_are() {
        let listed = |count: &str, buildings: &str| item(None, "unresolved", &[("count", count), ("buildings", buildings)]);
        check(
            &[listed("3", r#"[["3号楼",2],["5号楼",1]]"#)],
            "王师傅，现在还有3位老人没联系上：3号楼2位，5号楼1位。请点开看看，没人去的今天安排人去。",
        );
        let many: Vec<(String, i64)> = (1..=13).map(|n| (format!("{n}号楼"), 1)).collect();
        let named = (1..=12).map(|n| format!("{n}号楼1位")).collect::<Vec<_>>().join("，");
        check(
            &[listed("13", &serde_json::json!(many).to_string())],
            &format!("王师傅，现在还有13位老人没联系上：{named}等13栋。请点开看看，没人去的今天安排人去。"),
        );
    }

    #[test]
    fn a_drill_says_so_first_and_an_outage_explains_a_late_message() {
        let mut late = alert(1, "alert_call", "2单元", "张奶奶", "not_observed");
        late.arguments.insert("outage_from".to_owned(), "08:40".to_owned());
        late.arguments.insert("outage_to".to_owned(), "09:20".to_owned());
        let letter = Letter { drill: true, link: Some("https://chenlian.example/alerts"), ..LETTER };
        assert_eq!(
            render(&letter, &compose(&[late])),
            "【演练，不用出门】王师傅，3号楼有1位老人早上还没报平安：2单元张奶奶（还没人看）。请先打电话，再敲门。（系统08:40到09:20停过，所以晚了，请多留意。） https://chenlian.example/alerts"
        );
    }

    #[test]
    fn every_sentence_exists_in_both_languages_and_leaves_no_gap() {
        let keys = include_str!("../../locales/notice.zh-CN.yml").lines().filter_map(|line| line.split(": ").next());
        for key in keys.filter(|key| key.matches('.').count() == 1) {
            for locale in crate::text::LOCALES {
                assert_ne!(text::plain(locale, key), key, "{key} in {locale}");
            }
            assert!(matches!(key, "notice.link") || text::plain("zh-CN", key) != text::plain("en", key), "{key} is translated");
        }
        let letter = Letter { locale: "en", called: "Wang", ..LETTER };
        let english = render(&letter, &compose(&[alert(1, "alert_call", "2", "Zhang", "blind"), alert(2, "help_call", "1", "Li", "help")]));
        assert_eq!(
            english,
            "Wang: 3号楼: 1 in need of help: unit 1 Li (pressed for help). Please phone at once, then go there. \
             3号楼: 1 not heard from this morning: unit 2 Zhang (looked, could not see). Please phone first, then knock."
        );
        let bare = render(&letter, &compose(&[item(None, "proof", &[("total", "40")])]));
        assert!(bare.contains("— of 40") && !bare.contains("%{"), "{bare}");
    }
}
