//! Canonical JSON: one text for what engines hold to be the same.

use super::{Random, samples};
use crate::model::Value;

fn canonical(text: &str) -> Option<String> {
    match Value::json(text)? {
        Value::Json(text) => Some(text),
        _ => None,
    }
}

#[test]
fn equal_values_have_one_text() {
    let rows: &[(&str, &[&str])] = &[
        ("1", &["1.0", "1.00", "10e-1", "0.1e1", "1E0", "1e+0", " 1\n"]),
        ("100", &["1e2", "100.0", "0.001e5"]),
        ("0", &["-0", "0.0", "-0.000", "0e99999999999", "-0E-5"]),
        ("1.5", &["1.50", "15e-1", "0.15e+1"]),
        ("-0.05", &["-5e-2", "-0.050"]),
        ("18446744073709551615", &["18446744073709551615.0", "1.8446744073709551615e19"]),
        ("12345678901234567890.12345678901234567891", &["12345678901234567890.123456789012345678910"]),
        ("1e300", &["10E299", "0.1e301"]),
        ("1.25e-60", &["125e-62"]),
        (r#"{"a":2,"b":{"c":1,"d":[]}}"#, &[r#" { "b": {"d":[ ],"c":1.0} , "a":1, "a":2 } "#]),
        (r#"["é/\"\\\n😀"]"#, &[r#"["\u00e9\/\u0022\\\u000a\ud83d\ude00"]"#]),
        (r#"{"$serde_json::private::Number":"1"}"#, &[r#"{"\u0024serde_json::private::Number": "1"}"#]),
        ("[null,true,false]", &["[ null , true , false ]"]),
    ];
    for (wanted, spellings) in rows {
        assert_eq!(canonical(wanted).as_deref(), Some(*wanted));
        for spelling in *spellings {
            assert_eq!(canonical(spelling).as_deref(), Some(*wanted), "{spelling}");
        }
    }
    let plain = "1".to_owned() + &"0".repeat(300);
    assert_eq!(canonical(&plain).as_deref(), Some("1e300"), "as jsonb prints it");
}

#[test]
fn what_is_not_json_is_refused() {
    let deep = |n| "[".repeat(n) + &"]".repeat(n);
    assert!(canonical(&deep(128)).is_some());
    let too_deep = deep(129);
    let rows = [
        "",
        " ",
        "nul",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "--1",
        "NaN",
        "Infinity",
        "'a'",
        "\"a",
        "\"\\",
        "\"\n\"",
        "[1,]",
        "[,]",
        "{",
        "{\"a\"}",
        "{\"a\":1,}",
        "{a:1}",
        "1 2",
        "[1]]",
        "\"\\ud800\"",
        "\"\\x\"",
        "1e99999999999",
        "\u{feff}1",
        &too_deep,
    ];
    for text in rows {
        assert_eq!(canonical(text), None, "{text}");
    }
}

#[test]
fn canonical_text_stays_as_it_is_and_any_text_is_survived() {
    let mut random = Random::new(11);
    for _ in 0..50_000 {
        let text = samples::json(&mut random, 0);
        let once = canonical(&text).expect("generated JSON");
        assert_eq!(canonical(&once).as_deref(), Some(once.as_str()));
        let mut damaged: Vec<char> = text.chars().collect();
        let at = random.below(damaged.len());
        damaged[at] = *random.pick(&['"', '\\', '{', ']', ',', 'é', '9', '\0', ' ']);
        damaged.truncate(damaged.len() - random.below(2));
        let damaged: String = damaged.into_iter().collect();
        let ours = canonical(&damaged);
        if damaged.contains("private::") {
            continue; // serde_json takes that key for a number
        }
        // An exponent may have become too large for us, and nothing else.
        match serde_json::from_str::<serde_json::Value>(&damaged) {
            Ok(_) => assert!(ours.is_some() || damaged.contains(['e', 'E']), "{damaged} was refused"),
            Err(_) => assert_eq!(ours, None, "{damaged}"),
        }
    }
}
