//! What went wrong lately at each site, with the next step.

use maud::{Markup, html};

use super::{Facts, words};
use crate::capture::health::Trouble;
use crate::ops::status::counted;
use crate::ops::text::age;

const LINES_MAX: usize = 30;

pub(super) fn section(facts: &Facts) -> Markup {
    let now_us = facts.status.at_us;
    let mut all: Vec<(&String, &Trouble)> =
        facts.troubles.iter().flat_map(|(site, troubles)| troubles.iter().map(move |t| (site, t))).collect();
    all.sort_by_key(|(_, trouble)| std::cmp::Reverse(trouble.last_us));
    html! {
        section #troubles.half[all.is_empty()] aria-labelledby="troubles-title" {
            h2 #troubles-title { "Recent errors" }
            @if all.is_empty() {
                (words::none("None since the daemon was started."))
            } @else {
                ol.troubles {
                    @for (site, trouble) in all.into_iter().take(LINES_MAX) {
                        li {
                            p.when {
                                b { (site) } " · " (trouble.cause.replace('_', " ")) " · " (age(trouble.last_us, now_us)) " ago, " (words::time(trouble.last_us))
                                @if trouble.times > 1 { " · " (counted(trouble.times, "time", "times")) " since " (words::time(trouble.first_us)) }
                            }
                            p { (words::prose(&trouble.text)) }
                            p.step { b { "Next step: " } (words::prose(words::next_step(trouble.cause))) }
                        }
                    }
                }
            }
        }
    }
}
