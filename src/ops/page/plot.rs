//! The lag of each site over the last hour: a plot for each, all to one scale, and the same as a table.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::Facts;
use crate::ops::samples::{EVERY, HOUR_US, Sample};
use crate::ops::status::SiteState;
use crate::ops::text::{grouped, lag, moment, seconds};

/// Of a drawing and of what is around its axes, in its own units: pixels where it is 400 wide.
const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 140.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 24.0;
/// Decades from 1 µs of which at least these are shown: 1 ms to 1 s.
const DECADES_MIN: (i32, i32) = (3, 6);
/// One line of the table, microseconds.
const LINE_US: i64 = 300_000_000;

pub(super) fn section(facts: &Facts) -> Markup {
    let now_us = facts.status.at_us;
    let all: Vec<(&str, Vec<Sample>)> =
        facts.status.sites.iter().map(|site| (site.name.as_str(), facts.samples.of(&site.name, now_us))).collect();
    let decades = decades(all.iter().flat_map(|(_, samples)| samples));
    html! {
        section #lag aria-labelledby="lag-title" {
            h2 #lag-title { "Lag over the last hour" }
            p.legend {
                "From the commit at the source to the commit at the site, of the rows written there in each " (EVERY.as_secs()) " seconds. "
                "The line is their median, the bars reach up to the longest. Where nothing is drawn, nothing was written; "
                "hatched: the site was not followed."
            }
            div.plots { @for (site, samples) in &all { (figure(site, samples, decades, now_us)) } }
            (table(&all, now_us))
        }
    }
}

/// The powers of ten, from 1 µs, between which all lags are.
fn decades<'s>(samples: impl Iterator<Item = &'s Sample>) -> (i32, i32) {
    let power = |us: i64| (us.max(1) as f64).log10();
    let spreads = samples.filter_map(|sample| sample.lag);
    spreads
        .fold(DECADES_MIN, |(low, high), lag| (low.min(power(lag.median_us).floor() as i32), high.max(power(lag.longest_us).ceil() as i32)))
}

struct Scale {
    now_us: i64,
    decades: (i32, i32),
}

impl Scale {
    fn x(&self, at_us: i64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (1.0 - (self.now_us - at_us) as f64 / HOUR_US as f64)
    }

    fn y(&self, lag_us: i64) -> f64 {
        let (low, high) = self.decades;
        let part = ((lag_us.max(1) as f64).log10() - f64::from(low)) / f64::from(high - low);
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part.clamp(0.0, 1.0)
    }
}

fn figure(site: &str, samples: &[Sample], decades: (i32, i32), now_us: i64) -> Markup {
    let scale = Scale { now_us, decades };
    let (title, text, hatch) = (format!("plot-{site}"), format!("plot-text-{site}"), format!("hatch-{site}"));
    let one = |n: f64| format!("{n:.1}");
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    html! {
        figure.plot {
            figcaption id=(title) { (site) }
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby={ (title) " " (text) } {
                desc id=(text) { (described(samples)) }
                pattern id=(hatch) width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" { path.hatch d="M0 0v6" {} }
                @for power in decades.0..=decades.1 {
                    @let y = one(scale.y(10_i64.pow(power as u32)));
                    line.grid x1=(one(LEFT)) x2=(one(right)) y1=(y) y2=(y) {}
                    @if (decades.1 - power) % step(decades) == 0 { text.axis x=(one(LEFT - 6.0)) y=(y) dy="0.32em" text-anchor="end" { (unit(power)) } }
                }
                @for minutes in [60, 45, 30, 15, 0] {
                    @let x = one(scale.x(now_us - minutes * 60_000_000));
                    line.grid x1=(x) x2=(x) y1=(one(TOP)) y2=(one(bottom)) {}
                    text.axis x=(x) y=(one(HEIGHT - 7.0)) text-anchor=(match minutes { 0 => "end", _ => "middle" }) {
                        @match minutes { 0 => "now", n => { "−" (n) " min" } }
                    }
                }
                @for (from, to) in away(samples, now_us) {
                    @let (x, end) = (scale.x(from), scale.x(to));
                    rect.away fill={ "url(#" (hatch) ")" } x=(one(x)) y=(one(TOP)) width=(one((end - x).max(1.0))) height=(one(bottom - TOP)) {}
                }
                path.bars d=(bars(samples, &scale)) {}
                path.median d=(line(samples, &scale)) {}
            }
        }
    }
}

