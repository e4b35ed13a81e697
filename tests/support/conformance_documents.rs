//! JSON. MariaDB and SQLite keep its text, so there the canonical spelling is what arrives.

use super::{Column, Engine, NO, NULL, all, column, each, three};

const RESPELLED: &str = r#"'{ "b": {"d": [ ], "c": 1.50}, "a": 100 }'"#;
const CANONICAL: &str = r#"'{"a":100,"b":{"c":1.5,"d":[]}}'"#;

pub const COLUMNS: &[Column] = &[
    column(
        "json",
        ["JSON", "JSON", "JSONB", "JSON"],
        &[
            NULL,
            all("the word null", "'null'"),
            all("true", "'true'"),
            all("empty object", "'{}'"),
            all("text", r#"'"é😀"'"#),
            all("keys", r#"'{"":0,"a":[null,true,"x"],"bb":{}}'"#),
            all("64 bits", "'[-9223372036854775808,18446744073709551615]'"),
            all("a tenth", "'[0.1]'"),
            all("respelled", RESPELLED).arriving([CANONICAL, CANONICAL, CANONICAL, CANONICAL]),
            all("keys twice", r#"'{"a":1,"a":2}'"#).arriving([r#"'{"a":2}'"#; 4]),
            three("escapes", r#"'["\\u00e9\\/"]'"#, r#"'["\u00e9\/"]'"#, r#"'["\u00e9\/"]'"#).arriving([r#"'["é/"]'"#; 4]),
            three("NUL in a string", r#"'["\\u0000"]'"#, NO, r#"'["\u0000"]'"#),
            each("more than 64 bits", ["'[18446744073709551617]'", NO, "'[18446744073709551617]'", "'[18446744073709551617]'"]),
            each("larger than a double", ["'[1e400]'", NO, "'[1e400]'", "'[1e400]'"]),
            each("more than a double", ["'[0.12345678901234567890]'", NO, "'[0.12345678901234567890]'", "'[0.12345678901234567890]'"])
                .arriving(["'[0.1234567890123456789]'", NO, "'[0.1234567890123456789]'", "'[0.1234567890123456789]'"]),
        ],
    ),
    column(
        "json_beside_text",
        ["LONGTEXT CHARACTER SET utf8mb4", "LONGTEXT CHARACTER SET utf8mb4", "JSONB", "TEXT"],
        &[
            NULL,
            all("canonical", CANONICAL),
            three("respelled", RESPELLED, NO, RESPELLED).arriving_at_hub(Engine::Postgres, CANONICAL),
            three("not JSON", "'nope'", NO, "'nope'"),
        ],
    ),
];
