//! Keys that the configuration does not know are errors that name the nearest known one. The known keys are asked of
//! the structs in `raw` themselves, so that the two can't drift apart.

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Report};
use super::raw::{RawDaemon, RawFile, RawIds, RawPreset, RawShare, RawSite, RawSiteTable, RawTable};

/// Reports every unknown key of a configuration file.
pub(super) fn check_file(root: &DeTable<'_>, report: &mut Report<'_>) {
    check_keys::<RawFile>(root, "", report);
    if let Some(daemon) = section(root, "daemon", report) {
        check_keys::<RawDaemon>(daemon, "[daemon]", report);
    }
    if let Some(share) = section(root, "share", report) {
        check_keys::<RawShare>(share, "[share]", report);
    }
    for site in list(root, "site", report) {
        let place = named("site", site);
        check_keys::<RawSite>(site, &place, report);
        if let Some(ids) = site.get("ids").and_then(|value| value.get_ref().as_table()) {
            check_keys::<RawIds>(ids, &place, report);
        }
        let tables = section(site, "table", report).into_iter().flat_map(|tables| tables.iter());
        for (name, value) in tables.filter_map(|(name, value)| Some((name, value.get_ref().as_table()?))) {
            check_keys::<RawSiteTable>(value, &format!("{place}, table \"{}\"", name.get_ref()), report);
        }
    }
    check_tables(root, report);
}

/// Reports every unknown key of a preset.
pub(super) fn check_preset(root: &DeTable<'_>, report: &mut Report<'_>) {
    check_keys::<RawPreset>(root, "", report);
    check_tables(root, report);
}

fn check_tables(root: &DeTable<'_>, report: &mut Report<'_>) {
    for table in list(root, "table", report) {
        let place = named("table", table);
        check_keys::<RawTable>(table, &place, report);
        if let Some(unique) = table.get("unique").and_then(|v| v.get_ref().as_table()) {
            check(unique, &["rename"], &place, report);
        }
    }
}

fn check_keys<'de, T: Deserialize<'de>>(table: &DeTable<'_>, place: &str, report: &mut Report<'_>) {
    check(table, keys_of::<T>(), place, report);
}

fn check(table: &DeTable<'_>, known: &[&str], place: &str, report: &mut Report<'_>) {
    for key in table.keys().filter(|key| !known.contains(&key.get_ref().as_ref())) {
        let word = key.get_ref().as_ref();
        let fault = match word {
            "password" => Fault::new("unknown key `password`", "put the password into a file of mode 600 and name it in password_file"),
            "listen_token" => {
                Fault::new("unknown key `listen_token`", "put the token into a file of mode 600 and name it in listen_token_file")
            }
            _ => Fault::unknown("key", word, known),
        };
        report.add(Some(key.span()), place, fault);
        if report.is_full() {
            return;
        }
    }
}

/// The table `[name]` of `root`; something else under that name is reported.
fn section<'t, 'i>(root: &'t DeTable<'i>, name: &str, report: &mut Report<'_>) -> Option<&'t DeTable<'i>> {
    let value = root.get(name)?;
    let table = value.get_ref().as_table();
    if table.is_none() {
        let fault = Fault::new(
            format!("`{name}` is not a section but of type {}", value.get_ref().type_str()),
            format!("write it as a section, [{name}]"),
        );
        report.add(Some(value.span()), "", fault);
    }
    table
}

/// The tables `[[name]]` of `root`; something else under that name is reported.
fn list<'t, 'i>(root: &'t DeTable<'i>, name: &str, report: &mut Report<'_>) -> Vec<&'t DeTable<'i>> {
    let Some(value) = root.get(name) else { return Vec::new() };
    let Some(items) = value.get_ref().as_array() else {
        let fault = Fault::new(format!("`{name}` is not a list"), format!("write [[{name}]] with double brackets, once for each {name}"));
        report.add(Some(value.span()), "", fault);
        return Vec::new();
    };
    items.iter().filter_map(|item: &Spanned<DeValue<'i>>| item.get_ref().as_table()).collect()
}

fn named(what: &str, table: &DeTable<'_>) -> String {
    match table.get("name").and_then(|v| v.get_ref().as_str()) {
        Some(name) => format!("{what} \"{name}\""),
        None => format!("[[{what}]]"),
    }
}

/// The names of `T`'s fields, as its `Deserialize` asks for them.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Asked<'k>(&'k mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asked<'_> {
        type Error = serde::de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(serde::de::Error::custom("asked for its keys only"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(serde::de::Error::custom("not a struct"))
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(Asked(&mut keys));
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structs_tell_their_keys() {
        assert_eq!(keys_of::<RawFile>(), ["daemon", "site", "share", "table"]);
        assert!(keys_of::<RawTable>().contains(&"fuse_percent"));
    }

    #[test]
    fn unknown_keys_at_every_depth_are_named() {
        let text = "demon = 1\n[[site]]\nname = \"nj\"\npasword_file = \"x\"\nids = { ofset = 1 }\n[site.table.users]\ncolums = {}\n\
                    [[table]]\nname = \"users\"\nunique = { renam = \"x\" }\nfilters = \"\"\n[share]\npresets = []\n";
        let root = DeTable::parse(text).unwrap();
        let mut report = Report::new("f.toml".into(), std::path::Path::new("/"), text);
        check_file(root.get_ref(), &mut report);
        let found: Vec<String> = report.finish().iter().map(|p| format!("{} {} {}", p.place, p.cause, p.advice)).collect();
        assert_eq!(
            found,
            [
                " unknown key `demon` did you mean `daemon`?",
                "site \"nj\" unknown key `pasword_file` did you mean `password_file`?",
                "site \"nj\" unknown key `ofset` did you mean `offset`?",
                "site \"nj\", table \"users\" unknown key `colums` did you mean `columns`?",
                "table \"users\" unknown key `renam` did you mean `rename`?",
                "table \"users\" unknown key `filters` did you mean `filter`?",
                "[share] unknown key `presets` did you mean `preset`?",
            ]
        );
    }
}
