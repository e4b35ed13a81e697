//! Lines of a configuration as messages may show them: what may be a password is starred out.

const STARS: &str = "***";

/// Keys of ours that have a word for secrets in their name and hold none.
const HARMLESS: [&str; 5] = ["listen_token_file", "password_file", "password_env", "key_file", "secret"];

/// `line` without passwords: neither in a URL nor as the value of a key that is called like one, known or not.
pub(super) fn redacted(line: &str) -> String {
    if let Some((key, _)) = line.split_once('=')
        && !HARMLESS.contains(&key.trim())
        && ["pass", "pwd", "secret", "token", "credential"].iter().any(|word| key.to_lowercase().contains(word))
        && !key.contains("://")
    {
        return format!("{}= {STARS}", key);
    }
    without_userinfo(&without_parameters(line))
}

/// Stars for the password between `//user:` and the last `@`, or for a port that is no number. A URL without its scheme
/// is looked at in the same way.
fn without_userinfo(line: &str) -> String {
    let start = line.find("://").map(|at| at + 3).or_else(|| line.find('=').map(|at| at + 1));
    let Some(start) = start.filter(|_| line.contains("://") || line.contains('@')) else { return line.into() };
    let (scheme, rest) = line.split_at(start);
    match (rest.rsplit_once('@'), rest.find(':')) {
        (Some((user, host)), Some(colon)) if colon < user.len() => format!("{scheme}{}:{STARS}@{host}", &user[..colon]),
        (None, Some(colon)) if !is_port(&rest[colon + 1..]) && !rest[..colon].contains(['/', '"', '\'']) => {
            format!("{scheme}{}:{STARS}", &rest[..colon])
        }
        _ => line.into(),
    }
}

fn is_port(text: &str) -> bool {
    let end = text.find(['/', '?', '"', '\'']).unwrap_or(text.len());
    text[..end].bytes().all(|b| b.is_ascii_digit())
}

/// Stars for `password=...` in a URL's query.
fn without_parameters(line: &str) -> String {
    let lower = line.to_ascii_lowercase();
    let Some(at) = ["?pass", "&pass", "?pwd", "&pwd"].iter().find_map(|name| lower.find(name)) else { return line.into() };
    match line[at..].find('=') {
        Some(equals) => format!("{}={STARS}", &line[..at + equals]),
        None => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_never_show() {
        for line in [
            "url = \"mysql://rosterd:hunter2@db1/x\"",
            "url = \"mysql://rosterd:hun@ter2@db1/x\"",
            "url = \"mysql://rosterd:hun/ter2@db1/x\"",
            "url = \"rosterd:hunter2@db1/x\"",
            "url = \"mysql://rosterd:hunter2\"",
            "url = \"mysql://rosterd:hunter2/x\"",
            "url = \"mysql://rosterd:2hunter2/x\"",
            "url = \"postgres://db/x?password=hunter2&a=b\"",
            "password = \"hunter2\"",
            "site.db-passwd = 'hunter2'",
            "API_TOKEN = \"hunter2\"",
            "password_fil = \"hunter2\"",
        ] {
            let shown = redacted(line);
            assert!(shown.contains(STARS) && !shown.contains("ter2"), "{line} -> {shown}");
        }
    }

    #[test]
    fn other_lines_show_as_they_are() {
        for line in [
            "url = \"mysql://rosterd@db1:3306/x\"",
            "url = \"postgres://rosterd@[::1]:5432/x?host=/run/postgresql\"",
            "url = \"mysql://rosterd@db1/x\" # see: there",
            "password_file = \"hub.password\"",
            "listen_token_file = \"listen.token\"",
            "secret = [\"pass\"]",
            "[[site]]",
        ] {
            assert_eq!(redacted(line), line);
        }
    }
}
