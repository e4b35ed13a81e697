//! How the server gives out numbers: by its auto_increment settings, for every AUTO_INCREMENT column alike.

use super::connect::Session;
use crate::model::Class;
use crate::sites::{Finding, Given, Numbering, Result};

/// Of any table: the settings are the server's.
pub(super) async fn numbering(mut session: Session, class: Class) -> Result<Numbering> {
    let rows = session.rows("read the auto_increment settings", "SELECT @@GLOBAL.auto_increment_increment, @@GLOBAL.auto_increment_offset");
    let mut rows = rows.await?;
    let mut setting = |column| rows.first_mut().and_then(|row| super::connect::number(row, column)).map_or(1, |n| n as i64);
    let (increment, offset) = (setting(0), setting(1));
    let notes = galera(&mut session, class).await.into_iter().collect();
    let by = format!("auto_increment_increment = {increment}, auto_increment_offset = {offset}");
    Ok(Numbering { given: Given::Class { class: given(offset, increment), by, remedy: remedy(class) }, notes })
}

/// An offset above the increment is ignored, and what is given out then depends on what is there.
fn given(offset: i64, increment: i64) -> Class {
    if (1..=increment).contains(&offset) { Class { offset, increment } } else { Class { offset: 1, increment: 1 } }
}

fn remedy(class: Class) -> String {
    let Class { offset, increment } = class;
    format!(
        "in the server's configuration:\n    [mysqld]\n    auto_increment_increment = {increment}\n    auto_increment_offset = {offset}\n\
         and at once, without a restart:\n    SET GLOBAL auto_increment_increment = {increment}, GLOBAL auto_increment_offset = {offset};\n\
         connections that are open keep the old values: let the applications connect anew (with persistent ones, restart PHP)"
    )
}

async fn galera(session: &mut Session, class: Class) -> Option<Finding> {
    let on = |value: Option<String>| value.is_some_and(|v| matches!(v.as_str(), "1" | "ON"));
    let controls =
        on(session.ask("SELECT @@GLOBAL.wsrep_on").await) && on(session.ask("SELECT @@GLOBAL.wsrep_auto_increment_control").await);
    controls.then(|| {
        let text = "wsrep_auto_increment_control is ON: Galera changes the auto_increment settings whenever a node joins or leaves";
        let remedy = format!(
            "wsrep_auto_increment_control = OFF at each node; several nodes that are written to need a class each: let their classes be \
             different ones of this site's ({class}), with a larger increment"
        );
        Finding::error("ids", text, remedy)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_is_ignored_proves_nothing() {
        assert_eq!(given(3, 10), Class { offset: 3, increment: 10 });
        assert_eq!(given(3, 1), Class { offset: 1, increment: 1 });
        assert!(remedy(given(3, 10)).contains("\n    SET GLOBAL auto_increment_increment = 10, GLOBAL auto_increment_offset = 3;\n"));
    }
}
