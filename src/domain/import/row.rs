//! One line of the table: every cell is read, so that everything that is wrong in it is told at once.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::{CELL_CHARS_MAX, Column, Entry, Line, Problem, Vocabulary, cell};
use crate::domain::place::RiskBand;
use crate::domain::refusal::Refusal;
use crate::domain::register::{self, CONTACTS_MAX, HINT_CHARS_MAX};
use crate::domain::signal::Sign;

/// A building that the caller may fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Building {
    pub id: Uuid,
    pub name: String,
    /// Of its compound: two compounds may have a building 3 each.
    pub compound: String,
}

/// A member who may be paired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: Uuid,
    pub name: String,
    pub phone: String,
}

/// What the register holds already.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub buildings: Vec<Building>,
    pub members: Vec<Person>,
    /// Building, unit, room and name of those who are looked after.
    pub seniors: BTreeSet<(Uuid, String, String, String)>,
}

/// One of the family, in the order in which they are phoned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewContact {
    pub relation: String,
    pub name: String,
    pub phone: String,
    pub minutes_away: Option<i64>,
}

/// The cells of a line by their column, and what is wrong with them.
struct Cells<'a> {
    row: usize,
    by_column: BTreeMap<Column, &'a str>,
    problems: Vec<Problem>,
}

impl Cells<'_> {
    fn get(&self, column: Column) -> &str {
        self.by_column.get(&column).map_or("", |cell| cell.trim())
    }

    fn wrong(&mut self, column: Column, key: &'static str) -> &mut Problem {
        self.problems.push(Problem::new(Some(self.row), Some(column), key));
        self.problems.last_mut().expect("it was pushed")
    }

    /// What the register's own rules say to a cell.
    fn take<T>(&mut self, column: Column, read: Result<T, Refusal>) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.wrong(column, refusal.key).arguments = refusal.arguments;
                None
            }
        }
    }

    /// A cell that may be empty, read by something that knows only yes and no.
    fn maybe<T>(&mut self, column: Column, key: &'static str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.get(column).to_owned();
        if text.is_empty() {
            return None;
        }
        let value = read(&text);
        if value.is_none() {
            self.wrong(column, key).arguments.insert("cell", cell::shown(&text));
        }
        value
    }

    fn words<T: Copy + Ord>(&mut self, column: Column, words: &[(T, Vec<String>)]) -> BTreeSet<T> {
        let text = self.get(column).to_owned();
        let mut found = BTreeSet::new();
        for part in cell::parts(&text) {
            match cell::word(part, words) {
                Ok(word) => {
                    found.insert(word);
                }
                Err(allowed) => {
                    let arguments = &mut self.wrong(column, "import.word_unknown").arguments;
                    arguments.insert("cell", cell::shown(part));
                    arguments.insert("allowed", allowed);
                }
            }
        }
        found
    }

    fn member(&mut self, column: Column, members: &[Person]) -> Option<Uuid> {
        let text = self.get(column).to_owned();
        if text.is_empty() {
            return None;
        }
        let phone = crate::domain::phone::normalise(&cell::half_width(&text));
        let is_her = |person: &&Person| phone.as_ref().map_or(person.name == text, |phone| person.phone == *phone);
        let found: Vec<&Person> = members.iter().filter(is_her).collect();
        let key = match found.as_slice() {
            [one] => return Some(one.id),
            [] => "import.member_unknown",
            _ => "import.member_twice",
        };
        self.wrong(column, key).arguments.insert("cell", cell::shown(&text));
        None
    }
}

/// Reads a line; `Err`: everything that is wrong in it.
pub(super) fn read(
    line: &Line,
    columns: &[Option<Column>],
    words: &Vocabulary,
    known: &Known,
    this_year: i64,
) -> Result<Entry, Vec<Problem>> {
    let mut cells = Cells { row: line.number, by_column: BTreeMap::new(), problems: Vec::new() };
    for (column, text) in columns.iter().zip(&line.cells) {
        let Some(column) = *column else { continue };
        if text.chars().count() > CELL_CHARS_MAX {
            cells.wrong(column, "register.text_length").arguments.insert("max", CELL_CHARS_MAX.to_string());
        } else {
            cells.by_column.insert(column, text);
        }
    }
    for column in Column::ALL.iter().filter(|column| column.is_needed()) {
        if cells.get(*column).is_empty() {
            cells.wrong(*column, "import.cell_missing");
        }
    }
    let entry = entry(&mut cells, words, known, this_year);
    if let Some(entry) = entry.filter(|_| cells.problems.is_empty()) { Ok(entry) } else { Err(cells.problems) }
}

