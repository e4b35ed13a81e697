//! Figures of an earlier run, from its `--json`: all cases take longer than some have at once.

use std::path::Path;

use serde_json::Value;

use crate::case::{Case, ROSTERD, Run, Sample};
use crate::report::Outcome;

/// What has to be the same for figures to stand in one table.
const SAME: [&str; 3] = ["machine", "rosterd", "servers"];

/// Adds the cases of `path` that this run has not measured. They are as good as its own if they are of the same build on the same machine.
pub fn add(path: &Path, cases: &[&'static Case], about: &[(&'static str, String)], run: &mut Run, outcomes: &mut Vec<Outcome>) {
    let named = path.display();
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{named} can't be read: {error}"));
    let earlier: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{named} is not what --json writes: {error}"));
    for (name, now) in about.iter().filter(|(name, _)| SAME.contains(name)) {
        let then = earlier["about"][name].as_str().unwrap_or("unknown");
        assert!(then == now, "{named} is of another {name}: {then}, and now it is {now}");
    }
    for case in cases.iter().filter(|case| !outcomes.iter().any(|outcome| outcome.case.name == case.name)).copied().collect::<Vec<_>>() {
        let figures = || earlier["figures"].as_array().into_iter().flatten().filter(|figure| figure["case"] == case.name);
        if figures().next().is_none() {
            continue;
        }
        for figure in figures() {
            for (subject, measured) in figure["subjects"].as_object().into_iter().flatten() {
                // There are few, and they live as long as the process.
                let subject: &'static str = if subject == ROSTERD { ROSTERD } else { subject.clone().leak() };
                let values: Vec<f64> = measured["samples"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
                if values.len() != run.repetitions && subject == ROSTERD {
                    run.note(case.name, format!("{} repetitions", values.len()));
                }
                let figure = figure["figure"].as_str().unwrap_or_default();
                run.samples.extend(values.into_iter().map(|value| Sample { case: case.name, figure: figure.to_owned(), subject, value }));
            }
        }
        for note in earlier["notes"].as_array().into_iter().flatten().filter(|note| note["case"] == case.name) {
            run.note(case.name, note["text"].as_str().unwrap_or_default());
        }
        let seconds = earlier["seconds"][case.name].as_f64().unwrap_or_default();
        outcomes.push(Outcome { case, failure: None, seconds });
    }
    outcomes.sort_by_key(|outcome| cases.iter().position(|case| case.name == outcome.case.name));
}
