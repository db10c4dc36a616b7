//! Tables to take away. What people have typed is text there, whatever it looks like.

use chrono::{DateTime, NaiveDate, Utc};
use rust_xlsxwriter::{DataValidation, Format, Workbook, Worksheet, XlsxError};

/// Characters of a sheet's name.
const NAME_CHARS_MAX: usize = 31;
const WIDTH_MIN: usize = 8;
const WIDTH_MAX: usize = 40;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Text(String),
    Number(f64),
    Day(NaiveDate),
    /// By the site's clock.
    Moment(DateTime<Utc>),
    Empty,
}

/// What may be chosen in a column of an empty table.
#[derive(Debug, Clone)]
pub struct Choices {
    pub column: u16,
    pub words: Vec<String>,
}

/// One sheet.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub name: String,
    /// Above the headings: who took it away, and when.
    pub stamp: Vec<String>,
    pub headings: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
    pub choices: Vec<Choices>,
}

/// A text that no program takes for a formula, also after it went through a .csv.
pub fn safe(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    if clean.trim_start().starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{clean}") } else { clean }
}

/// The bytes of an .xlsx.
pub fn write(tables: &[Table], timezone: chrono_tz::Tz) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    for table in tables {
        let sheet = book.add_worksheet();
        sheet.set_name(table.name.chars().take(NAME_CHARS_MAX).collect::<String>())?;
        fill(sheet, table, timezone)?;
    }
    book.save_to_buffer()
}

fn fill(sheet: &mut Worksheet, table: &Table, timezone: chrono_tz::Tz) -> Result<(), XlsxError> {
    let heading = Format::new().set_bold().set_text_wrap();
    let (day, moment) = (Format::new().set_num_format("yyyy-mm-dd"), Format::new().set_num_format("yyyy-mm-dd hh:mm"));
    let mut row = 0;
    for line in &table.stamp {
        sheet.write_string(row, 0, safe(line))?;
        row += 1;
    }
    let mut widths: Vec<usize> = Vec::new();
    for (column, text) in (0_u16..).zip(&table.headings) {
        sheet.write_string_with_format(row, column, text, &heading)?;
        widths.push(width(text));
    }
    sheet.set_freeze_panes(row + 1, 0)?;
    let first = row + 1;
    for cells in &table.rows {
        row += 1;
        for (column, cell) in (0_u16..).zip(cells) {
            match cell {
                Cell::Text(text) => {
                    let text = safe(text);
                    if let Some(known) = widths.get_mut(usize::from(column)) {
                        *known = (*known).max(width(&text));
                    }
                    sheet.write_string(row, column, text)?;
                }
                Cell::Number(number) => {
                    sheet.write_number(row, column, *number)?;
                }
                Cell::Day(date) => {
                    sheet.write_datetime_with_format(row, column, date, &day)?;
                }
                Cell::Moment(at) => {
                    sheet.write_datetime_with_format(row, column, at.with_timezone(&timezone).naive_local(), &moment)?;
                }
                Cell::Empty => {}
            }
        }
    }
    for (column, width) in (0_u16..).zip(widths) {
        sheet.set_column_width(column, f64::from(u32::try_from(width.clamp(WIDTH_MIN, WIDTH_MAX)).unwrap_or_default()))?;
    }
    for Choices { column, words } in &table.choices {
        let choice = DataValidation::new().allow_list_strings(words)?.ignore_blank(true);
        // A cell may hold several of the words, or an old one: the import says what it does not understand.
        let choice = choice.show_error_message(false);
        sheet.add_data_validation(first, *column, first + CHOICE_ROWS, *column, &choice)?;
    }
    Ok(())
}

/// Rows below the headings in which a word is offered.
const CHOICE_ROWS: u32 = 1_000;

/// Chinese characters take two places.
fn width(text: &str) -> usize {
    text.lines().map(|line| line.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum::<usize>() + 2).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_formula_is_marked_as_text() {
        for (typed, written) in [
            ("=1+1", "'=1+1"),
            ("+86", "'+86"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            (" =1", "' =1"),
            ("张桂英", "张桂英"),
            ("a=b", "a=b"),
            ("a\u{1}b", "ab"),
        ] {
            assert_eq!(safe(typed), written);
        }
    }

    #[test]
    fn a_table_that_was_written_is_read_again() {
        let table = Table {
            name: "名单".to_owned(),
            stamp: vec!["王建国 2026-11-26".to_owned()],
            headings: vec!["姓名".to_owned(), "号".to_owned()],
            rows: vec![vec![Cell::Text("=1+1".to_owned()), Cell::Number(3.0)]],
            choices: vec![Choices { column: 0, words: vec!["甲".to_owned(), "乙".to_owned()] }],
        };
        let bytes = write(&[table], chrono_tz::Asia::Shanghai).unwrap();
        let lines: Vec<Vec<String>> = super::super::read(&bytes).unwrap().into_iter().map(|line| line.cells).collect();
        assert_eq!(lines, vec![vec!["王建国 2026-11-26"], vec!["姓名", "号"], vec!["'=1+1", "3"]]);
    }
}
