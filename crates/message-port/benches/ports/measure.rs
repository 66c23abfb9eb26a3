//! Repeated runs of ours and its rivals in turn, their medians and spread, table and JSON.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

/// Which rows are wanted.
#[derive(Default)]
pub(crate) struct Plan {
    /// Beginnings of ids; all rows if empty.
    pub(crate) wanted: Vec<String>,
}

impl Plan {
    pub(crate) fn wants(&self, id: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|wanted| id.starts_with(wanted))
    }
}

/// One contender: its name, and a run of it that gives one value.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'static str,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

pub(crate) fn contender<'a>(name: &'static str, run: impl FnMut() -> f64 + 'a) -> Contender<'a> {
    Contender {
        name,
        run: Box::new(run),
    }
}

/// What the rows of one measurement have in common.
#[derive(Clone, Copy)]
pub(crate) struct Title {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    /// How many runs of each contender count. One more comes first and does not.
    pub(crate) runs: usize,
}

/// A measured row: ours, the rival that the target names, and others for orientation.
pub(crate) struct Row {
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    ours: Spread,
    rivals: Vec<(&'static str, Spread)>,
}

/// The median of some runs, and the quartles around it.
struct Spread {
    low: f64,
    median: f64,
    high: f64,
}

/// Runs ours and the rivals by turns, so that a disturbance of the machine falls on all of them.
/// The first rival is the one that the target names.
pub(crate) fn measure(
    title: Title,
    mut ours: impl FnMut() -> f64,
    mut rivals: Vec<Contender<'_>>,
) -> Row {
    eprintln!("{}: {}", title.id, title.name);
    let mut our_values = Vec::new();
    let mut rival_values = vec![Vec::new(); rivals.len()];
    for run in 0..=title.runs {
        let value = ours();
        if run > 0 {
            our_values.push(value);
        }
        for (rival, values) in rivals.iter_mut().zip(&mut rival_values) {
            let value = (rival.run)();
            if run > 0 {
                values.push(value);
            }
        }
    }
    Row {
        id: title.id,
        name: title.name,
        unit: title.unit,
        ours: Spread::of(our_values),
        rivals: rivals
            .iter()
            .zip(rival_values)
            .map(|(rival, values)| (rival.name, Spread::of(values)))
            .collect(),
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| values[(values.len() - 1) * quarter / 4];
        Self {
            low: at(1),
            median: at(2),
            high: at(3),
        }
    }

    fn to_json(&self) -> Value {
        json!([self.low, self.high])
    }
}

/// Prints the rows, and writes them to a file if there is one: how the benchmark ends.
pub(crate) fn report(rows: &[Row], json: Option<&Path>) -> ExitCode {
    print_table(rows);
    let Some(file) = json else {
        return ExitCode::SUCCESS;
    };
    match std::fs::write(file, to_json(rows)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write {}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<10} {:<52} {:>9} {:>21}   {:<20} {:>9} {:>21} {:>7}",
        "id", "what (unit)", "ours", "quartiles", "rival", "rival's", "quartiles", "ratio"
    );
    for row in rows {
        let mut id = row.id;
        let mut name = format!("{} ({})", row.name, row.unit);
        let ours = &row.ours;
        for (rival, value) in &row.rivals {
            println!(
                "{id:<10} {name:<52} {:>9.3} {:>21}   {rival:<20} {:>9.3} {:>21} {:>7.3}",
                ours.median,
                format!("{:.3} – {:.3}", ours.low, ours.high),
                value.median,
                format!("{:.3} – {:.3}", value.low, value.high),
                ours.median / value.median,
            );
            id = "";
            name.clear();
        }
    }
}

/// One row an id; the rivals after the first stand in `others`.
fn to_json(rows: &[Row]) -> String {
    let rows: Vec<Value> = rows.iter().filter_map(Row::to_json).collect();
    format!("{:#}\n", Value::from(rows))
}

impl Row {
    fn to_json(&self) -> Option<Value> {
        let ((rival, value), others) = self.rivals.split_first()?;
        let ours = self.ours.median;
        let others: Vec<Value> = others
            .iter()
            .map(|(rival, value)| {
                json!({
                    "rival": rival,
                    "rival_value": value.median,
                    "rival_spread": value.to_json(),
                    "ratio": ours / value.median,
                })
            })
            .collect();
        Some(json!({
            "id": self.id,
            "name": self.name,
            "unit": self.unit,
            "ours": ours,
            "ours_spread": self.ours.to_json(),
            "rival": rival,
            "rival_value": value.median,
            "rival_spread": value.to_json(),
            "ratio": ours / value.median,
            "others": others,
        }))
    }
}
