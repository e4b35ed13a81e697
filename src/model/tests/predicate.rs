//! Filters: SQL's three-valued logic, one meaning on every engine.

use super::Random;
use crate::model::*;

/// The row that the tests look at; `gone` is a column that the log left out, `odd` one that has no canonical form.
fn cell(name: &str) -> Option<&'static Cell> {
    use std::sync::LazyLock;
    static ROW: LazyLock<[(&str, Cell); 8]> = LazyLock::new(|| {
        [
            ("uid", Cell::Value(Value::Int(7))),
            ("big", Cell::Value(Value::unsigned(u64::MAX))),
            ("name", Cell::Value(Value::text("Joe_%\\x"))),
            ("rate", Cell::Value(Value::float(1.5))),
            ("price", Cell::Value(Value::Decimal(Decimal::parse("10.5").expect("a number")))),
            ("none", Cell::Value(Value::Null)),
            ("gone", Cell::Unchanged),
            ("odd", Cell::Refused("bytes that are not UTF-8")),
        ]
    });
    ROW.iter().find(|(n, _)| *n == name).map(|(_, cell)| cell)
}

fn column(name: &str) -> Operand {
    Operand::Column(name.into())
}

fn is(predicate: &Predicate) -> Option<bool> {
    predicate.evaluate(&|name| cell(name))
}

fn compare(a: Operand, how: Comparison, b: Operand) -> Predicate {
    Predicate::Compare(a, how, b)
}

fn int(n: i64) -> Operand {
    Operand::Literal(Value::Int(n))
}

#[test]
fn comparisons() {
    use Comparison::*;
    let rows = [
        ("uid", Greater, int(1), Some(true)),
        ("uid", Less, int(7), Some(false)),
        ("uid", LessOrEqual, int(7), Some(true)),
        ("uid", GreaterOrEqual, int(8), Some(false)),
        ("uid", NotEqual, int(7), Some(false)),
        ("uid", Less, column("big"), Some(true)),
        ("big", Greater, int(i64::MAX), Some(true)),
        ("price", Greater, int(10), Some(true)),
        ("price", Less, column("big"), Some(true)),
        ("rate", Equal, Operand::Literal(Value::Decimal(Decimal::parse("1.50").expect("a number"))), Some(true)),
        ("rate", Less, int(2), Some(true)),
        ("uid", Equal, Operand::Literal(Value::text("7")), None),
        ("uid", Equal, Operand::Literal(Value::Null), None),
        ("none", Equal, int(0), None),
        ("none", NotEqual, int(0), None),
        ("gone", Equal, int(0), None),
        ("odd", Equal, int(0), None),
        ("missing", Equal, int(0), None),
        ("name", Equal, Operand::Literal(Value::text("joe_%\\x")), Some(false)),
    ];
    for (name, how, operand, wanted) in rows {
        assert_eq!(is(&compare(column(name), how, operand.clone())), wanted, "{name} {how:?} {operand:?}");
    }
}

#[test]
fn unknown_is_carried_as_sql_does() {
    let truth = |t: Option<bool>| match t {
        Some(true) => compare(int(1), Comparison::Equal, int(1)),
        Some(false) => compare(int(1), Comparison::Equal, int(2)),
        None => compare(column("none"), Comparison::Equal, int(1)),
    };
    let all = [Some(true), Some(false), None];
    for a in all {
        assert_eq!(is(&Predicate::Not(truth(a).into())), a.map(|t| !t));
        for b in all {
            let wanted_and = if a == Some(false) || b == Some(false) { Some(false) } else { a.and(b) };
            let wanted_or = if a == Some(true) || b == Some(true) { Some(true) } else { a.and(b) };
            assert_eq!(is(&Predicate::And(truth(a).into(), truth(b).into())), wanted_and, "{a:?} and {b:?}");
            assert_eq!(is(&Predicate::Or(truth(a).into(), truth(b).into())), wanted_or, "{a:?} or {b:?}");
        }
    }
}

