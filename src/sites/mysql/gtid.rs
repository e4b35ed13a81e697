//! Places in the log: sets of transaction names, in MariaDB's spelling and in MySQL's.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::ops::RangeInclusive;

use mysql_async::{GnoInterval, Sid};

use super::connect::Flavor;

/// Numbers that a source gives its transactions.
pub(super) const NUMBERS: RangeInclusive<u64> = 1..=(i64::MAX as u64 - 1);
/// Longest tag of a source's transactions, in bytes.
const TAG_BYTES_MAX: usize = 32;

/// The name of one transaction in a server's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Gtid {
    MariaDb { domain: u32, server: u32, sequence: u64 },
    MySql { source: Source, number: u64 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Source {
    pub uuid: [u8; 16],
    /// Empty for most; MySQL 8.4 and later can tag a source's transactions.
    pub tag: String,
}

/// All transactions up to a place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum GtidSet {
    /// By domain: server and number of the last transaction.
    MariaDb(BTreeMap<u32, (u32, u64)>),
    /// By source: ranges, both ends included, in order and apart.
    MySql(BTreeMap<Source, Vec<(u64, u64)>>),
}

impl GtidSet {
    pub(super) fn parse(flavor: Flavor, text: &str) -> Option<GtidSet> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        match flavor {
            Flavor::MariaDb => parts.map(parse_domain).collect::<Option<_>>().map(GtidSet::MariaDb),
            Flavor::MySql => {
                let mut set = BTreeMap::new();
                for part in parts {
                    parse_source(part, &mut set)?;
                }
                set.values_mut().for_each(merge);
                Some(GtidSet::MySql(set))
            }
        }
    }

    pub(super) fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (GtidSet::MariaDb(last), Gtid::MariaDb { domain, sequence, .. }) => last.get(domain).is_some_and(|(_, n)| n >= sequence),
            (GtidSet::MySql(ranges), Gtid::MySql { source, number }) => {
                ranges.get(source).is_some_and(|r| r.iter().any(|(from, to)| from <= number && number <= to))
            }
            _ => false,
        }
    }

    pub(super) fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (GtidSet::MariaDb(last), Gtid::MariaDb { domain, server, sequence }) => {
                last.insert(*domain, (*server, *sequence));
            }
            (GtidSet::MySql(sources), Gtid::MySql { source, number }) => match sources.get_mut(source) {
                Some(ranges) => add_range(ranges, *number, *number),
                None => {
                    sources.insert(source.clone(), vec![(*number, *number)]);
                }
            },
            _ => {}
        }
    }

    /// What both have: where a reader for two members begins.
    pub(super) fn intersect(&self, other: &GtidSet) -> GtidSet {
        match (self, other) {
            (GtidSet::MariaDb(a), GtidSet::MariaDb(b)) => {
                GtidSet::MariaDb(a.iter().filter_map(|(d, x)| b.get(d).map(|y| (*d, if x.1 <= y.1 { *x } else { *y }))).collect())
            }
            (GtidSet::MySql(a), GtidSet::MySql(b)) => GtidSet::MySql(
                a.iter()
                    .filter_map(|(source, x)| {
                        let common = common_ranges(x, b.get(source)?);
                        (!common.is_empty()).then(|| (source.clone(), common))
                    })
                    .collect(),
            ),
            _ => self.clone(),
        }
    }

    /// Domains and their last transactions that `end`, the end of a server's log, has not reached.
    pub(super) fn beyond(&self, end: &GtidSet) -> bool {
        match (self, end) {
            (GtidSet::MariaDb(ours), GtidSet::MariaDb(end)) => ours.iter().any(|(d, x)| end.get(d).is_none_or(|y| y.1 < x.1)),
            _ => false,
        }
    }

    pub(super) fn sids(&self) -> Vec<Sid<'static>> {
        let GtidSet::MySql(sources) = self else { return Vec::new() };
        sources
            .iter()
            .map(|(source, ranges)| {
                let intervals = ranges.iter().map(|(from, to)| GnoInterval::new(*from, to + 1)).collect();
                let sid = Sid::new(source.uuid).with_intervals(intervals);
                match source.tag.clone().try_into() {
                    Ok(tag) if !source.tag.is_empty() => sid.with_tag(tag),
                    _ => sid,
                }
            })
            .collect()
    }
}

fn parse_domain(part: &str) -> Option<(u32, (u32, u64))> {
    let mut numbers = part.split('-');
    let triple = (numbers.next()?.parse().ok()?, (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?));
    numbers.next().is_none().then_some(triple)
}

