//! Bars as SVG: where each stands and how long it is. Colours and type are the stylesheet's; the numbers stand in a table beside
//! every picture.

/// One picture.
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub bars: Vec<Bar>,
    /// Lines of the scale.
    pub lines: Vec<Line>,
    pub labels: Vec<Label>,
}

pub struct Bar {
    /// Which of the series: 0 or 1.
    pub series: usize,
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
    /// What a pointer reads.
    pub tip: String,
}

pub struct Line {
    pub x1: f64,
    pub y1: f64,
    pub x2: f64,
    pub y2: f64,
}

pub struct Label {
    pub x: f64,
    pub y: f64,
    pub text: String,
    /// start, middle or end.
    pub anchor: &'static str,
}

/// What is drawn: a name for each place, and the value of each series there; nothing is drawn for what is not known.
pub struct Values {
    pub names: Vec<String>,
    pub series: Vec<Vec<Option<f64>>>,
    /// The end of the scale; by the largest value if left out.
    pub top: Option<f64>,
    pub unit: String,
}

impl Values {
    pub fn is_empty(&self) -> bool {
        self.series.iter().flatten().all(Option::is_none)
    }

    fn top(&self) -> f64 {
        self.top.unwrap_or_else(|| round_up(self.series.iter().flatten().flatten().copied().fold(0.0, f64::max)))
    }

    fn tip(&self, place: usize, value: f64) -> String {
        format!("{} {value}{}", self.names.get(place).map_or("", String::as_str), self.unit)
    }
}

const WIDTH: f64 = 720.0;
/// Room for the scale at the left, and for names below.
const LEFT: f64 = 54.0;
const BELOW: f64 = 28.0;
const ABOVE: f64 = 12.0;
const COLUMNS_HEIGHT: f64 = 240.0;
const SCALE_STEPS: u32 = 4;
/// So many names fit beside each other below the columns.
const NAMES_MAX: usize = 10;

/// Upright bars, one place after the other from left to right.
pub fn columns(values: &Values) -> Drawing {
    let (top, bottom) = (values.top(), COLUMNS_HEIGHT - BELOW);
    let room = bottom - ABOVE;
    let step = (WIDTH - LEFT) / number(values.names.len().max(1));
    let bar = step * 0.8 / number(values.series.len().max(1));
    let mut drawing = Drawing { width: WIDTH, height: COLUMNS_HEIGHT, bars: Vec::new(), lines: Vec::new(), labels: Vec::new() };
    for part in 0..=SCALE_STEPS {
        let share = f64::from(part) / f64::from(SCALE_STEPS);
        let y = bottom - room * share;
        drawing.lines.push(Line { x1: LEFT, y1: y, x2: WIDTH, y2: y });
        drawing.labels.push(Label { x: LEFT - 8.0, y: y + 5.0, text: format!("{}{}", tidy(top * share), values.unit), anchor: "end" });
    }
    for (series, of_series) in values.series.iter().enumerate() {
        for (place, value) in of_series.iter().enumerate() {
            let Some(value) = value else { continue };
            let height = room * (value / top).clamp(0.0, 1.0);
            let x = LEFT + step * (number(place) + 0.1) + bar * number(series);
            // A zero is drawn as a line: it was counted.
            let height = height.max(1.5);
            drawing.bars.push(Bar { series, x, y: bottom - height, width: bar, height, tip: values.tip(place, *value) });
        }
    }
    let every = values.names.len().div_ceil(NAMES_MAX).max(1);
    for (place, name) in values.names.iter().enumerate().step_by(every) {
        let x = LEFT + step * (number(place) + 0.5);
        drawing.labels.push(Label { x, y: COLUMNS_HEIGHT - 8.0, text: name.clone(), anchor: "middle" });
    }
    drawing
}

/// Room for names at the left of lying bars, and for the number at their end.
const NAME_WIDTH: f64 = 170.0;
const END_WIDTH: f64 = 90.0;
const BAR_HEIGHT: f64 = 16.0;
const ROW_GAP: f64 = 14.0;

/// Lying bars, one place below the other.
pub fn rows(values: &Values) -> Drawing {
    let (top, room) = (values.top(), WIDTH - NAME_WIDTH - END_WIDTH);
    let row = BAR_HEIGHT * number(values.series.len().max(1)) + ROW_GAP;
    let height = row * number(values.names.len());
    let mut drawing = Drawing { width: WIDTH, height, bars: Vec::new(), lines: Vec::new(), labels: Vec::new() };
    drawing.lines.push(Line { x1: NAME_WIDTH, y1: 0.0, x2: NAME_WIDTH, y2: height });
    for (place, name) in values.names.iter().enumerate() {
        let y = row * number(place) + ROW_GAP / 2.0;
        let middle = y + (row - ROW_GAP) / 2.0 + 5.0;
        drawing.labels.push(Label { x: NAME_WIDTH - 10.0, y: middle, text: shortened(name), anchor: "end" });
        for (series, of_series) in values.series.iter().enumerate() {
            let Some(value) = of_series.get(place).copied().flatten() else { continue };
            let width = (room * (value / top).clamp(0.0, 1.0)).max(1.5);
            let y = y + BAR_HEIGHT * number(series);
            drawing.bars.push(Bar { series, x: NAME_WIDTH, y, width, height: BAR_HEIGHT - 2.0, tip: values.tip(place, value) });
            let text = format!("{}{}", tidy(value), values.unit);
            drawing.labels.push(Label { x: NAME_WIDTH + width + 6.0, y: y + 12.0, text, anchor: "start" });
        }
    }
    drawing
}

/// Letters of a name that fit beside its bar.
const NAME_LETTERS_MAX: usize = 11;

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_LETTERS_MAX - 1).chain(['…']).collect()
}

/// The next of 1, 2, 4, 5 and their tens above a value, so that the scale has round numbers.
fn round_up(value: f64) -> f64 {
    let mut unit = 1.0;
    while unit < 1e9 {
        if let Some(top) = [1.0, 2.0, 4.0, 8.0].into_iter().map(|step| step * unit).find(|top| *top >= value) {
            return top;
        }
        unit *= 10.0;
    }
    value
}

/// With a decimal only where it says something.
fn tidy(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(series: Vec<Vec<Option<f64>>>, top: Option<f64>) -> Values {
        let names = (1..=series[0].len()).map(|n| n.to_string()).collect();
        Values { names, series, top, unit: String::new() }
    }

    #[test]
    fn a_bar_is_as_long_as_its_value_and_what_is_not_known_has_none() {
        let drawing = columns(&values(vec![vec![Some(100.0), None, Some(50.0), Some(0.0)]], Some(100.0)));
        let heights: Vec<f64> = drawing.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [200.0, 100.0, 1.5]);
        let drawing = rows(&values(vec![vec![Some(3.0)], vec![Some(4.0)]], None));
        let widths: Vec<f64> = drawing.bars.iter().map(|bar| bar.width).collect();
        assert_eq!(widths, [345.0, 460.0]);
        assert!(drawing.bars.iter().all(|bar| bar.x + bar.width <= drawing.width));
    }

    #[test]
    fn a_scale_ends_at_a_round_number() {
        for (value, top) in [(0.0, 1.0), (1.0, 1.0), (1.2, 2.0), (37.0, 40.0), (81.0, 100.0), (450.0, 800.0)] {
            assert!((round_up(value) - top).abs() < f64::EPSILON, "{value}");
        }
        assert_eq!([tidy(2.0), tidy(0.25), tidy(12.5)], ["2", "0.25", "12.5"]);
    }
}
