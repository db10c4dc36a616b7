//! Finding a senior by what people type: her name, its pinyin or only the initials (`znn`, `zhangnn`, `张nn`), house and room, or
//! a part of a phone number. Every word typed must be found somewhere.

use pinyin::ToPinyinMulti;

/// Fewer digits than this are a room and not a phone number.
const PHONE_DIGITS_MIN: usize = 4;
/// Nobody types more; what is longer finds nothing.
const WORDS_MAX: usize = 6;

/// What of one senior can be found.
#[derive(Debug, Clone, Copy)]
pub struct Findable<'a> {
    pub name: &'a str,
    pub called: &'a str,
    pub building: &'a str,
    pub unit: &'a str,
    pub room: &'a str,
    pub phone: Option<&'a str>,
}

/// By what she was found: a phone number helps only those who may see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hit {
    Open,
    ByPhone,
}

/// What was typed, taken apart once for many seniors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query(Vec<Vec<char>>);

impl Query {
    pub fn of(text: &str) -> Self {
        let word = |word: &str| word.to_lowercase().chars().collect::<Vec<char>>();
        Self(text.split_whitespace().map(word).collect())
    }

    /// Whether she is meant; nothing typed means everybody.
    pub fn finds(&self, senior: &Findable) -> Option<Hit> {
        if self.0.len() > WORDS_MAX {
            return None;
        }
        self.0.iter().map(|word| hit(word, senior)).try_fold(Hit::Open, |worst, hit| hit.map(|hit| worst.max(hit)))
    }
}

fn hit(word: &[char], senior: &Findable) -> Option<Hit> {
    let door = format!("{}{}{}", senior.building, senior.unit, senior.room);
    if [senior.name, senior.called, door.as_str()].iter().any(|text| contains(text, word)) {
        return Some(Hit::Open);
    }
    let typed: String = word.iter().filter(|letter| !matches!(letter, '-' | '+')).collect();
    let is_number = typed.len() >= PHONE_DIGITS_MIN && typed.bytes().all(|byte| byte.is_ascii_digit());
    senior.phone.filter(|phone| is_number && phone.contains(&typed)).map(|_| Hit::ByPhone)
}

/// Whether the word begins at some letter of the text and runs on to its end.
fn contains(text: &str, word: &[char]) -> bool {
    let letters: Vec<char> = text.to_lowercase().chars().collect();
    (0..letters.len()).any(|from| runs(&letters[from..], word))
}

/// Each letter answers for itself, for its initial or for its whole syllable, of which the last may be typed only in part.
fn runs(letters: &[char], word: &[char]) -> bool {
    if word.is_empty() {
        return true;
    }
    let Some((letter, rest)) = letters.split_first() else { return false };
    if *letter == word[0] && runs(rest, &word[1..]) {
        return true;
    }
    if !word[0].is_ascii_lowercase() {
        return false;
    }
    // A letter may have several readings (曾, 单, 解): any of them is meant.
    letter.to_pinyin_multi().is_some_and(|readings| {
        readings.into_iter().any(|reading| {
            let syllable: Vec<char> = reading.plain().chars().map(|sound| if sound == 'ü' { 'v' } else { sound }).collect();
            let common = syllable.iter().zip(word).take_while(|(sound, typed)| sound == typed).count();
            let is_last = common == word.len();
            is_last || (common == syllable.len() && runs(rest, &word[common..])) || (common > 0 && runs(rest, &word[1..]))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HER: Findable =
        Findable {
            name: "张桂英", called: "张奶奶", building: "锦绣苑3号楼", unit: "2单元", room: "401", phone: Some("13511112222")
        };

    #[test]
    fn she_is_found_by_name_initials_syllables_door_and_phone() {
        for (typed, expected) in [
            ("", Some(Hit::Open)),
            ("张", Some(Hit::Open)),
            ("znn", Some(Hit::Open)),
            ("ZNN", Some(Hit::Open)),
            ("nn", Some(Hit::Open)),
            ("zgy", Some(Hit::Open)),
            ("zhangguiying", Some(Hit::Open)),
            ("zhanggy", Some(Hit::Open)),
            ("zhanggui", Some(Hit::Open)),
            ("张gy", Some(Hit::Open)),
            ("zhangx", None),
            ("zgz", None),
            ("3号楼", Some(Hit::Open)),
            ("3号楼2单元401", Some(Hit::Open)),
            ("jxy", Some(Hit::Open)),
            ("401 znn", Some(Hit::Open)),
            ("402 znn", None),
            ("401", Some(Hit::Open)),
            ("1111", Some(Hit::ByPhone)),
            ("135-1111-2222", Some(Hit::ByPhone)),
            ("111", None),
            ("znn 1111", Some(Hit::ByPhone)),
            ("a b c d e f g", None),
        ] {
            assert_eq!(Query::of(typed).finds(&HER), expected, "{typed:?}");
        }
    }

    #[test]
    fn a_surname_with_two_readings_is_found_by_either() {
        let zeng = Findable { name: "曾素琴", called: "曾女士", ..HER };
        for typed in ["zengsq", "cengsq", "zsq", "csq", "zns", "znvshi"] {
            assert_eq!(Query::of(typed).finds(&zeng), Some(Hit::Open), "{typed}");
        }
    }
}