/// Labels stand at every so many decades.
fn step((low, high): (i32, i32)) -> i32 {
    if high - low > 5 { 2 } else { 1 }
}

/// `10^power` microseconds.
fn unit(power: i32) -> String {
    match power {
        ..3 => format!("{} µs", 10_i64.pow(power.max(0) as u32)),
        3..6 => format!("{} ms", 10_i64.pow(power as u32 - 3)),
        _ => format!("{} s", grouped(10_u64.pow(power as u32 - 6))),
    }
}

/// When it was not followed.
fn away(samples: &[Sample], now_us: i64) -> Vec<(i64, i64)> {
    let mut stretches: Vec<(i64, i64)> = Vec::new();
    for (at, sample) in samples.iter().enumerate().filter(|(_, sample)| sample.state != SiteState::Following) {
        // It counts until the next one.
        let until = samples.get(at + 1).map_or(now_us, |next| next.at_us).min(sample.at_us + 2 * EVERY.as_micros() as i64);
        match stretches.last_mut().filter(|last| last.1 >= sample.at_us) {
            Some(last) => last.1 = until,
            None => stretches.push((sample.at_us, until)),
        }
    }
    stretches
}

fn bars(samples: &[Sample], scale: &Scale) -> String {
    let mut path = String::new();
    for (sample, lag) in samples.iter().filter_map(|sample| Some((sample, sample.lag?))) {
        let _ = write!(path, "M{:.1} {:.1}V{:.1}", scale.x(sample.at_us), scale.y(lag.median_us) + 0.5, scale.y(lag.longest_us) - 0.5);
    }
    path
}