#[test]
fn lists_ranges_and_null() {
    let list = |items: &[i64], null: bool, negated| {
        let mut list: Vec<_> = items.iter().map(|n| int(*n)).collect();
        list.extend(null.then(|| column("none")));
        is(&Predicate::In { operand: column("uid"), list, negated })
    };
    assert_eq!(list(&[1, 7], true, false), Some(true));
    assert_eq!(list(&[1, 7], true, true), Some(false));
    assert_eq!(list(&[1, 2], true, false), None);
    assert_eq!(list(&[1, 2], true, true), None);
    assert_eq!(list(&[1, 2], false, true), Some(true));
    assert_eq!(list(&[], false, false), Some(false));
    let between = |low, high, negated| is(&Predicate::Between { operand: column("uid"), low, high, negated });
    assert_eq!(between(int(7), int(7), false), Some(true));
    assert_eq!(between(int(1), int(6), true), Some(true));
    assert_eq!(between(column("none"), int(6), false), Some(false), "7 is above 6, whatever the lower end is");
    assert_eq!(between(column("none"), int(8), true), None);
    let null = |name, negated| is(&Predicate::IsNull { operand: column(name), negated });
    assert_eq!((null("none", false), null("uid", false), null("uid", true)), (Some(true), Some(false), Some(true)));
    assert_eq!((null("gone", false), null("odd", true), null("missing", false)), (None, None, None));
}

#[test]
fn like_matches_as_sql() {
    let like = |text: &str, pattern: &str| {
        let operand = Operand::Literal(Value::text(text));
        Predicate::Like { operand, pattern: pattern.into(), negated: false }.evaluate(&|_| None)
    };
    let rows = [
        ("", "", true),
        ("", "%", true),
        ("", "_", false),
        ("abc", "abc", true),
        ("abc", "ABC", false),
        ("abc", "a%", true),
        ("abc", "%c", true),
        ("abc", "%b%", true),
        ("abc", "a_c", true),
        ("abc", "____", false),
        ("é😀", "__", true),
        ("aXbXc", "a%X_", true),
        ("a%c", "a\\%c", true),
        ("abc", "a\\%c", false),
        ("a\\", "a\\", true),
        ("a_", "%\\_", true),
        ("mississippi", "%iss%ip%i", true),
        ("mississippi", "%iss%is%is%", false),
    ];
    for (text, pattern, wanted) in rows {
        assert_eq!(like(text, pattern), Some(wanted), "{text} like {pattern}");
    }
    let long = "a".repeat(20_000);
    assert_eq!(like(&long, &("%a".repeat(50) + "b")), Some(false), "no exponential search");
    assert_eq!(is(&Predicate::Like { operand: column("none"), pattern: "%".into(), negated: true }), None);
    assert_eq!(is(&Predicate::Like { operand: column("uid"), pattern: "7".into(), negated: false }), None);
    assert_eq!(is(&Predicate::Like { operand: column("name"), pattern: "J%".into(), negated: true }), Some(false));
}

#[test]
fn like_agrees_with_a_naive_matcher() {
    fn naive(text: &[char], pattern: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['%', rest @ ..] => (0..=text.len()).any(|n| naive(&text[n..], rest)),
            ['\\', c, rest @ ..] => text.first() == Some(c) && naive(&text[1..], rest),
            ['_', rest @ ..] => !text.is_empty() && naive(&text[1..], rest),
            [c, rest @ ..] => text.first() == Some(c) && naive(&text[1..], rest),
        }
    }
    let mut random = Random::new(7);
    for _ in 0..50_000 {
        let text: String = (0..random.below(8)).map(|_| *random.pick(&['a', 'b', '%', '\\'])).collect();
        let pattern: String = (0..random.below(7)).map(|_| *random.pick(&['a', 'b', '%', '%', '_', '\\'])).collect();
        let wanted = naive(&text.chars().collect::<Vec<_>>(), &pattern.chars().collect::<Vec<_>>());
        let operand = Operand::Literal(Value::text(text.clone()));
        let got = Predicate::Like { operand, pattern: pattern.clone(), negated: false }.evaluate(&|_| None);
        assert_eq!(got, Some(wanted), "{text} like {pattern}");
    }
}

#[test]
fn columns_are_named() {
    let predicate = Predicate::Or(
        Predicate::Not(Predicate::In { operand: column("a"), list: vec![column("b"), int(1)], negated: false }.into()).into(),
        Predicate::And(
            Predicate::Between { operand: column("c"), low: int(1), high: column("d"), negated: false }.into(),
            Predicate::And(
                Predicate::Like { operand: column("e"), pattern: "%".into(), negated: false }.into(),
                Predicate::IsNull { operand: column("f"), negated: false }.into(),
            )
            .into(),
        )
        .into(),
    );
    assert_eq!(predicate.columns(), ["a", "b", "c", "d", "e", "f"]);
}
