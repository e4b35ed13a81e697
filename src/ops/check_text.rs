//! What `check` found as text: one table, and below it what mends the rest, ready to be copied.

use super::check::{Line, Report, SiteReport};
use super::status::counted;
use super::text::{Page, Tone, keep, lines};

/// `all`: what is fine is listed too.
pub fn render(report: &Report, page: Page, all: bool) -> String {
    let mut out = String::new();
    let mut remedies: Vec<String> = Vec::new();
    let mut table = page.table(&["site", "", "what", "found"]);
    for site in &report.sites {
        for line in together(site).iter().filter(|line| all || line.level != "fine") {
            let mut found = line.text.clone();
            if let Some(remedy) = line.remedy.as_ref().filter(|_| line.level != "fine") {
                remedies.push(format!("[{}] {}: {remedy}\n", remedies.len() + 1, site.site));
                found += &format!(" [{}]", remedies.len());
            }
            table.add_row([
                page.cell(&site.site, Tone::Plain),
                page.cell(&line.level, tone(line)),
                page.cell(&line.subject, Tone::Plain),
                page.cell(found, Tone::Plain),
            ]);
        }
    }
    if all {
        report.sites.iter().for_each(|site| out += &heading(site));
        out.push('\n');
    }
    if table.row_count() > 0 {
        keep(&mut table, 3);
        out += &lines(&table);
    }
    if !remedies.is_empty() {
        out += &format!("\nWhat mends it:\n{}", remedies.concat());
    }
    if all {
        out += &format!("\n{}\n", summary(report));
    }
    out
}

/// What is fine about one thing is said in one line.
fn together(site: &SiteReport) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in &site.findings {
        match lines.iter_mut().find(|other| line.level == "fine" && other.level == "fine" && other.subject == line.subject) {
            Some(other) => other.text += &format!("; {}", line.text),
            None => lines.push(line.clone()),
        }
    }
    lines
}

fn heading(site: &SiteReport) -> String {
    format!("{}: {}\n", site.site, site.address)
}

fn summary(report: &Report) -> String {
    let (errors, warnings) = (report.count("error") as u64, report.count("warning") as u64);
    match (errors, warnings) {
        (0, 0) => "All is fine: `rosterd run` can start.".into(),
        (0, _) => format!("{}; `rosterd run` can start.", counted(warnings, "warning", "warnings")),
        _ => format!("{}, {}; `rosterd run` refuses.", counted(errors, "error", "errors"), counted(warnings, "warning", "warnings")),
    }
}

fn tone(line: &Line) -> Tone {
    match line.level.as_str() {
        "fine" => Tone::Good,
        "warning" => Tone::Doubtful,
        _ => Tone::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_are_whole_lines_below_the_table() {
        let line = |level: &str, subject: &str, text: &str, remedy: Option<&str>| Line {
            level: level.into(),
            subject: subject.into(),
            text: text.into(),
            remedy: remedy.map(str::to_owned),
        };
        let grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON `main_db`.`users` TO 'rosterd'@'10.0.0.%' REQUIRE SSL";
        let findings =
            vec![line("fine", "version", "MariaDB 11.8", None), line("error", "privileges", "it may not write users", Some(grant))];
        let site = SiteReport { site: "hub".into(), address: "MariaDB at db1/main_db".into(), reachable: true, findings };
        let report = Report { format: 1, sites: vec![site] };
        let text = render(&report, Page::PLAIN, true);
        assert_eq!(
            text,
            format!(
                "hub: MariaDB at db1/main_db\n\nsite  {0:<7}what        found\nhub   fine   version     MariaDB 11.8\n\
                 hub   error  privileges  it may not write users [1]\n\nWhat mends it:\n[1] hub: {grant}\n\n\
                 1 error, 0 warnings; `rosterd run` refuses.\n",
                ""
            )
        );
        assert!(!render(&report, Page::PLAIN, false).contains("MariaDB"));
    }
}
