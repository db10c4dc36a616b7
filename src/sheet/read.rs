//! .xlsx and .csv to lines of text. A formula counts as the text that its program has kept beside it; nothing is calculated.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader, Xlsx};
use encoding_rs::{GB18030, UTF_8, UTF_16BE, UTF_16LE};

use crate::domain::import::{COLUMNS_MAX, Line, ROWS_MAX};

/// What all parts of a file may unpack to: far more than any register, far less than what stops a server.
const UNPACKED_BYTES_MAX: u64 = 40 * 1024 * 1024;
/// Parts of an .xlsx.
const PARTS_MAX: usize = 500;
/// Lines that are looked at: more than may be used, because empty ones stand between.
const LINES_MAX: usize = ROWS_MAX * 3;

/// Why a file is no table for us; each is a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// .xls, from before 2007.
    OldFormat,
    /// Neither .xlsx nor text in an encoding that we know.
    NoTable,
    /// It unpacks to too much, or has too many lines or columns.
    TooLarge,
}

impl Unreadable {
    pub fn key(self) -> &'static str {
        match self {
            Self::OldFormat => "import.old_format",
            Self::NoTable => "import.no_table",
            Self::TooLarge => "import.too_large",
        }
    }
}

/// Reads a file, by what is in it and not by its name. It takes a while: call it on a thread of its own.
pub fn read(bytes: &[u8]) -> Result<Vec<Line>, Unreadable> {
    match bytes {
        [b'P', b'K', 3, 4, ..] => xlsx(bytes),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(Unreadable::OldFormat),
        _ => csv(&decoded(bytes)?),
    }
}

fn xlsx(bytes: &[u8]) -> Result<Vec<Line>, Unreadable> {
    require_small(bytes)?;
    let mut book: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|_| Unreadable::NoTable)?;
    let sheet = book.sheet_names().first().cloned().ok_or(Unreadable::NoTable)?;
    // Cell by cell: a range would make room for every cell between the first and the last.
    let mut cells = book.worksheet_cells_reader(&sheet).map_err(|_| Unreadable::NoTable)?;
    let mut lines: Vec<Line> = Vec::new();
    while let Some(cell) = cells.next_cell().map_err(|_| Unreadable::NoTable)? {
        let text = text_of(cell.get_value());
        if text.trim().is_empty() {
            continue;
        }
        let (row, column) = cell.get_position();
        let (row, column) = (usize::try_from(row).unwrap_or(usize::MAX), usize::try_from(column).unwrap_or(usize::MAX));
        if row >= LINES_MAX || column >= COLUMNS_MAX {
            return Err(Unreadable::TooLarge);
        }
        while lines.len() <= row {
            lines.push(Line { number: lines.len() + 1, cells: Vec::new() });
        }
        let cells = &mut lines[row].cells;
        cells.resize(cells.len().max(column + 1), String::new());
        cells[column] = text;
    }
    Ok(lines)
}

/// Unpacks every part and keeps nothing: what the file says about its own size proves nothing.
fn require_small(bytes: &[u8]) -> Result<(), Unreadable> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|_| Unreadable::NoTable)?;
    if archive.len() > PARTS_MAX {
        return Err(Unreadable::TooLarge);
    }
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..archive.len() {
        let part = archive.by_index(index).map_err(|_| Unreadable::NoTable)?;
        let read = std::io::copy(&mut part.take(left + 1), &mut std::io::sink()).map_err(|_| Unreadable::NoTable)?;
        left = left.checked_sub(read).ok_or(Unreadable::TooLarge)?;
    }
    Ok(())
}

