//! Checksums that a database makes, beside those of the values that are read there.

use std::sync::Arc;

use rosterd::model::{Cell, SiteTable, Stretch, Summing, Value, View};
use rosterd::sites::Site;

/// For a table whose key is a whole number: each stretch between two of its rows, and those to its ends.
pub async fn agree(site: &dyn Site, table: &Arc<SiteTable>) {
    let columns = table.summed().expect("a checksum can be made of all columns");
    let mut reader = site.chunk_reader().await.expect("the site can be read");
    let rows = reader.chunk(table, None, 1000, 1 << 20).await.expect("the rows are read");
    let number = |at: usize| match rows[at].0.0[..] {
        [Value::Int(n)] => Some(n),
        _ => None,
    };
    let ends: Vec<Option<i64>> = (0..rows.len()).map(number).collect();
    let afters = std::iter::once(None).chain(ends.iter().copied().filter(Option::is_some));
    let mut compared = 0;
    for after in afters {
        for upto in std::iter::once(None).chain(ends.iter().copied().filter(Option::is_some)) {
            let mut sum = Summing::default();
            for (at, (_, image)) in rows.iter().enumerate() {
                // A number that no signed one reaches is above all.
                let is_in = after.is_none_or(|after| ends[at].is_none_or(|n| n > after))
                    && upto.is_none_or(|upto| ends[at].is_some_and(|n| n <= upto));
                let values: Vec<Value> = columns
                    .iter()
                    .map(|column| match &image[*column] {
                        Cell::Value(value) => value.clone(),
                        other => panic!("column {column} has {other:?}"),
                    })
                    .collect();
                if is_in {
                    assert!(values.iter().all(|value| sum.value(&View::of(value))));
                    sum.end_row();
                }
            }
            let (stretch, sum) = (Stretch { after, upto }, sum.sum());
            let theirs = reader.sum(table, &columns, &stretch).await.expect("the checksum is made");
            assert_eq!(theirs, Some(sum), "{stretch:?} at {}", site.name());
            compared += usize::from(sum.rows > 0);
        }
    }
    assert!(compared >= rows.len(), "only {compared} stretches had rows");
}
