//! Samples of how sites were doing over the last hour, kept in memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::status::SiteState;
use crate::capture::health::Spread;

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(15);
/// An hour of them for each site.
pub const KEPT_MAX: usize = 240;
pub const HOUR_US: i64 = 3_600_000_000;
/// What is owed is getting less if it has over that long, microseconds.
const TREND_US: i64 = 60_000_000;

/// One site at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Microseconds since 1970.
    pub at_us: i64,
    pub state: SiteState,
    /// Of the rows applied there since the sample before; None: there were none.
    pub lag: Option<Spread>,
    /// Rows that it was owed.
    pub owed: u64,
}

/// The samples of each site, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<(String, VecDeque<Sample>)>);

impl Samples {
    pub fn add(&mut self, site: &str, sample: Sample) {
        let at = self.0.iter().position(|(name, _)| name == site).unwrap_or_else(|| {
            self.0.push((site.to_owned(), VecDeque::new()));
            self.0.len() - 1
        });
        let kept = &mut self.0[at].1;
        if kept.len() == KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// Of the hour before `now_us`.
    pub fn of(&self, site: &str, now_us: i64) -> Vec<Sample> {
        let kept = self.0.iter().find(|(name, _)| name == site).map(|(_, kept)| kept);
        kept.into_iter().flatten().filter(|sample| (now_us - HOUR_US..=now_us).contains(&sample.at_us)).copied().collect()
    }

    /// Seconds until nothing is owed, if it goes on as over the last minute; None: it does not get less, or that is not known.
    pub fn seconds_until_settled(&self, site: &str, owed: u64, now_us: i64) -> Option<u64> {
        let before = self.of(site, now_us).into_iter().rev().find(|sample| now_us - sample.at_us >= TREND_US)?;
        let (less, took_us) = (before.owed.checked_sub(owed).filter(|less| *less > 0)?, now_us - before.at_us);
        Some((u128::from(owed) * took_us as u128 / u128::from(less) / 1_000_000) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(at_s: i64, owed: u64) -> Sample {
        Sample { at_us: at_s * 1_000_000, state: SiteState::Following, lag: None, owed }
    }

    #[test]
    fn an_hour_is_kept() {
        let mut samples = Samples::default();
        (0..10_000).for_each(|at| samples.add("nj", sample(at * 15, 0)));
        let kept = samples.of("nj", 9_999 * 15_000_000);
        assert_eq!((kept.len(), kept[0].at_us, samples.0[0].1.len()), (KEPT_MAX, (9_999 - 239) * 15_000_000, KEPT_MAX));
        // After a pause, what is older than an hour is not shown.
        assert_eq!(samples.of("nj", 9_999 * 15_000_000 + HOUR_US).len(), 1);
        assert!(samples.of("ny", 0).is_empty());
    }

    #[test]
    fn the_time_left_follows_from_the_last_minute() {
        let mut samples = Samples::default();
        for (at, owed) in [(0, 9000), (60, 6000), (75, 5500)] {
            samples.add("nj", sample(at, owed));
        }
        let left = |owed, at_s: i64| samples.seconds_until_settled("nj", owed, at_s * 1_000_000);
        assert_eq!(left(3000, 120), Some(60));
        assert_eq!(left(7000, 120), None, "it grows");
        assert_eq!(left(0, 120), Some(0));
        assert_eq!(left(1, 30), None, "there is no minute yet");
    }
}
