//! Medians, ratios and verdicts, as a table, as JSON and in a document.

use std::collections::BTreeMap;
use std::path::Path;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use crate::case::{Case, Figure, ROSTERD, Run, Target, Unit};

const BEGIN: &str = "<!-- results, written by the benchmark -->";
const END: &str = "<!-- end of results -->";

/// One case, and why it failed if it did.
pub struct Outcome {
    pub case: &'static Case,
    pub failure: Option<String>,
    pub seconds: f64,
}

pub struct Report {
    pub lines: Vec<Line>,
    pub failures: Vec<(&'static str, String)>,
    pub notes: Vec<(&'static str, String)>,
    pub about: Vec<(&'static str, String)>,
    seconds: Vec<(&'static str, f64)>,
}

/// A figure and all that was measured for it.
pub struct Line {
    pub case: &'static str,
    pub figure: Figure,
    /// rosterd first, then the anchors in the order of their first samples.
    pub subjects: Vec<(&'static str, Vec<f64>)>,
}

impl Line {
    pub fn median(&self, subject: &str) -> Option<f64> {
        let (_, values) = self.subjects.iter().find(|(name, _)| *name == subject)?;
        Some(median(values))
    }

    /// How many times as good as the anchor.
    fn ratio(&self, anchor: &str) -> Option<f64> {
        let (ours, theirs) = (self.median(ROSTERD)?, self.median(anchor)?);
        Some(if self.figure.unit.more_is_better() { ours / theirs } else { theirs / ours })
    }

    /// None where the anchor is missing.
    fn met(&self, target: Target) -> Option<bool> {
        let ours = self.median(ROSTERD)?;
        Some(match target {
            Target::Times(anchor, least) => self.ratio(anchor)? >= least,
            Target::Within(anchor, most) => ours - self.median(anchor)? <= most,
            Target::AtMost(most) => ours <= most,
            Target::AtLeast(least) => ours >= least,
        })
    }

    fn target_text(&self, target: Target) -> String {
        let text = match target {
            Target::Times(anchor, least) => format!("{least} times {anchor}"),
            Target::Within(anchor, most) => format!("within {} of {anchor}", amount(most, self.figure.unit)),
            Target::AtMost(most) => format!("at most {}", amount(most, self.figure.unit)),
            Target::AtLeast(least) => format!("at least {}", amount(least, self.figure.unit)),
        };
        match self.met(target) {
            Some(true) => format!("{text}: met"),
            Some(false) => format!("{text}: missed"),
            None => format!("{text}: not measured"),
        }
    }

    fn cells(&self) -> [String; 5] {
        let unit = self.figure.unit;
        let anchors = || self.subjects.iter().filter(|(name, _)| *name != ROSTERD);
        let ratios = anchors().filter_map(|(name, _)| Some(format!("{:.2}", self.ratio(name)?)));
        [
            format!("{}: {}", self.case, self.figure.name),
            self.median(ROSTERD).map_or_else(String::new, |value| amount(value, unit)),
            anchors().map(|(name, values)| format!("{name}: {}", amount(median(values), unit))).collect::<Vec<_>>().join("\n"),
            ratios.collect::<Vec<_>>().join("\n"),
            self.figure.targets.iter().map(|target| self.target_text(*target)).collect::<Vec<_>>().join("\n"),
        ]
    }
}

const HEADINGS: [&str; 5] = ["case", "rosterd", "anchor", "times as good", "target"];

impl Report {
    pub fn new(outcomes: &[Outcome], run: &mut Run, about: Vec<(&'static str, String)>) -> Report {
        let mut lines = Vec::new();
        for outcome in outcomes.iter().filter(|outcome| outcome.failure.is_none()) {
            for figure in (outcome.case.figures)() {
                let mut subjects: Vec<(&'static str, Vec<f64>)> = vec![(ROSTERD, Vec::new())];
                for sample in run.samples.iter().filter(|sample| sample.case == outcome.case.name && sample.figure == figure.name) {
                    match subjects.iter_mut().find(|(name, _)| *name == sample.subject) {
                        Some((_, values)) => values.push(sample.value),
                        None => subjects.push((sample.subject, vec![sample.value])),
                    }
                }
                assert!(!subjects[0].1.is_empty(), "{} has no sample of {}", outcome.case.name, figure.name);
                lines.push(Line { case: outcome.case.name, figure, subjects });
            }
        }
        let failures = outcomes.iter().filter_map(|outcome| Some((outcome.case.name, outcome.failure.clone()?))).collect();
        let seconds = outcomes.iter().map(|outcome| (outcome.case.name, outcome.seconds)).collect();
        Report { lines, failures, notes: std::mem::take(&mut run.notes), about, seconds }
    }

    pub fn print(&self) {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(HEADINGS);
        for line in &self.lines {
            table.add_row(line.cells());
        }
        println!("{table}");
        for text in self.remarks() {
            println!("{text}");
        }
    }

    fn remarks(&self) -> Vec<String> {
        let notes = self.notes.iter().map(|(case, text)| format!("{case}: {text}"));
        let failures = self.failures.iter().map(|(case, why)| format!("{case} FAILED: {why}"));
        notes.chain(failures).collect()
    }

    pub fn json(&self) -> Value {
        let figure = |line: &Line| {
            let subjects: BTreeMap<&str, Value> =
                line.subjects.iter().map(|(name, values)| (*name, json!({ "median": median(values), "samples": values }))).collect();
            let targets: Vec<Value> =
                line.figure.targets.iter().map(|target| json!({ "target": line.target_text(*target), "met": line.met(*target) })).collect();
            let (name, unit) = (&line.figure.name, line.figure.unit.sign());
            json!({ "case": line.case, "figure": name, "unit": unit, "subjects": subjects, "targets": targets })
        };
        let pairs =
            |pairs: &[(&str, String)]| -> Vec<Value> { pairs.iter().map(|(case, text)| json!({ "case": case, "text": text })).collect() };
        json!({
            "about": self.about.iter().map(|(name, text)| (name.to_string(), json!(text))).collect::<serde_json::Map<_, _>>(),
            "figures": self.lines.iter().map(figure).collect::<Vec<_>>(),
            "failures": pairs(&self.failures),
            "notes": pairs(&self.notes),
            "seconds": self.seconds.iter().map(|(case, seconds)| (case.to_string(), json!(seconds))).collect::<serde_json::Map<_, _>>(),
        })
    }

    /// Puts the results between the marks in a document.
    pub fn write_markdown(&self, path: &Path) {
        let named = path.display();
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{named} can't be read: {error}"));
        let (before, rest) = text.split_once(BEGIN).unwrap_or_else(|| panic!("{named} has no {BEGIN}"));
        let (_, after) = rest.split_once(END).unwrap_or_else(|| panic!("{named} has no {END}"));
        let written = format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.markdown());
        std::fs::write(path, written).unwrap_or_else(|error| panic!("{named} can't be written: {error}"));
    }

    fn markdown(&self) -> String {
        let about: Vec<String> = self.about.iter().map(|(name, text)| format!("{name} {text}")).collect();
        let row = |cells: &[String; 5]| format!("| {} |\n", cells.each_ref().map(|cell| cell.replace('\n', "<br>")).join(" | "));
        let mut text = format!("{}.\n\n", about.join("; "));
        text += &row(&HEADINGS.map(str::to_owned));
        text += "|---|---|---|---|---|\n";
        self.lines.iter().for_each(|line| text += &row(&line.cells()));
        let remarks: Vec<String> = self.remarks().iter().map(|remark| format!("- {remark}\n")).collect();
        if remarks.is_empty() { text } else { format!("{text}\n{}", remarks.concat()) }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// Three digits that count.
pub fn amount(value: f64, unit: Unit) -> String {
    let digits = match value.abs() {
        at if at >= 100.0 => 0,
        at if at >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$} {}", unit.sign()).trim_end().to_owned()
}
