//! How long rows took from the commit at their source to the commit at a site, counted by source and by group of tables.

use crate::model::SiteId;

/// Upper bounds of the buckets, seconds. Rows that took longer are in a last one without a bound.
pub const BOUNDS_S: [f64; 18] =
    [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0];

/// One row of a batch that a site has committed.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// Where its latest value was written.
    pub source: SiteId,
    /// When that was committed there, microseconds since 1970; 0: not known.
    pub committed_us: i64,
    /// Of a table whose rows go before others.
    pub urgent: bool,
}

/// How many rows took how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS_S.len() + 1],
    sum_us: u64,
}

impl Histogram {
    pub fn add(&mut self, lag_us: i64) {
        let lag_us = lag_us.max(0);
        let lag_s = lag_us as f64 / 1e6;
        self.counts[BOUNDS_S.partition_point(|bound| *bound < lag_s)] += 1;
        self.sum_us = self.sum_us.saturating_add(lag_us as u64);
    }

    /// For each bound, and last for none, how many rows took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
    }

    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    pub fn sum_seconds(&self) -> f64 {
        self.sum_us as f64 / 1e6
    }
}

/// A site's lags behind each of the others. A handful of pairs: looked through from the front.
#[derive(Clone, Debug, Default)]
pub struct Lags(Vec<((SiteId, bool), Histogram)>);

impl Lags {
    pub fn add(&mut self, source: SiteId, urgent: bool, lag_us: i64) {
        let at = self.0.iter().position(|(pair, _)| *pair == (source, urgent));
        let at = at.unwrap_or_else(|| {
            self.0.push(((source, urgent), Histogram::default()));
            self.0.len() - 1
        });
        self.0[at].1.add(lag_us);
    }

    /// Source, whether of urgent tables, and the lags.
    pub fn iter(&self) -> impl Iterator<Item = (SiteId, bool, &Histogram)> {
        self.0.iter().map(|((source, urgent), histogram)| (*source, *urgent, histogram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lag_is_counted_up_to_its_bound() {
        let mut histogram = Histogram::default();
        [-5, 2000, 2001, 86_400_000_000, i64::MAX].iter().for_each(|lag_us| histogram.add(*lag_us));
        let cumulative: Vec<u64> = histogram.cumulative().collect();
        assert_eq!((cumulative[0], cumulative[1], cumulative[17], cumulative[18]), (2, 3, 4, 5));
        assert_eq!((cumulative.len(), histogram.count()), (BOUNDS_S.len() + 1, 5));
        assert!(BOUNDS_S.is_sorted());
    }

    #[test]
    fn each_source_and_group_has_its_own() {
        let mut lags = Lags::default();
        lags.add(SiteId(1), true, 1);
        lags.add(SiteId(2), true, 1);
        lags.add(SiteId(1), false, 1);
        lags.add(SiteId(1), true, 1);
        let counted: Vec<_> = lags.iter().map(|(source, urgent, histogram)| (source.0, urgent, histogram.count())).collect();
        assert_eq!(counted, [(1, true, 2), (2, true, 1), (1, false, 1)]);
    }
}
