//! Dates and times: their calendar, their one spelling as text, and the columns that have room for them.

use super::column::DAY_US;
use super::{Date, DateTime, Refusal, Span, ZeroDates};

/// MySQL's TIME ends at 838:59:59.
pub(super) const LONG_TIME_MAX_US: i64 = (838 * 3600 + 59 * 60 + 59) * 1_000_000;

impl Date {
    /// `YYYY-MM-DD`, as `Display` writes it; zeros for month and day are let through.
    pub fn parse(text: &str) -> Option<Date> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (year, rest) = digits.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let year: i32 = number(year, 3, 9)?.try_into().ok()?;
        let year = if negative { -year } else { year };
        let date = Date { year, month: number(month, 2, 2)? as u8, day: number(day, 2, 2)? as u8 };
        (date.plausible() && date.to_string() == text).then_some(date)
    }

    /// Year, month and day are numbers that a date of some engine could have; month and day may be zero.
    pub(super) fn plausible(self) -> bool {
        (-9_999_999..=9_999_999).contains(&self.year) && self.month <= 12 && self.day <= 31
    }

    /// Month or day is not known.
    pub fn has_zero(self) -> bool {
        self.month == 0 || self.day == 0
    }

    /// A day of the Gregorian calendar, continued before its introduction, with a year 0.
    pub fn is_day(self) -> bool {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        let days = match self.month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return false,
        };
        (1..=days).contains(&self.day)
    }
}

impl DateTime {
    /// A date, a space or `T`, and a time of day with up to six digits of fraction.
    pub fn parse(text: &str) -> Option<DateTime> {
        let (date, time) = text.split_once([' ', 'T'])?;
        let moment = DateTime { date: Date::parse(date)?, us: parse_time(time)? };
        moment.plausible().then_some(moment)
    }

    pub(super) fn plausible(self) -> bool {
        self.date.plausible() && (0..DAY_US).contains(&self.us)
    }
}

/// Microseconds of `[-]HH:MM:SS[.ffffff]`; hours may have more digits and fractions fewer.
pub fn parse_time(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (clock, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let mut parts = clock.split(':');
    let (h, m, s) = (number(parts.next()?, 2, 4)?, number(parts.next()?, 2, 2)?, number(parts.next()?, 2, 2)?);
    if parts.next().is_some() || m > 59 || s > 59 {
        return None;
    }
    let fraction_us = number(fraction, 1, 6)? * 10i64.pow(6 - fraction.len() as u32);
    let us = (h * 3600 + m * 60 + s) * 1_000_000 + fraction_us;
    Some(if negative { -us } else { us })
}

/// A number of `min` to `max` ASCII digits, nine at most.
fn number(text: &str, min: usize, max: usize) -> Option<i64> {
    ((min..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

pub(super) fn fit_fraction(us: i64, fraction: u8) -> Result<(), Refusal> {
    if us % 10i64.pow(6 - u32::from(fraction.min(6))) == 0 {
        Ok(())
    } else {
        Err(Refusal("a fraction of a second finer than the column keeps"))
    }
}

pub(super) fn fit_time(us: i64, fraction: u8, long: bool) -> Result<i64, Refusal> {
    let range = if long { -LONG_TIME_MAX_US..=LONG_TIME_MAX_US } else { 0..=DAY_US };
    if !range.contains(&us) {
        return Err(Refusal("a time outside the column's range"));
    }
    fit_fraction(us, fraction)?;
    Ok(us)
}

pub(super) fn fit_moment(moment: DateTime, zero: ZeroDates, span: Span) -> Result<(), Refusal> {
    let date = moment.date;
    if date.has_zero() {
        let whole = moment == DateTime { date: Date { year: 0, month: 0, day: 0 }, us: 0 };
        if zero == ZeroDates::No || (zero == ZeroDates::Whole && !whole) {
            return Err(Refusal("a zero date"));
        }
        if whole {
            return Ok(());
        }
    } else if !date.is_day() || (zero != ZeroDates::No && (date.year, date.month, date.day) == (0, 2, 29)) {
        // MySQL, unlike PostgreSQL, has no leap day in the year 0.
        return Err(Refusal("not a day of the calendar"));
    }
    if moment < span.from || moment > span.to { Err(Refusal("a date outside the column's range")) } else { Ok(()) }
}