/// Joined where one sample follows the other; one alone is a dot.
fn line(samples: &[Sample], scale: &Scale) -> String {
    let (mut path, mut last_us) = (String::new(), None);
    for sample in samples {
        let Some(lag) = sample.lag else { continue };
        let (x, y) = (scale.x(sample.at_us), scale.y(lag.median_us));
        let follows = last_us.is_some_and(|last_us| sample.at_us - last_us < 2 * EVERY.as_micros() as i64);
        let _ = if follows { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h0.1") };
        last_us = Some(sample.at_us);
    }
    path
}

/// The plot in words.
fn described(samples: &[Sample]) -> String {
    let mut text = match samples.iter().filter_map(|sample| Some((sample.lag?, sample.at_us))).max_by_key(|(lag, _)| lag.longest_us) {
        None => "No rows were written.".to_owned(),
        Some((longest, at_us)) => {
            let last = samples.iter().rev().find_map(|sample| sample.lag).unwrap_or(longest);
            format!("The longest lag was {} at {}; the last median is {}.", lag(longest.longest_us), clock(at_us), lag(last.median_us))
        }
    };
    let away = samples.iter().filter(|sample| sample.state != SiteState::Following).count() as u64 * EVERY.as_secs();
    if away > 0 {
        let _ = write!(text, " It was not followed for about {}.", seconds(away));
    }
    text
}

/// Hours and minutes.
fn clock(us: i64) -> String {
    moment(us).get(11..16).unwrap_or_default().to_owned()
}

fn table(all: &[(&str, Vec<Sample>)], now_us: i64) -> Markup {
    let first = (now_us - HOUR_US).div_euclid(LINE_US);
    let begun = all.iter().flat_map(|(_, samples)| samples.first()).map(|sample| sample.at_us.div_euclid(LINE_US)).min();
    let lines: Vec<i64> = (begun.unwrap_or(first).max(first)..=now_us.div_euclid(LINE_US)).rev().collect();
    html! {
        details #lag-table {
            summary { "The same as a table" }
            div.wide role="region" aria-labelledby="lag-caption" tabindex="0" {
                table {
                    caption #lag-caption { "The longest lag at each site in five minutes, and its state where it was not followed all the time" }
                    thead { tr { th scope="col" { "From (UTC)" } @for (site, _) in all { th.number scope="col" { (site) } } } }
                    tbody {
                        @for begins in lines {
                            tr {
                                th scope="row" { (clock(begins * LINE_US)) }
                                @for (_, samples) in all { td.number { (cell(samples, begins)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(samples: &[Sample], begins: i64) -> String {
    let within: Vec<&Sample> = samples.iter().filter(|sample| sample.at_us.div_euclid(LINE_US) == begins).collect();
    let longest = within.iter().filter_map(|sample| sample.lag).map(|lag| lag.longest_us).max();
    let away = within.iter().rev().map(|sample| sample.state).find(|state| *state != SiteState::Following);
    match (longest.map(lag), away) {
        (Some(longest), None) => longest,
        (Some(longest), Some(state)) => format!("{longest}, {}", state.in_words()),
        (None, Some(state)) => state.in_words().into(),
        (None, None) => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::health::Spread;

    const MINUTE_US: i64 = 60_000_000;

    fn sample(at_us: i64, lag: Option<(i64, i64)>, state: SiteState) -> Sample {
        Sample { at_us, state, lag: lag.map(|(median_us, longest_us)| Spread { median_us, longest_us }), owed: 0 }
    }

    #[test]
    fn the_scale_is_of_decades_that_hold_all() {
        assert_eq!(decades([].iter()), (3, 6));
        let samples =
            [sample(0, Some((120, 2_000_000)), SiteState::Following), sample(0, Some((5_000, 90_000_000_000)), SiteState::Following)];
        assert_eq!(decades(samples.iter()), (2, 11));
        let scale = Scale { now_us: HOUR_US, decades: (3, 6) };
        assert_eq!((scale.x(0), scale.x(HOUR_US)), (LEFT, WIDTH - RIGHT));
        assert_eq!((scale.y(1_000), scale.y(1_000_000), scale.y(0)), (HEIGHT - BOTTOM, TOP, HEIGHT - BOTTOM));
        assert_eq!((unit(2), unit(3), unit(5), unit(9)), ("100 µs".into(), "1 ms".into(), "100 ms".into(), "1,000 s".into()));
    }

    #[test]
    fn gaps_are_gaps_and_time_away_is_one_stretch() {
        let every = EVERY.as_micros() as i64;
        let lag = Some((1_000, 10_000));
        let samples = [
            sample(every, lag, SiteState::Following),
            sample(2 * every, lag, SiteState::Following),
            sample(3 * every, None, SiteState::Retrying),
            sample(4 * every, None, SiteState::Retrying),
            sample(5 * every, lag, SiteState::Following),
        ];
        let scale = Scale { now_us: HOUR_US, decades: (3, 6) };
        let drawn = line(&samples, &scale);
        assert_eq!((drawn.matches('M').count(), drawn.matches('L').count()), (2, 1), "{drawn}");
        assert_eq!(bars(&samples, &scale).matches('V').count(), 3);
        assert_eq!(away(&samples, HOUR_US), [(3 * every, 5 * every)]);
        // A daemon that hung for minutes knows nothing of them.
        assert_eq!(away(&[sample(0, None, SiteState::Paused)], 10 * MINUTE_US), [(0, 2 * every)]);
        assert!(described(&samples).ends_with("It was not followed for about 30 s."), "{}", described(&samples));
        assert_eq!(cell(&samples, 0), "10.0 ms, retrying");
        assert_eq!((cell(&samples, 1), described(&[])), ("–".into(), "No rows were written.".into()));
    }
}
