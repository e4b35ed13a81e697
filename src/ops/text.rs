//! Text for people: tables that fit the terminal, colours only where one is.

use std::io::IsTerminal;

use comfy_table::{Attribute, Cell, Color, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Where the output is not a terminal, lines are as long as on a plain one.
const COLUMNS_PLAIN: u16 = 80;

/// How much the surface can show.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub columns: u16,
    pub colours: bool,
}

/// What a cell says of the thing that it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

impl Page {
    pub const PLAIN: Page = Page { columns: COLUMNS_PLAIN, colours: false };

    /// Standard output as it is: NO_COLOR (https://no-color.org) turns colours off.
    pub fn stdout() -> Page {
        if !std::io::stdout().is_terminal() {
            return Page::PLAIN;
        }
        let columns = Table::new().width().unwrap_or(COLUMNS_PLAIN);
        Page { columns, colours: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    /// A table without lines; cells that don't fit are wrapped.
    pub fn table(self, heads: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(self.columns);
        if self.colours {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if !heads.is_empty() {
            table.set_header(
                heads.iter().map(|head| if self.colours { Cell::new(head).add_attribute(Attribute::Bold) } else { Cell::new(head) }),
            );
        }
        table
    }

    pub fn cell(self, text: impl ToString, tone: Tone) -> Cell {
        let cell = Cell::new(text.to_string());
        match tone {
            _ if !self.colours => cell,
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::Green),
            Tone::Doubtful => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
        }
    }
}

/// Keeps the first `count` columns as wide as they are; the others are wrapped.
pub fn keep(table: &mut Table, count: usize) {
    table.column_iter_mut().take(count).for_each(|column| {
        column.set_constraint(ColumnConstraint::ContentWidth);
    });
}

/// Keeps all columns as wide as they are but the last, which is wrapped into no less than `chars`: where the page is narrower, lines
/// are longer than it.
pub fn wrap_last(table: &mut Table, chars: u16) {
    let count = table.column_count();
    keep(table, count.saturating_sub(1));
    if let Some(column) = table.column_iter_mut().last() {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(chars)));
    }
}

/// The table without the blanks that fill up its lines and begin them.
pub fn lines(table: &Table) -> String {
    let all: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let margin = all.iter().filter(|line| !line.is_empty()).map(|line| line.len() - line.trim_start_matches(' ').len()).min().unwrap_or(0);
    all.iter().map(|line| format!("{}\n", line.get(margin..).unwrap_or(""))).collect()
}

/// Lines that are longer are broken between words, and go on two blanks further in than they began.
pub fn wrapped(text: &str, columns: usize) -> String {
    let mut out = String::new();
    for line in text.lines() {
        // What has colours is a table's, which fits.
        if line.chars().count() <= columns || line.contains('\x1b') {
            out += line;
            out.push('\n');
            continue;
        }
        let indent = " ".repeat((line.len() - line.trim_start().len() + 2).min(columns / 2));
        let mut now = String::from(&line[..line.len() - line.trim_start().len()]);
        let mut is_empty = true;
        for word in line.split_whitespace() {
            let mut word = word;
            if !is_empty && now.chars().count() + 1 + word.chars().count() > columns {
                out += &format!("{now}\n");
                (now, is_empty) = (indent.clone(), true);
            }
            if !is_empty {
                now.push(' ');
            }
            // One that is longer than the page is cut.
            while now.chars().count() + word.chars().count() > columns {
                let room = columns.saturating_sub(now.chars().count()).max(1);
                let at = word.char_indices().nth(room).map_or(word.len(), |(at, _)| at);
                out += &format!("{now}{}\n", &word[..at]);
                (now, word) = (indent.clone(), &word[at..]);
            }
            now += word;
            is_empty = false;
        }
        out += &format!("{now}\n");
    }
    out
}

/// A moment as people read it: `2026-01-31 23:59:59Z`.
pub fn moment(us: i64) -> String {
    match jiff::Timestamp::from_microsecond(us) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => format!("{us} us"),
    }
}

/// How long ago: `12 s`, `3 min`, `5 h`, `2 d`.
pub fn age(us: i64, now_us: i64) -> String {
    seconds(now_us.saturating_sub(us).max(0) as u64 / 1_000_000)
}

/// A stretch of time in its largest unit.
pub fn seconds(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A lag: `4.2 ms`, `1.8 s`.
pub fn lag(us: i64) -> String {
    match us {
        ..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => seconds((us / 1_000_000) as u64),
    }
}

/// At most `chars` characters, the end left out.
pub fn shortened(text: &str, chars: usize) -> String {
    if text.chars().count() <= chars {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(chars.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `2,500,000`.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(age(0, 3 * 3_600_000_000), "3 h");
        assert_eq!(seconds(119), "119 s");
        assert_eq!((lag(4200), lag(1_800_000), lag(300_000_000)), ("4.2 ms".into(), "1.8 s".into(), "5 min".into()));
        assert_eq!(shortened("mysql:0-1-200000", 8), "mysql:0…");
        assert_eq!((grouped(7), grouped(123_456), grouped(2_500_000)), ("7".into(), "123,456".into(), "2,500,000".into()));
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let text = format!("short\n! {}\n  log at {}\n", "several words ".repeat(9), "x".repeat(90));
        let broken = wrapped(&text, 40);
        assert!(broken.lines().all(|line| line.chars().count() <= 40), "{broken}");
        assert!(broken.starts_with("short\n! several words several words several\n  words "), "{broken}");
        let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        assert_eq!(letters(&broken), letters(&text));
        assert_eq!(wrapped("ä ö", 1), "ä\nö\n");
    }

    #[test]
    fn a_plain_page_is_80_columns_wide_and_has_no_colours() {
        let mut table = Page::PLAIN.table(&["site", "text"]);
        table.add_row([Page::PLAIN.cell("hub", Tone::Good), Page::PLAIN.cell("word ".repeat(40), Tone::Bad)]);
        let text = lines(&table);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.starts_with("site"), "{text}");
    }
}
