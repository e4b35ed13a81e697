//! One SVG for each case: medians as bars, the spread of the repetitions as a line. Transparent, in colours that are readable on light
//! and dark pages.

use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::{Line, Report, amount};

const WIDTH: u32 = 760;
const LABELS: i32 = 330;
const BAR: i32 = 20;
const HEAD: i32 = 40;
const GREY: RGBColor = RGBColor(125, 133, 144);
/// rosterd first, then anchors.
const COLOURS: [RGBColor; 4] = [RGBColor(47, 129, 247), RGBColor(210, 140, 40), RGBColor(63, 160, 90), RGBColor(170, 110, 220)];

/// Writes `<case>.svg` for each case of the report into `folder`.
pub fn write(report: &Report, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{} can't be made: {error}", folder.display()));
    for lines in report.lines.chunk_by(|a, b| a.case == b.case) {
        let path = folder.join(format!("{}.svg", lines[0].case));
        let mut picture = String::new();
        draw(lines, &mut picture).unwrap_or_else(|error| panic!("{} can't be drawn: {error}", path.display()));
        std::fs::write(&path, picture).unwrap_or_else(|error| panic!("{} can't be written: {error}", path.display()));
    }
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn draw(lines: &[Line], picture: &mut String) -> Drawn {
    let bars: i32 = lines.iter().map(|line| line.subjects.len() as i32).sum();
    let height = HEAD + bars * BAR + lines.len() as i32 * BAR / 2;
    let area = SVGBackend::with_string(picture, (WIDTH, height as u32)).into_drawing_area();
    write_text(&area, lines[0].case, (8, HEAD / 2), 20, HPos::Left)?;
    let mut top = HEAD;
    for line in lines {
        let longest = lines.iter().filter(|other| other.figure.unit == line.figure.unit).map(highest).fold(f64::MIN_POSITIVE, f64::max);
        for (at, (subject, values)) in line.subjects.iter().enumerate() {
            let label = if at == 0 { format!("{}: {subject}", line.figure.name) } else { subject.to_string() };
            write_text(&area, &label, (LABELS - 8, top + BAR / 2), 16, HPos::Right)?;
            bar(&area, line, (subject, values), COLOURS[at % COLOURS.len()], (top, longest))?;
            top += BAR;
        }
        top += BAR / 2;
    }
    area.present()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// `place`: its upper edge, and the value that is as long as the picture allows.
fn bar(area: &Area, line: &Line, (subject, values): (&str, &[f64]), colour: RGBColor, place: (i32, f64)) -> Drawn {
    let (top, longest) = place;
    // Leaves room for the figure behind the bar.
    let length = |value: f64| LABELS + (value / longest * f64::from(WIDTH as i32 - LABELS - 110)) as i32;
    let median = line.median(subject).expect("it has values");
    area.draw(&Rectangle::new([(LABELS, top + 3), (length(median), top + BAR - 3)], colour.filled()))?;
    let (least, most) = (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max));
    let middle = top + BAR / 2;
    area.draw(&PathElement::new([(length(least), middle), (length(most), middle)], GREY.stroke_width(2)))?;
    write_text(area, &amount(median, line.figure.unit), (length(most.max(median)) + 6, middle), 16, HPos::Left)
}

fn highest(line: &Line) -> f64 {
    line.subjects.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max)
}

fn write_text(area: &Area, text: &str, at: (i32, i32), size: i32, side: HPos) -> Drawn {
    let style = TextStyle::from(("sans-serif", size).into_font()).color(&GREY).pos(Pos::new(side, VPos::Center));
    area.draw(&Text::new(text.to_owned(), at, style))
}
