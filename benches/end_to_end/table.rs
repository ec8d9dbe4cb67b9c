//! The table: what was measured, what it should be, and whether it is.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use serde_json::{Value, json};

/// What a number should be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum Goal {
    /// Its median not more than this.
    AtMost(f64),
    /// Its mean not more than this: where the goal itself is an average.
    AverageAtMost(f64),
    /// Its median not less than this.
    AtLeast(f64),
    /// There is none; the number explains another one.
    #[default]
    None,
}

/// One thing that was measured, several times.
#[derive(Debug)]
pub(crate) struct Row {
    what: String,
    unit: &'static str,
    goal: Goal,
    samples: Vec<f64>,
}

impl Row {
    /// A row of `samples`, of which there is at least one.
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, goal: Goal, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        assert!(!samples.is_empty(), "nothing was measured");
        Self { what: what.into(), unit, goal, samples }
    }

    fn median(&self) -> f64 {
        let middle = self.samples.len() / 2;
        if self.samples.len() % 2 == 1 {
            self.samples[middle]
        } else {
            f64::midpoint(self.samples[middle - 1], self.samples[middle])
        }
    }

    fn mean(&self) -> f64 {
        self.samples.iter().sum::<f64>() / f64::from(u32::try_from(self.samples.len()).unwrap())
    }

    /// Whether the goal holds; nothing where there is none.
    pub(crate) fn holds(&self) -> Option<bool> {
        match self.goal {
            Goal::AtMost(most) => Some(self.median() <= most),
            Goal::AverageAtMost(most) => Some(self.mean() <= most),
            Goal::AtLeast(least) => Some(self.median() >= least),
            Goal::None => None,
        }
    }

    fn goal(&self) -> String {
        match self.goal {
            Goal::AtMost(most) => format!("≤ {} {}", number(most), self.unit),
            Goal::AverageAtMost(most) => format!("≤ {} {} on average", number(most), self.unit),
            Goal::AtLeast(least) => format!("≥ {} {}", number(least), self.unit),
            Goal::None => String::new(),
        }
    }

    fn measured(&self) -> String {
        let value = match self.goal {
            Goal::AverageAtMost(_) => self.mean(),
            _ => self.median(),
        };
        let told = format!("{} {}", number(value), self.unit);
        match self.samples.as_slice() {
            [first, .., last] => {
                format!("{told} ({} of {}–{})", self.samples.len(), number(*first), number(*last))
            }
            _ => told,
        }
    }

    fn json(&self) -> Value {
        let (bound, value) = match self.goal {
            Goal::AtMost(value) => ("at_most", Some(value)),
            Goal::AverageAtMost(value) => ("average_at_most", Some(value)),
            Goal::AtLeast(value) => ("at_least", Some(value)),
            Goal::None => ("none", None),
        };
        json!({
            "what": self.what, "unit": self.unit, "goal": { "bound": bound, "value": value },
            "median": self.median(), "mean": self.mean(), "samples": self.samples, "holds": self.holds(),
        })
    }
}

/// Three digits that say something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 0.1 => format!("{value:.3}"),
        small if small < 10.0 => format!("{value:.2}"),
        small if small < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// The rows as a table for people, which Markdown understands too.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["what", "goal", "measured: median (of how many, min–max)", "holds"]);
    for row in rows {
        let holds = match row.holds() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        table.add_row([row.what.clone(), row.goal(), row.measured(), holds.to_owned()]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Center);
    }
    table.to_string()
}

/// The rows for tools.
pub(crate) fn json(rows: &[Row]) -> String {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    json!({ "dispatch": 1, "kind": "bench", "data": { "rows": rows } }).to_string()
}
