//! Dates, times, and both.

use super::{Column, NO, NULL, all, column, three};

pub const COLUMNS: &[Column] = &[
    column(
        "date",
        ["DATE", "DATE", "DATE", "DATE"],
        &[
            NULL,
            all("leap day", "'2020-02-29'"),
            all("first of PostgreSQL's common era", "'0001-01-01'"),
            all("last of MySQL", "'9999-12-31'"),
            three("zero date", "'0000-00-00'", NO, "'0000-00-00'"),
            three("without day", "'1980-04-00'", NO, "'1980-04-00'"),
            three("without month and day", "'1980-00-00'", NO, "'1980-00-00'"),
            three("year zero", "'0000-01-01'", "'0001-01-01 BC'", "'0000-01-01'"),
            three("leap day of the year zero", NO, "'0001-02-29 BC'", NO),
            three("before Christ", NO, "'0044-03-15 BC'", NO),
            three("year 10000", NO, "'10000-01-01'", NO),
            three("infinity", NO, "'infinity'", NO).unreadable(),
        ],
    ),
    column(
        "time",
        ["TIME", "TIME", "TIME(6)", "TIME"],
        &[NULL, all("midnight", "'00:00:00'"), all("last second", "'23:59:59'"), three("finer", NO, "'12:00:00.5'", "'12:00:00.500000'")],
    ),
    column(
        "time_6",
        ["TIME(6)", "TIME(6)", "TIME(6)", "TIME"],
        &[
            NULL,
            three("midnight", "'00:00:00'", "'00:00:00'", "'00:00:00'"),
            all("last microsecond", "'23:59:59.999999'"),
            all("24 hours", "'24:00:00'"),
            three("longer than a day", "'838:59:59'", NO, "'838:59:59'"),
            three("negative", "'-00:00:00.000001'", NO, "'-00:00:00.000001'"),
            three("minimum", "'-838:59:59'", NO, "'-838:59:59'"),
        ],
    ),
    column(
        "datetime",
        ["DATETIME", "DATETIME", "TIMESTAMP(6)", "DATETIME"],
        &[
            NULL,
            all("leap day", "'2020-02-29 12:34:56'"),
            three("zero date", "'0000-00-00 00:00:00'", NO, "'0000-00-00 00:00:00'"),
            three("finer", NO, "'2020-02-29 12:34:56.5'", "'2020-02-29 12:34:56.500000'"),
        ],
    ),
    column(
        "datetime_6",
        ["DATETIME(6)", "DATETIME(6)", "TIMESTAMP(6)", "DATETIME"],
        &[
            NULL,
            all("microseconds", "'2020-02-29 12:34:56.789012'"),
            all("an hour that summer time skips", "'2020-03-29 02:30:00'"),
            all("last of MySQL", "'9999-12-31 23:59:59.999999'"),
            all("year one", "'0001-01-01 00:00:00'"),
            three("zero date", "'0000-00-00 00:00:00'", NO, "'0000-00-00 00:00:00'"),
            three("time without a date", "'0000-00-00 10:00:00'", NO, "'0000-00-00 10:00:00'"),
            three("without month and day", "'1980-00-00 00:00:00'", NO, "'1980-00-00 00:00:00'"),
            three("before Christ", NO, "'0044-03-15 10:00:00 BC'", NO),
            three("year 10000", NO, "'10000-01-01 00:00:00'", NO),
            three("infinity", NO, "'-infinity'", NO).unreadable(),
        ],
    ),
    column(
        "timestamp",
        ["TIMESTAMP(6) NULL", "TIMESTAMP(6) NULL", "TIMESTAMPTZ(6)", "TIMESTAMP"],
        &[
            NULL,
            all("first", "'1970-01-01 00:00:01'"),
            all("last of 31 bits", "'2038-01-19 03:14:07.999999'"),
            three("from another zone", "'2020-03-29 00:30:00'", "'2020-03-29 02:30:00+02'", "'2020-03-29 00:30:00'"),
            three("zero date", "'0000-00-00 00:00:00'", NO, "'0000-00-00 00:00:00'"),
            three("the epoch itself", NO, "'1970-01-01 00:00:00'", "'1970-01-01 00:00:00'"),
            three("after 32 bits", NO, "'2200-01-01 00:00:00'", "'2200-01-01 00:00:00'"),
        ],
    ),
    column(
        "date_beside_datetime",
        ["DATE", "DATE", "TIMESTAMP(6)", "DATETIME"],
        &[
            NULL,
            three("midnight", "'2020-02-29'", "'2020-02-29'", "'2020-02-29 00:00:00'"),
            three("noon", NO, "'2020-02-29 12:00:00'", "'2020-02-29 12:00:00'"),
        ],
    ),
];
