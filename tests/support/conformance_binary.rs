//! Bytes, and text where another engine has bytes.

use super::{Column, NO, NULL, column, three};

macro_rules! bytes {
    ($label:expr, $hex:expr) => {
        three($label, concat!("X'", $hex, "'"), concat!(r"'\x", $hex, "'"), concat!("x'", $hex, "'"))
    };
    ($label:expr, only_longer, $hex:expr) => {
        three($label, NO, concat!(r"'\x", $hex, "'"), concat!("x'", $hex, "'"))
    };
}

pub const COLUMNS: &[Column] = &[
    column(
        "binary",
        ["BINARY(4)", "BINARY(4)", "BYTEA", "BLOB"],
        &[
            NULL,
            bytes!("zeros", "00000000"),
            bytes!("zeros at the end", "01020000"),
            bytes!("spaces at the end", "01202020"),
            bytes!("full", "ff00fe01"),
            // Shorter in a BINARY(4) is filled with zeros: that is the value then.
            three("padding", "X'0103'", r"'\x01030000'", "x'01030000'"),
            bytes!("shorter", only_longer, "0102"),
            bytes!("longer", only_longer, "0102030405"),
        ],
    ),
    column(
        "varbinary",
        ["VARBINARY(4)", "VARBINARY(4)", "BYTEA", "BLOB"],
        &[
            NULL,
            bytes!("empty", ""),
            bytes!("zeros at the end", "01020000"),
            bytes!("not UTF-8", "ff"),
            bytes!("longer", only_longer, "0102030405"),
        ],
    ),
    column(
        "longblob",
        ["LONGBLOB", "LONGBLOB", "BYTEA", "BLOB"],
        &[
            NULL,
            bytes!("empty", ""),
            bytes!("one NUL", "00"),
            bytes!("backslash", "5C5C783030"),
            // An object with a protected member, whose name has NUL bytes.
            bytes!("PHP-serialized", "4F3A313A2241223A313A7B733A343A22002A0062223B693A313B7D"),
            three(
                "a million bytes",
                "REPEAT('ab', 500000)",
                "convert_to(repeat('ab', 500000), 'UTF8')",
                "CAST(replace(hex(zeroblob(250000)), '0', 'ab') AS BLOB)",
            ),
        ],
    ),
    column(
        "blob_beside_text",
        ["LONGBLOB", "LONGBLOB", "TEXT", "TEXT"],
        &[
            NULL,
            three("empty", "''", "''", "''"),
            three("UTF-8", "X'C3A9F09F9880'", "'é😀'", "'é😀'"),
            three("NUL", "X'610062'", NO, "CAST(x'610062' AS TEXT)"),
            three("not UTF-8", "X'61FF'", NO, NO),
        ],
    ),
    column(
        "text_beside_blob",
        ["LONGTEXT CHARACTER SET utf8mb4", "LONGTEXT CHARACTER SET utf8mb4", "BYTEA", "BLOB"],
        &[
            NULL,
            three("empty", "''", "''", "x''"),
            three("UTF-8", "'é😀'", r"'\xC3A9F09F9880'", "x'C3A9F09F9880'"),
            three("NUL", "CONVERT(0x610062 USING utf8mb4)", r"'\x610062'", "x'610062'"),
            bytes!("not UTF-8", only_longer, "61ff"),
        ],
    ),
];
