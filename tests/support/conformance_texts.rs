//! Text of every length and character set, ENUM, SET and UUID.

use super::{Column, Engine, NO, NULL, all, column, each, three};

/// Text with a NUL in it, which SQL can't spell directly.
const MYSQL_NUL: &str = "CONVERT(0x610062 USING utf8mb4)";
const SQLITE_NUL: &str = "CAST(x'610062' AS TEXT)";

pub const COLUMNS: &[Column] = &[
    column(
        "char",
        ["CHAR(8) CHARACTER SET utf8mb4", "CHAR(8) CHARACTER SET utf8mb4", "CHAR(8)", "CHAR(8)"],
        &[
            NULL,
            all("empty", "''"),
            all("word", "'Joe'"),
            all("leading space", "' a'"),
            all("full, four bytes each", "'😀😀😀😀😀😀😀😀'"),
            three("padding", "'a  '", "'a  '", "'a'"),
            three("a space at the end", NO, NO, "'a '"),
            three("too long", NO, NO, "'abcdefghi'"),
        ],
    ),
    column(
        "varchar",
        ["VARCHAR(60) CHARACTER SET utf8mb4", "VARCHAR(60) CHARACTER SET utf8mb4", "VARCHAR(60)", "VARCHAR(60)"],
        &[
            NULL,
            all("empty", "''"),
            all("spaces", "' a  '"),
            three("quote and backslash", r"'it''s \\\\n'", r"'it''s \\n'", r"'it''s \\n'"),
            three("full, four bytes each", "REPEAT('😀', 60)", "repeat('😀', 60)", "replace(hex(zeroblob(30)), '0', '😀')"),
            each(
                "accent apart",
                ["CONVERT(0x65CC81 USING utf8mb4)", "CONVERT(0x65CC81 USING utf8mb4)", r"U&'e\0301'", "CAST(x'65CC81' AS TEXT)"],
            ),
            three("NUL character", MYSQL_NUL, NO, SQLITE_NUL),
            three("too long", NO, NO, "replace(hex(zeroblob(30)), '0', 'a') || 'b'"),
            three("not UTF-8", NO, NO, "CAST(x'ff' AS TEXT)").unreadable(),
        ],
    ),
    column(
        "varchar_utf8mb3",
        ["VARCHAR(60) CHARACTER SET utf8mb3", "VARCHAR(60) CHARACTER SET utf8mb3", "VARCHAR(60)", "VARCHAR(60)"],
        &[NULL, all("empty", "''"), all("three bytes each", "'中€é'"), three("four bytes", NO, "'😀'", "'😀'")],
    ),
    column(
        "varchar_latin1",
        ["VARCHAR(60) CHARACTER SET latin1", "VARCHAR(60) CHARACTER SET latin1", "VARCHAR(60)", "VARCHAR(60)"],
        &[
            NULL,
            all("empty", "''"),
            all("Windows-1252", "'é ÿ € Ž „“ –'"),
            three("a hole of Windows-1252", "_latin1 0x81", r"U&'\0081'", "char(129)"),
            three("a control character that it has not", NO, r"U&'\0080'", "char(128)"),
            three("outside", NO, "'ā'", "'ā'"),
            three("NUL character", "_latin1 0x610062", NO, SQLITE_NUL),
        ],
    ),
    column(
        "varchar_ascii",
        ["VARCHAR(60) CHARACTER SET ascii", "VARCHAR(60) CHARACTER SET ascii", "VARCHAR(60)", "VARCHAR(60)"],
        &[NULL, all("empty", "''"), all("word", "'Joe ~'"), three("outside", NO, "'é'", "'é'")],
    ),
    column(
        "tinytext",
        ["TINYTEXT CHARACTER SET utf8mb4", "TINYTEXT CHARACTER SET utf8mb4", "TEXT", "TEXT"],
        &[
            NULL,
            all("empty", "''"),
            three("254 bytes", "REPEAT('é', 127)", "repeat('é', 127)", "substr(replace(hex(zeroblob(64)), '0', 'é'), 1, 127)"),
            three("256 bytes", NO, "repeat('é', 128)", "replace(hex(zeroblob(64)), '0', 'é')"),
        ],
    ),
    column(
        "longtext",
        ["LONGTEXT CHARACTER SET utf8mb4", "LONGTEXT CHARACTER SET utf8mb4", "TEXT", "TEXT"],
        &[
            NULL,
            all("empty", "''"),
            three("lines", r"'a\r\nb\t'", r"E'a\r\nb\t'", "'a' || char(13, 10) || 'b' || char(9)"),
            three("100,000 characters", "REPEAT('é', 100000)", "repeat('é', 100000)", "replace(hex(zeroblob(50000)), '0', 'é')"),
            three("NUL character", MYSQL_NUL, NO, SQLITE_NUL),
        ],
    ),
    column(
        "enum",
        ["ENUM('a','b','é','') CHARACTER SET utf8mb4", "ENUM('a','b','é','') CHARACTER SET utf8mb4", "TEXT", "TEXT"],
        &[
            NULL,
            all("first", "'a'"),
            all("accent", "'é'"),
            all("empty", "''"),
            three("unknown", NO, "'c'", "'c'"),
            three("other case", NO, "'A'", "'A'"),
            three("a number", NO, "'1'", "'1'"),
        ],
    ),
    column(
        "enum_beside_enum",
        ["ENUM('a','b','c')", "ENUM('a','b','c')", "conformance_label", "TEXT"],
        &[
            NULL,
            all("first", "'a'"),
            all("second", "'b'"),
            three("unknown here", "'c'", NO, "'c'"),
            three("unknown there", NO, "'d'", "'d'"),
        ],
    )
    .first("CREATE TYPE conformance_label AS ENUM ('b', 'a', 'd')"),
    column(
        "set",
        ["SET('a','b','c')", "SET('a','b','c')", "TEXT", "TEXT"],
        &[
            NULL,
            all("empty", "''"),
            all("one", "'b'"),
            all("all", "'a,b,c'"),
            three("other order", NO, "'c,a'", "'c,a'"),
            three("twice", NO, "'a,a'", "'a,a'"),
            three("unknown", NO, "'d'", "'d'"),
        ],
    ),
    column(
        "uuid",
        ["UUID", "CHAR(36)", "UUID", "TEXT"],
        &[
            NULL,
            all("some", "'0f8fad5b-d9cb-469f-a165-70867728950e'"),
            all("nil", "'00000000-0000-0000-0000-000000000000'"),
            each("upper case", [NO, "'0F8FAD5B-D9CB-469F-A165-70867728950E'", NO, "'0F8FAD5B-D9CB-469F-A165-70867728950E'"]),
            each("not a UUID", [NO, "'somebody'", NO, "'somebody'"]),
        ],
    ),
    column(
        "text_beside_any",
        ["VARCHAR(60)", "VARCHAR(60)", "VARCHAR(60)", "/* no type */"],
        &[NULL, all("digits", "'0123'"), all("empty", "''")],
    )
    .never_hub(Engine::Sqlite),
];
