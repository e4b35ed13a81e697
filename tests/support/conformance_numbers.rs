//! Whole numbers, bits, decimal and floating-point numbers.

use super::{Column, Engine, NO, NULL, all, column, each, three};

const I64_MIN: &str = "-9223372036854775808";
const I64_MAX: &str = "9223372036854775807";
const U64_MAX: &str = "18446744073709551615";
const ONES: &str = "b'1111111111111111111111111111111111111111111111111111111111111111'";
const DECIMAL_65_30: &str = "99999999999999999999999999999999999.999999999999999999999999999999";
const DECIMAL_65_30_MIN: &str = "-99999999999999999999999999999999999.999999999999999999999999999999";

pub const COLUMNS: &[Column] = &[
    column(
        "tinyint",
        ["TINYINT", "TINYINT", "SMALLINT", "INTEGER"],
        &[
            NULL,
            all("minimum", "-128"),
            all("zero", "0"),
            all("maximum", "127"),
            three("above the maximum", NO, "128", "128"),
            three("below the minimum", NO, "-129", "-129"),
        ],
    ),
    column(
        "tinyint_unsigned",
        ["TINYINT UNSIGNED", "TINYINT UNSIGNED", "SMALLINT", "INTEGER"],
        &[NULL, all("zero", "0"), all("maximum", "255"), three("negative", NO, "-1", "-1"), three("above", NO, "256", "256")],
    ),
    column(
        "boolean",
        ["BOOLEAN", "BOOLEAN", "BOOLEAN", "BOOLEAN"],
        &[
            NULL,
            three("false", "0", "false", "0"),
            three("true", "1", "true", "1"),
            three("two", "2", NO, NO),
            three("negative", "-1", NO, NO),
        ],
    ),
    column(
        "smallint",
        ["SMALLINT", "SMALLINT", "SMALLINT", "INTEGER"],
        &[NULL, all("minimum", "-32768"), all("maximum", "32767"), three("above", NO, NO, "32768")],
    ),
    column(
        "mediumint",
        ["MEDIUMINT", "MEDIUMINT", "INTEGER", "INTEGER"],
        &[
            NULL,
            all("minus five", "-5"),
            all("minimum", "-8388608"),
            all("maximum", "8388607"),
            three("above", NO, "8388608", "8388608"),
            three("below", NO, "-8388609", "-8388609"),
        ],
    ),
    column(
        "mediumint_unsigned",
        ["MEDIUMINT UNSIGNED", "MEDIUMINT UNSIGNED", "INTEGER", "INTEGER"],
        &[
            NULL,
            all("zero", "0"),
            all("maximum", "16777215"),
            three("above", NO, "16777216", "16777216"),
            three("negative", NO, "-5", "-5"),
        ],
    ),
    column(
        "int",
        ["INT", "INT", "INTEGER", "INTEGER"],
        &[NULL, all("minimum", "-2147483648"), all("maximum", "2147483647"), three("above", NO, NO, "2147483648")],
    ),
    column(
        "int_unsigned",
        ["INT UNSIGNED", "INT UNSIGNED", "BIGINT", "INTEGER"],
        &[
            NULL,
            all("zero", "0"),
            all("maximum", "4294967295"),
            three("above", NO, "4294967296", "4294967296"),
            three("negative", NO, "-1", "-1"),
        ],
    ),
    column("bigint", ["BIGINT", "BIGINT", "BIGINT", "INTEGER"], &[NULL, all("minimum", I64_MIN), all("maximum", I64_MAX)]),
    column(
        "bigint_unsigned",
        ["BIGINT UNSIGNED", "BIGINT UNSIGNED", "NUMERIC(20,0)", "INTEGER"],
        &[
            NULL,
            all("zero", "0"),
            all("signed maximum", I64_MAX),
            three("maximum", U64_MAX, U64_MAX, NO),
            three("above", NO, "18446744073709551616", NO),
            three("negative", NO, "-1", "-1"),
        ],
    ),
    column(
        "bit",
        ["BIT(1)", "BIT(1)", "BIT(1)", "INTEGER"],
        &[NULL, three("unset", "b'0'", "B'0'", "0"), three("set", "b'1'", "B'1'", "1"), three("two", NO, NO, "2")],
    ),
    column(
        "bit_10",
        ["BIT(10)", "BIT(10)", "BIT(10)", "INTEGER"],
        &[
            NULL,
            three("zero", "b'0'", "B'0000000000'", "0"),
            three("two bytes", "b'1000000001'", "B'1000000001'", "513"),
            three("above", NO, NO, "1024"),
        ],
    ),
    column(
        "bit_64",
        ["BIT(64)", "BIT(64)", "BIT(64)", "INTEGER"],
        &[NULL, three("one", "1", "1::bit(64)", "1"), three("all", ONES, ONES, NO), three("negative", NO, NO, "-1")],
    ),
    column(
        "year",
        ["YEAR", "YEAR", "SMALLINT", "INTEGER"],
        &[
            NULL,
            all("zero", "0"),
            all("first", "1901"),
            all("last", "2155"),
            three("before", NO, "1900", "1900"),
            three("after", NO, "2156", "2156"),
        ],
    ),
    column(
        "decimal_10_2",
        ["DECIMAL(10,2)", "DECIMAL(10,2)", "NUMERIC(10,2)", "DECIMAL(10,2)"],
        &[
            NULL,
            all("zero", "0"),
            all("one cent", "0.01"),
            all("trailing zero", "1.50"),
            all("minimum", "-99999999.99"),
            all("maximum", "99999999.99"),
        ],
    ),
    column(
        "decimal_65_30",
        ["DECIMAL(65,30)", "DECIMAL(65,30)", "NUMERIC", NO],
        &[
            NULL,
            all("zero", "0"),
            all("least", "0.000000000000000000000000000001"),
            all("maximum", DECIMAL_65_30),
            all("minimum", DECIMAL_65_30_MIN),
            three("finer", NO, "0.0000000000000000000000000000001", NO),
            three("larger", NO, "1e35", NO),
            three("not a number", NO, "'NaN'", NO).unreadable(),
        ],
    ),
    column(
        "decimal_beside_text",
        ["DECIMAL(65,30)", "DECIMAL(65,30)", "NUMERIC(65,30)", "TEXT"],
        &[
            NULL,
            three("half", "0.50", "0.50", "'0.5'"),
            three("minimum", DECIMAL_65_30_MIN, DECIMAL_65_30_MIN, "'-99999999999999999999999999999999999.999999999999999999999999999999'"),
        ],
    )
    .never_hub(Engine::Sqlite),
    column(
        "int_beside_decimal",
        ["INT", "INT", "NUMERIC(12,2)", "DECIMAL(12,2)"],
        &[
            NULL,
            all("minimum", "-2147483648"),
            all("maximum", "2147483647"),
            three("a fraction", NO, "0.5", "0.5"),
            three("above", NO, "2147483648", "2147483648"),
        ],
    ),
    column(
        "int_beside_double",
        ["INT", "INT", "DOUBLE PRECISION", "REAL"],
        &[
            NULL,
            all("minimum", "-2147483648"),
            all("maximum", "2147483647"),
            three("a fraction", NO, "0.5", "0.5"),
            three("infinity", NO, "'Infinity'", "9e999"),
        ],
    ),
    column(
        "float",
        ["FLOAT", "FLOAT", "REAL", "REAL"],
        &[
            NULL,
            all("half", "0.5"),
            all("zero", "0"),
            three("a tenth", "0.1", "0.1", "0.10000000149011612"),
            three("maximum", "3.4028234663852886e38", "3.4028234663852886e38", "3.4028234663852886e38"),
            three("a tenth as a double", NO, NO, "0.1"),
            three("beyond 32 bits", NO, NO, "1e39"),
            three("infinity", NO, "'Infinity'", "9e999"),
            three("not a number", NO, "'NaN'", NO),
        ],
    ),
    column(
        "double",
        ["DOUBLE", "DOUBLE", "DOUBLE PRECISION", "REAL"],
        &[
            NULL,
            all("a tenth", "0.1e0"),
            all("17 digits", "0.30000000000000004e0"),
            all("maximum", "1.7976931348623157e308"),
            all("minimum", "-1.7976931348623157e308"),
            all("least normal", "2.2250738585072014e-308"),
            all("least", "5e-324"),
            all("beyond 53 bits", "9007199254740993e0"),
            each("negative zero", ["-0e0", "-0e0", "'-0'", "-0e0"]).arriving(["0e0", "0e0", "'0'", "0e0"]),
            three("infinity", NO, "'-Infinity'", "-9e999"),
            three("not a number", NO, "'NaN'", NO),
        ],
    ),
    column("number_beside_any", ["BIGINT", "BIGINT", "BIGINT", "/* no type */"], &[NULL, all("minimum", I64_MIN), all("maximum", I64_MAX)])
        .never_hub(Engine::Sqlite),
];
