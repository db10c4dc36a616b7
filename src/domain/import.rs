//! The register as a community office keeps it, a table: what each cell means, and what is wrong, cell by cell. Nothing is taken
//! of a table in which anything is wrong. Cells are text; a formula says nothing but its own characters.

pub mod cell;
mod row;

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveTime;
use uuid::Uuid;

pub use self::row::{Building, Known, NewContact, Person};
use super::place::{Category, ConsentScope, RiskBand};
use super::signal::Sign;
use crate::words;

/// Seniors of one table.
pub const ROWS_MAX: usize = 1_000;
pub const COLUMNS_MAX: usize = 40;
pub const CELL_CHARS_MAX: usize = 1_000;
/// The headings stand in one of the first lines; a title may stand above them.
const HEADING_LINES: usize = 5;
/// What is wrong is told up to this many cells.
pub const PROBLEMS_MAX: usize = 200;

words! {
    /// What a column holds.
    pub enum Column {
        Building = "building", Unit = "unit", Floor = "floor", Room = "room", WindowHint = "window_hint", Name = "name",
        Called = "called", Phone = "phone", BirthYear = "birth_year", Categories = "categories", RiskBand = "risk_band",
        HearingHint = "hearing_hint", Contacts = "contacts", Primary = "primary", Backup = "backup", Deadline = "deadline",
        Sign = "sign", Consents = "consents"
    }
}

impl Column {
    /// Without it a row says nothing.
    pub fn is_needed(self) -> bool {
        matches!(self, Self::Building | Self::Unit | Self::Room | Self::Name)
    }
}

/// A line of the table as it stands in the file, counted from one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub cells: Vec<String>,
}

/// The words that people write, the proper one first: they differ by language and place, and old ones are understood.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    pub columns: Vec<(Column, Vec<String>)>,
    pub categories: Vec<(Category, Vec<String>)>,
    pub bands: Vec<(RiskBand, Vec<String>)>,
    pub signs: Vec<(Sign, Vec<String>)>,
    pub scopes: Vec<(ConsentScope, Vec<String>)>,
    /// 分钟 and its like, behind the time that somebody needs to come.
    pub minutes: Vec<String>,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// As the table program counts: the first line is 1. Nothing: the table as a whole.
    pub row: Option<usize>,
    pub column: Option<Column>,
    pub key: &'static str,
    pub arguments: BTreeMap<&'static str, String>,
}

impl Problem {
    pub fn new(row: Option<usize>, column: Option<Column>, key: &'static str) -> Self {
        Self { row, column, key, arguments: BTreeMap::new() }
    }
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.arguments.insert(name, value.to_string());
        self
    }
}

/// A senior to be registered, everything found and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub row: usize,
    pub building_id: Uuid,
    pub unit: String,
    pub floor: Option<i64>,
    pub room: String,
    pub window_hint: String,
    pub name: String,
    pub called: String,
    pub phone: Option<String>,
    pub birth_year: Option<i64>,
    pub categories: BTreeSet<Category>,
    pub risk_band: RiskBand,
    pub hearing_hint: String,
    pub contacts: Vec<NewContact>,
    pub primary: Option<Uuid>,
    pub backup: Option<Uuid>,
    /// Nothing: as the site has it.
    pub deadline: Option<NaiveTime>,
    pub sign: Sign,
    pub consents: BTreeSet<ConsentScope>,
}

/// What a table says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    pub entries: Vec<Entry>,
    /// In the order of the table; with one of them nothing is taken.
    pub problems: Vec<Problem>,
    /// There are more than are told.
    pub is_cut: bool,
}

/// Reads the table. `this_year` bounds years of birth.
pub fn read(lines: &[Line], words: &Vocabulary, known: &Known, this_year: i64) -> Reading {
    let mut reading = Reading::default();
    let Some((at, columns)) = headings(lines, words, &mut reading.problems) else { return reading };
    let mut doors = BTreeSet::new();
    let filled = lines[at + 1..].iter().filter(|line| line.cells.iter().any(|cell| !cell.trim().is_empty()));
    for (count, line) in filled.enumerate() {
        if count >= ROWS_MAX {
            reading.problems.push(Problem::new(Some(line.number), None, "import.too_many_rows").with("max", ROWS_MAX));
            break;
        }
        let read = row::read(line, &columns, words, known, this_year);
        match read {
            Ok(entry) => {
                if !doors.insert((entry.building_id, entry.unit.clone(), entry.room.clone(), entry.name.clone())) {
                    reading.problems.push(Problem::new(Some(line.number), Some(Column::Name), "import.twice"));
                }
                reading.entries.push(entry);
            }
            Err(problems) => reading.problems.extend(problems),
        }
        if reading.problems.len() > PROBLEMS_MAX {
            reading.problems.truncate(PROBLEMS_MAX);
            reading.is_cut = true;
            break;
        }
    }
    if reading.entries.is_empty() && reading.problems.is_empty() {
        reading.problems.push(Problem::new(None, None, "import.no_rows"));
    }
    reading
}

/// Which column stands where, and in which line the headings are.
fn headings(lines: &[Line], words: &Vocabulary, problems: &mut Vec<Problem>) -> Option<(usize, Vec<Option<Column>>)> {
    let named = |cell: &String| words.columns.iter().find(|(_, names)| cell::is_one_of(cell, names)).map(|(column, _)| *column);
    let found = lines.iter().take(HEADING_LINES).position(|line| line.cells.iter().filter(|cell| named(cell).is_some()).count() >= 2);
    let Some(at) = found else {
        problems.push(Problem::new(None, None, "import.no_headings"));
        return None;
    };
    let line = &lines[at];
    let mut columns: Vec<Option<Column>> = Vec::new();
    for cell in &line.cells {
        let column = named(cell);
        if column.is_none() && !cell.trim().is_empty() {
            problems.push(Problem::new(Some(line.number), None, "import.column_unknown").with("column", cell::shown(cell)));
        }
        if let Some(column) = column.filter(|column| columns.contains(&Some(*column))) {
            problems.push(Problem::new(Some(line.number), Some(column), "import.column_twice"));
        }
        columns.push(column);
    }
    for column in Column::ALL.iter().filter(|column| column.is_needed() && !columns.contains(&Some(**column))) {
        problems.push(Problem::new(Some(line.number), Some(*column), "import.column_missing"));
    }
    if problems.is_empty() { Some((at, columns)) } else { None }
}

#[cfg(test)]
mod tests;
