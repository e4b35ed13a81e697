//! Canonical JSON: keys sorted by code points, no white space, one spelling per string and per number.
//!
//! An own reader, because engines spell one number in several ways (1e2, 100, 100.0) and none of its digits may be lost.

use std::collections::BTreeMap;

/// Nesting that is read, as in serde_json; deeper text is not taken for JSON.
const DEPTH_MAX: usize = 128;

/// Numbers with more digits than this before or after the point are written with an exponent.
const PLAIN_DIGITS_MAX: i64 = 40;

/// Canonical form of `text`, or None when it is not JSON. The last of two equal keys counts.
pub(super) fn canonical(text: &str) -> Option<String> {
    let mut parser = Parser { text, at: 0 };
    let node = parser.node(0)?;
    parser.space();
    let mut out = String::with_capacity(text.len());
    (parser.at == text.len()).then(|| node.write(&mut out))?;
    Some(out)
}

/// Whether every number of the canonical JSON `text` is a 64-bit integer or exactly what a double prints as.
pub(super) fn numbers_are_doubles(text: &str) -> bool {
    tokens(text).all(|token| !is_number(token) || token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok() || is_double(token))
}

/// Whether a string of the canonical JSON `text` has a NUL character.
pub(super) fn has_nul(text: &str) -> bool {
    tokens(text).any(|token| {
        let mut rest = token;
        while let Some(at) = rest.find('\\') {
            if rest[at..].starts_with("\\u0000") {
                return true;
            }
            rest = rest.get(at + 2..).unwrap_or("");
        }
        false
    })
}

fn is_number(token: &str) -> bool {
    token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn is_double(token: &str) -> bool {
    token.parse::<f64>().is_ok_and(|x| x.is_finite() && number(&format!("{x:e}")).as_deref() == Some(token))
}

/// Strings (with their quotes) and numbers of canonical JSON.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut parser = Parser { text, at: 0 };
    std::iter::from_fn(move || {
        loop {
            match parser.peek()? {
                b'"' => return parser.string_token(),
                b'-' | b'0'..=b'9' => return parser.number_token(),
                _ => parser.at += 1,
            }
        }
    })
}

enum Node {
    /// As it is written.
    Leaf(String),
    Array(Vec<Node>),
    Object(BTreeMap<String, Node>),
}

impl Node {
    fn write(&self, out: &mut String) {
        match self {
            Node::Leaf(text) => out.push_str(text),
            Node::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (n, (key, item)) in members.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    out.push_str(&quoted(key));
                    out.push(':');
                    item.write(out);
                }
                out.push('}');
            }
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: u8) -> Option<()> {
        self.space();
        (self.peek()? == wanted).then(|| self.at += 1)
    }

    fn node(&mut self, depth: usize) -> Option<Node> {
        self.space();
        match self.peek()? {
            b'{' | b'[' if depth == DEPTH_MAX => None,
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => Some(Node::Leaf(quoted(&self.string()?))),
            b'-' | b'0'..=b'9' => Some(Node::Leaf(number(self.number_token()?)?)),
            _ => self.word().map(|word| Node::Leaf(word.into())),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node> {
        self.at += 1;
        let mut members = BTreeMap::new();
        if self.take(b'}').is_some() {
            return Some(Node::Object(members));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.take(b':')?;
            members.insert(key, self.node(depth + 1)?);
            if self.take(b',').is_none() {
                self.take(b'}')?;
                return Some(Node::Object(members));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Node> {
        self.at += 1;
        let mut items = Vec::new();
        if self.take(b']').is_some() {
            return Some(Node::Array(items));
        }
        loop {
            items.push(self.node(depth + 1)?);
            if self.take(b',').is_none() {
                self.take(b']')?;
                return Some(Node::Array(items));
            }
        }
    }

    fn word(&mut self) -> Option<&'static str> {
        let word = ["null", "true", "false"].into_iter().find(|word| self.text[self.at..].starts_with(word))?;
        self.at += word.len();
        Some(word)
    }

    fn string(&mut self) -> Option<String> {
        serde_json::from_str(self.string_token()?).ok()
    }

    fn string_token(&mut self) -> Option<&'a str> {
        let start = self.at;
        (self.peek()? == b'"').then(|| self.at += 1)?;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.text.get(start..self.at)
    }

    fn number_token(&mut self) -> Option<&'a str> {
        let start = self.at;
        while matches!(self.peek(), Some(b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        self.text.get(start..self.at)
    }
}

/// One spelling for one number: `-12.5`, and `1.25e-60` where plain digits would be long. None when it is not a JSON number.
fn number(token: &str) -> Option<String> {
    let (sign, unsigned) = token.strip_prefix('-').map_or(("", token), |rest| ("-", rest));
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let only_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let exponent_digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if !only_digits(whole) || !only_digits(fraction) || !only_digits(exponent_digits) || (whole.len() > 1 && whole.starts_with('0')) {
        return None;
    }
    let all = format!("{whole}{fraction}");
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return Some("0".into());
    }
    let exponent: i32 = exponent.parse().ok()?;
    // Digits before the point when the number is written plainly; zero or less: zeros after it.
    let point = i64::try_from(whole.len() - leading.min(whole.len())).ok()? - i64::try_from(leading.saturating_sub(whole.len())).ok()?
        + i64::from(exponent);
    let count = digits.len() as i64;
    Some(if point > PLAIN_DIGITS_MAX || count - point > PLAIN_DIGITS_MAX {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{}", point - 1)
    } else if point <= 0 {
        format!("{sign}0.{}{digits}", "0".repeat(-point as usize))
    } else if point >= count {
        format!("{sign}{digits}{}", "0".repeat((point - count) as usize))
    } else {
        let (before, after) = digits.split_at(point as usize);
        format!("{sign}{before}.{after}")
    })
}