#[expect(clippy::match_same_arms, reason = "a whole number and another one are of different types")]
fn text_of(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        // 402 is a room, not 402.0.
        DataRef::Float(number) => number.to_string(),
        DataRef::Bool(is_so) => is_so.to_string(),
        DataRef::DateTime(moment) => match moment.as_datetime() {
            Some(at) if moment.as_f64() < 1.0 => at.format("%H:%M").to_string(),
            Some(at) => at.format("%Y-%m-%d").to_string(),
            None => moment.as_f64().to_string(),
        },
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// UTF-8, UTF-16 with its mark, or GB18030, in which older programs of offices write.
fn decoded(bytes: &[u8]) -> Result<String, Unreadable> {
    let encoding = match bytes {
        [0xff, 0xfe, ..] => UTF_16LE,
        [0xfe, 0xff, ..] => UTF_16BE,
        _ if std::str::from_utf8(bytes).is_ok() => UTF_8,
        _ => GB18030,
    };
    let (text, _, is_broken) = encoding.decode(bytes);
    if is_broken || text.contains('\0') { Err(Unreadable::NoTable) } else { Ok(text.into_owned()) }
}

fn csv(text: &str) -> Result<Vec<Line>, Unreadable> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let delimiter = *b",\t;".iter().max_by_key(|mark| first.bytes().filter(|byte| byte == *mark).count()).unwrap_or(&b',');
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| Unreadable::NoTable)?;
        if lines.len() >= LINES_MAX || record.len() > COLUMNS_MAX {
            return Err(Unreadable::TooLarge);
        }
        let number = record.position().and_then(|position| usize::try_from(position.line()).ok()).unwrap_or(lines.len() + 1);
        lines.push(Line { number, cells: record.iter().map(str::to_owned).collect() });
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn cells(bytes: &[u8]) -> Vec<Vec<String>> {
        read(bytes).unwrap().into_iter().map(|line| line.cells).collect()
    }

    #[test]
    fn a_csv_is_read_in_the_encodings_of_offices() {
        let text = "楼栋,姓名\n3号楼,张桂英\n";
        let expected = vec![vec!["楼栋", "姓名"], vec!["3号楼", "张桂英"]];
        assert_eq!(cells(text.as_bytes()), expected);
        assert_eq!(cells(format!("\u{feff}{text}").as_bytes()), expected);
        assert_eq!(cells(&GB18030.encode(text).0), expected);
        let utf16: Vec<u8> = [0xfe_u8, 0xff].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
        assert_eq!(cells(&utf16), expected);
        assert_eq!(cells(text.replace(',', "\t").as_bytes()), expected);
        assert_eq!(read(b"a\0b,c"), Err(Unreadable::NoTable));
        assert_eq!(read(&[0xd0, 0xcf, 0x11, 0xe0, 0]), Err(Unreadable::OldFormat));
        assert_eq!(read("a\n".repeat(LINES_MAX + 1).as_bytes()), Err(Unreadable::TooLarge));
        assert_eq!(read(",".repeat(COLUMNS_MAX).as_bytes()), Err(Unreadable::TooLarge));
        assert_eq!(read(b"PK\x03\x04 and nothing else"), Err(Unreadable::NoTable));
    }

    #[test]
    fn a_small_file_that_unpacks_to_very_much_is_refused() {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file("xl/worksheets/sheet1.xml", options).unwrap();
        let zeros = vec![0_u8; 1024 * 1024];
        for _ in 0..=UNPACKED_BYTES_MAX / (1024 * 1024) {
            writer.write_all(&zeros).unwrap();
        }
        let bomb = writer.finish().unwrap().into_inner();
        assert!(bomb.len() < 100_000, "{}", bomb.len());
        assert_eq!(read(&bomb), Err(Unreadable::TooLarge));
    }

    #[test]
    fn a_cell_in_the_last_corner_makes_no_room_for_all_the_others() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(0, 0, "a").unwrap();
        sheet.write(1_048_575, 16_383, "z").unwrap();
        assert_eq!(read(&book.save_to_buffer().unwrap()), Err(Unreadable::TooLarge));
    }

    #[test]
    fn numbers_and_times_of_a_table_become_what_a_person_sees() {
        let mut book = rust_xlsxwriter::Workbook::new();
        let sheet = book.add_worksheet();
        sheet.write(1, 0, 402).unwrap();
        sheet.write(1, 1, "=1+1").unwrap();
        let clock = rust_xlsxwriter::Format::new().set_num_format("hh:mm");
        sheet.write_with_format(1, 2, 9.5 / 24.0, &clock).unwrap();
        sheet.write(1, 3, 13_800_138_000.0_f64).unwrap();
        let lines = read(&book.save_to_buffer().unwrap()).unwrap();
        assert_eq!((lines[1].number, lines[1].cells.clone()), (2, ["402", "=1+1", "09:30", "13800138000"].map(str::to_owned).to_vec()));
    }
}
