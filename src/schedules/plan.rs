//! What is drawn once for a whole schedule.

use super::random::Random;
use crate::config::{ColumnPolicy, DeletePolicy, InsertPolicy};
use crate::resolve::{InitialPolicy, TablePolicy};

/// Column 0 is the key.
pub const WIDTH: usize = 3;

#[derive(Clone)]
pub struct Plan {
    pub sites: usize,
    pub steps: usize,
    /// Percent of the steps that are an application's write.
    pub heat: f64,
    /// Percent of the steps that lose a log or restore a backup.
    pub ruin: f64,
    /// Rows are at the sites before the first copy.
    pub populated: bool,
    /// The first copies are over before anything else happens.
    pub copied: bool,
    /// Few values, so that sites write equal ones: nothing is told from a value then.
    pub small_values: bool,
    pub deletes: f64,
    /// Percent of the images before a change that the log has.
    pub images: f64,
    /// Percent of the unchanged columns that the log leaves out.
    pub left_out: f64,
    /// A client without the last column.
    pub lacking: Option<usize>,
    pub policy: TablePolicy,
}

impl Plan {
    pub fn draw(random: &mut Random, disasters: bool) -> Plan {
        let sites = random.of(&[2, 3, 4]);
        Plan {
            sites,
            steps: random.of(&[20, 80, 80, 300]),
            heat: random.of(&[5.0, 30.0]),
            ruin: if disasters { random.of(&[0.5, 2.0, 2.0]) } else { 0.0 },
            copied: random.chance(50.0),
            populated: random.chance(50.0),
            small_values: random.chance(10.0),
            deletes: random.of(&[0.0, 12.0, 12.0, 25.0]),
            images: random.of(&[0.0, 50.0, 100.0]),
            left_out: random.of(&[0.0, 0.0, 50.0]),
            lacking: if random.chance(15.0) { Some(1 + random.below(sites - 1)) } else { None },
            policy: policy(random),
        }
    }

    pub fn has(&self, site: usize) -> Vec<bool> {
        (0..WIDTH).map(|column| column < WIDTH - 1 || self.lacking != Some(site)).collect()
    }
}

fn policy(random: &mut Random) -> TablePolicy {
    let mut policy = TablePolicy::plain(WIDTH);
    if random.chance(50.0) {
        return policy;
    }
    policy.columns[1] = match random.below(4) {
        0 => ColumnPolicy::LastWriterWins,
        1 => ColumnPolicy::Max,
        2 => ColumnPolicy::HubWins,
        _ => ColumnPolicy::Min,
    };
    policy.from_hub[2] = random.chance(15.0).then_some(false);
    policy.delete = if random.chance(50.0) { DeletePolicy::DeleteWins } else { DeletePolicy::UpdateWins };
    policy.insert = if random.chance(50.0) { InsertPolicy::Merge } else { InsertPolicy::Quarantine };
    policy.initial = match random.below(3) {
        0 => InitialPolicy::Hub,
        1 => InitialPolicy::Newest(1),
        _ => InitialPolicy::Quarantine,
    };
    policy
}
