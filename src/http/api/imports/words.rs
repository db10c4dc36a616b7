//! The words of the table, from `locales/`: the first of each line is the one that we write, the others are understood, and so are
//! those of the other language.

use std::fmt::Display;

use crate::domain::import::{Column, Vocabulary};
use crate::domain::place::{Category, ConsentScope, RiskBand};
use crate::domain::signal::Sign;
use crate::sheet::{Cell, Choices, Table};
use crate::text::{self, LOCALES};

/// Between the words of one line.
const BETWEEN: [char; 2] = ['\u{3001}', ';'];

fn names(locale: &str, list: &str, word: impl Display) -> Vec<String> {
    let line = text::plain(locale, &format!("import.{list}_{word}"));
    line.split(BETWEEN).map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn all<T: Copy + Display>(list: &str, words: &[T]) -> Vec<(T, Vec<String>)> {
    let understood = |word: T| LOCALES.iter().flat_map(|locale| names(locale, list, word)).collect();
    words.iter().map(|word| (*word, understood(*word))).collect()
}

/// Every word that is understood, of both languages.
pub fn vocabulary() -> Vocabulary {
    Vocabulary {
        columns: all("column", Column::ALL),
        categories: all("category", Category::ALL),
        bands: all("band", RiskBand::ALL),
        signs: all("sign", Sign::ALL),
        scopes: all("scope", ConsentScope::ALL),
        minutes: LOCALES.iter().flat_map(|locale| names(locale, "unit", "minutes")).collect(),
    }
}

fn first(locale: &str, list: &str, word: impl Display) -> String {
    names(locale, list, word).into_iter().next().unwrap_or_default()
}

pub fn heading(locale: &str, column: Column) -> String {
    first(locale, "column", column)
}

/// The empty table: what must be filled has a star.
pub fn template(locale: &str) -> Table {
    let star = |column: Column| if column.is_needed() { "*" } else { "" };
    let offered = |column: Column| {
        let words: Vec<String> = match column {
            Column::Categories => Category::ALL.iter().map(|word| first(locale, "category", word)).collect(),
            Column::RiskBand => RiskBand::ALL.iter().map(|word| first(locale, "band", word)).collect(),
            Column::Sign => Sign::ALL.iter().map(|word| first(locale, "sign", word)).collect(),
            Column::Consents => ConsentScope::ALL.iter().map(|word| first(locale, "scope", word)).collect(),
            _ => return None,
        };
        Some(words)
    };
    let choices = (0_u16..).zip(Column::ALL).filter_map(|(column, of)| offered(*of).map(|words| Choices { column, words }));
    let example = |column: &Column| Cell::Text(text::plain(locale, &format!("import.example_{column}")));
    Table {
        name: text::plain(locale, "import.sheet"),
        stamp: vec![text::plain(locale, "import.how_to")],
        headings: Column::ALL.iter().map(|column| heading(locale, *column) + star(*column)).collect(),
        rows: vec![Column::ALL.iter().map(example).collect()],
        choices: choices.collect(),
    }
}