fn entry(cells: &mut Cells, words: &Vocabulary, known: &Known, this_year: i64) -> Option<Entry> {
    let building_id = building(cells, &known.buildings);
    let text = |cells: &mut Cells, column: Column| {
        let written = cells.get(column).to_owned();
        let read = if column.is_needed() || column == Column::Called {
            if written.is_empty() { Ok(String::new()) } else { register::name(column.as_str(), &written) }
        } else {
            register::text(column.as_str(), &written, HINT_CHARS_MAX)
        };
        cells.take(column, read)
    };
    let (unit, room, name) = (text(cells, Column::Unit), text(cells, Column::Room), text(cells, Column::Name));
    let (called, window_hint, hearing_hint) =
        (text(cells, Column::Called), text(cells, Column::WindowHint), text(cells, Column::HearingHint));
    let floor = cells.maybe(Column::Floor, "import.floor", cell::floor);
    let phone = cells.maybe(Column::Phone, "import.phone", |text| crate::domain::phone::normalise(&cell::half_width(text)));
    let birth_year = cells.maybe(Column::BirthYear, "import.birth_year", |text| cell::year(text, this_year));
    let deadline = cells.maybe(Column::Deadline, "import.deadline", cell::time);
    let categories = cells.words(Column::Categories, &words.categories);
    let bands = cells.words(Column::RiskBand, &words.bands);
    let signs = cells.words(Column::Sign, &words.signs);
    let consents = cells.words(Column::Consents, &words.scopes);
    for (column, count) in [(Column::RiskBand, bands.len()), (Column::Sign, signs.len())] {
        if count > 1 {
            cells.wrong(column, "import.only_one");
        }
    }
    let contacts = contacts(cells, &words.minutes);
    let (primary, backup) = (cells.member(Column::Primary, &known.members), cells.member(Column::Backup, &known.members));
    if primary.is_some() && primary == backup {
        cells.wrong(Column::Backup, "import.same_person");
    }
    let (building_id, unit, room, name) = (building_id?, unit?, room?, name?);
    if known.seniors.contains(&(building_id, unit.clone(), room.clone(), name.clone())) {
        cells.wrong(Column::Name, "import.known_already");
    }
    Some(Entry {
        row: cells.row,
        building_id,
        unit,
        floor,
        room,
        window_hint: window_hint?,
        called: called.filter(|called| !called.is_empty()).unwrap_or_else(|| name.clone()),
        name,
        phone,
        birth_year,
        categories,
        risk_band: bands.first().copied().unwrap_or(RiskBand::Yellow),
        hearing_hint: hearing_hint?,
        contacts,
        primary,
        backup,
        deadline,
        sign: signs.first().copied().unwrap_or(Sign::Open),
        consents,
    })
}

/// By its name, or by compound and name where two have the same.
fn building(cells: &mut Cells, buildings: &[Building]) -> Option<Uuid> {
    let written = cell::plain(cells.get(Column::Building)).replace(['/', '-', '\u{b7}'], "");
    if written.is_empty() {
        return None;
    }
    let is_it = |building: &&Building| {
        let name = cell::plain(&building.name);
        name == written || cell::plain(&building.compound) + &name == written
    };
    let found: Vec<&Building> = buildings.iter().filter(is_it).collect();
    let key = match found.as_slice() {
        [one] => return Some(one.id),
        [] => "import.building_unknown",
        _ => "import.building_twice",
    };
    let cell = cell::shown(cells.get(Column::Building));
    cells.wrong(Column::Building, key).arguments.insert("cell", cell);
    None
}

/// 女儿 李梅 13900000000 20分钟；儿子 …
fn contacts(cells: &mut Cells, minutes: &[String]) -> Vec<NewContact> {
    let text = cells.get(Column::Contacts).to_owned();
    let mut found = Vec::new();
    for person in cell::people(&text) {
        match contact(person, minutes) {
            Some(contact) => found.push(contact),
            None => {
                cells.wrong(Column::Contacts, "import.contact").arguments.insert("cell", cell::shown(person));
            }
        }
    }
    if i64::try_from(found.len()).unwrap_or(i64::MAX) > CONTACTS_MAX {
        cells.wrong(Column::Contacts, "register.contacts_max").arguments.insert("max", CONTACTS_MAX.to_string());
    }
    found
}

fn contact(person: &str, minutes: &[String]) -> Option<NewContact> {
    let written = cell::half_width(person);
    let (mut phone, mut minutes_away, mut words) = (None, None, Vec::new());
    for part in cell::parts(&written) {
        let time = minutes.iter().find_map(|word| part.strip_suffix(word.as_str())).and_then(|number| number.trim().parse::<i64>().ok());
        if let Some(time) = time {
            minutes_away = Some(time);
        } else if let Some(number) = crate::domain::phone::normalise(part) {
            phone = phone.or(Some(number));
        } else {
            words.push(part);
        }
    }
    let (relation, name) = match words.as_slice() {
        [relation, name] => (*relation, *name),
        // 女儿 alone: she is called so on the screen.
        [relation] => (*relation, *relation),
        _ => return None,
    };
    let is_near = minutes_away.is_none_or(|minutes| (0..=1_440).contains(&minutes));
    let fits = register::name("relation", relation).is_ok() && register::name("name", name).is_ok() && is_near;
    let (relation, name) = (relation.to_owned(), name.to_owned());
    fits.then_some(())?;
    Some(NewContact { relation, name, phone: phone?, minutes_away })
}
