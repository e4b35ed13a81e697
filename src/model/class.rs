//! Residue classes: the numbers that one site gives out, so that no other site gives out the same.

use std::fmt;

/// The numbers `offset`, `offset + increment`, `offset + 2 * increment` and so on; `offset` is from 1 to `increment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    pub offset: i64,
    pub increment: i64,
}

impl Class {
    /// The class that a number belongs to among `increment` of them.
    pub fn of(number: i64, increment: i64) -> Class {
        let increment = increment.max(1);
        // The class's last number is a multiple of the increment.
        let offset = match number.rem_euclid(increment) {
            0 => increment,
            offset => offset,
        };
        Class { offset, increment }
    }

    pub fn contains(self, number: i64) -> bool {
        number.rem_euclid(self.increment) == self.offset.rem_euclid(self.increment)
    }

    /// The least number of the class that is not below `least`; None where there is none.
    pub fn next_from(self, least: i64) -> Option<i64> {
        let least = least.max(self.offset);
        least.checked_add((self.offset - least).rem_euclid(self.increment))
    }

    /// No number belongs to both.
    pub fn is_apart_from(self, other: Class) -> bool {
        (self.offset - other.offset) % greatest_common_divisor(self.increment, other.increment) != 0
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {} and so on", self.offset, self.offset + self.increment, self.offset + 2 * self.increment)
    }
}

/// How a site's database gives out keys of a table to its own applications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// The site's own class.
    pub class: Class,
    /// Schema and name of the sequence that the configuration names; None: the one of the key's column.
    pub sequence: Option<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn class(offset: i64, increment: i64) -> Class {
        Class { offset, increment }
    }

    #[test]
    fn the_next_number_is_in_the_class_and_not_below() {
        for (class, least, next) in [
            (class(3, 10), 1, 3),
            (class(3, 10), 3, 3),
            (class(3, 10), 4, 13),
            (class(10, 10), 500, 500),
            (class(10, 10), 501, 510),
            (class(1, 1), 7, 7),
            (class(3, 10), -5, 3),
        ] {
            assert_eq!(class.next_from(least), Some(next), "{class:?} from {least}");
            assert!(class.contains(next));
        }
        assert_eq!(class(3, 10).next_from(i64::MAX), None);
        assert!(!class(3, 10).contains(12) && class(10, 10).contains(0) && class(1, 1).contains(-4));
        assert_eq!((Class::of(20, 10), Class::of(13, 10), Class::of(7, 1)), (class(10, 10), class(3, 10), class(1, 1)));
    }

    #[test]
    fn classes_of_different_increments_may_meet() {
        assert!(class(1, 10).is_apart_from(class(2, 10)));
        assert!(class(1, 4).is_apart_from(class(2, 10)), "odd and even");
        assert!(!class(1, 3).is_apart_from(class(2, 10)), "22 is in both");
        assert!(!class(1, 1).is_apart_from(class(2, 10)) && !class(2, 10).is_apart_from(class(2, 10)));
    }
}