fn parse_source(part: &str, set: &mut BTreeMap<Source, Vec<(u64, u64)>>) -> Option<()> {
    let mut pieces = part.split(':').map(str::trim);
    let uuid = parse_uuid(pieces.next()?)?;
    let mut tag = String::new();
    for piece in pieces {
        if !piece.starts_with(|c: char| c.is_ascii_digit()) {
            tag = Some(piece).filter(|tag| is_tag(tag))?.to_owned();
            continue;
        }
        let (from, to) = piece.split_once('-').unwrap_or((piece, piece));
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        if from > to || !NUMBERS.contains(&from) || !NUMBERS.contains(&to) {
            return None;
        }
        set.entry(Source { uuid, tag: tag.clone() }).or_default().push((from, to));
    }
    Some(())
}

fn is_tag(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.len() <= TAG_BYTES_MAX && text.starts_with(letter) && text.chars().all(|c| letter(c) || c.is_ascii_digit())
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
    if digits.len() != 32 || text.len() != 36 {
        return None;
    }
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(uuid)
}

/// `llllllll-mmmm-hhhh-ssss-nnnnnnnnnnnn` of 16 bytes.
pub(super) fn uuid_text(uuid: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in uuid.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn add_range(ranges: &mut Vec<(u64, u64)>, from: u64, to: u64) {
    if let Some(last) = ranges.last_mut()
        && last.1.checked_add(1) == Some(from)
    {
        last.1 = to;
        return;
    }
    ranges.push((from, to));
    merge(ranges);
}

/// Puts ranges in order and joins those that meet.
fn merge(ranges: &mut Vec<(u64, u64)>) {
    ranges.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges.drain(..) {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    *ranges = merged;
}

fn common_ranges(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let (mut common, mut a, mut b) = (Vec::new(), a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        let (from, to) = (x.0.max(y.0), x.1.min(y.1));
        if from <= to {
            common.push((from, to));
        }
        if x.1 < y.1 {
            a.next()
        } else {
            b.next()
        };
    }
    common
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GtidSet::MariaDb(domains) => {
                for (i, (domain, (server, sequence))) in domains.iter().enumerate() {
                    write!(f, "{}{domain}-{server}-{sequence}", if i == 0 { "" } else { "," })?;
                }
            }
            GtidSet::MySql(sources) => {
                for (i, (source, ranges)) in sources.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { "," }, uuid_text(&source.uuid))?;
                    if !source.tag.is_empty() {
                        write!(f, ":{}", source.tag)?;
                    }
                    for (from, to) in ranges {
                        if from == to { write!(f, ":{from}")? } else { write!(f, ":{from}-{to}")? }
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";

    #[test]
    fn mariadb_sets() {
        let mut set = GtidSet::parse(Flavor::MariaDb, "0-11-30, 7-12-5").unwrap();
        assert_eq!(set.to_string(), "0-11-30,7-12-5");
        assert!(set.contains(&Gtid::MariaDb { domain: 0, server: 99, sequence: 30 }));
        assert!(!set.contains(&Gtid::MariaDb { domain: 0, server: 11, sequence: 31 }));
        assert!(!set.contains(&Gtid::MariaDb { domain: 1, server: 11, sequence: 1 }));
        set.add(&Gtid::MariaDb { domain: 1, server: 11, sequence: 1 });
        let other = GtidSet::parse(Flavor::MariaDb, "0-11-12,1-11-9").unwrap();
        assert_eq!(set.intersect(&other).to_string(), "0-11-12,1-11-1");
        assert!(set.beyond(&other) && !other.intersect(&set).beyond(&set));
        assert_eq!(GtidSet::parse(Flavor::MariaDb, "").unwrap().to_string(), "");
        assert!(GtidSet::parse(Flavor::MariaDb, "0-1").is_none());
    }

    #[test]
    fn mysql_sets() {
        let text = format!("{A}:1-5:8,\n{A}:tag_a:3");
        let mut set = GtidSet::parse(Flavor::MySql, &text).unwrap();
        assert_eq!(set.to_string(), format!("{A}:1-5:8,{A}:tag_a:3"));
        let source = Source { uuid: parse_uuid(A).unwrap(), tag: String::new() };
        for number in [6, 7] {
            assert!(!set.contains(&Gtid::MySql { source: source.clone(), number }));
            set.add(&Gtid::MySql { source: source.clone(), number });
        }
        assert_eq!(set.to_string(), format!("{A}:1-8,{A}:tag_a:3"));
        let other = GtidSet::parse(Flavor::MySql, &format!("{A}:2-3:7-20")).unwrap();
        assert_eq!(set.intersect(&other).to_string(), format!("{A}:2-3:7-8"));
        for damaged in
            ["nonsense:1".into(), format!("{A}:0"), format!("{A}:5-4"), format!("{A}:1-18446744073709551615"), format!("{A}:t'x:1")]
        {
            assert!(GtidSet::parse(Flavor::MySql, &damaged).is_none(), "{damaged}");
        }
    }
}
