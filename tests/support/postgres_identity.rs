//! Gives a copied PostgreSQL data directory a system identifier of its own, as `initdb` would: two servers with the
//! same one are copies of each other to everything that asks.

use std::{fs, path::Path, time::SystemTime};

const WAL_IDENTIFIER_AT: usize = 24;

/// The server must not have run since its clean shutdown.
pub fn renew(data: &Path) {
    let control_file = data.join("global/pg_control");
    let mut control = fs::read(&control_file).expect("a data directory has a pg_control");
    let old: [u8; 8] = control[..8].try_into().expect("eight bytes");
    let new = unique().to_le_bytes();
    // The checksum ends the struct, whose size differs between versions.
    let end = (8..control.len() - 4)
        .step_by(4)
        .find(|end| control[*end..*end + 4] == crc32c(&control[..*end]).to_le_bytes())
        .expect("pg_control has a checksum");
    control[..8].copy_from_slice(&new);
    let checksum = crc32c(&control[..end]).to_le_bytes();
    control[end..end + 4].copy_from_slice(&checksum);
    fs::write(control_file, control).expect("pg_control can be written");

    // The first page of each segment names the system too.
    for entry in fs::read_dir(data.join("pg_wal")).expect("a data directory has a pg_wal") {
        let segment = entry.expect("the folder can be read").path();
        if segment.is_file() {
            renew_segment(&segment, old, new);
        }
    }
}

fn renew_segment(segment: &Path, old: [u8; 8], new: [u8; 8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(segment).expect("a segment can be opened");
    let mut found = [0; 8];
    file.read_exact_at(&mut found, WAL_IDENTIFIER_AT as u64).expect("a segment has a first page");
    if found == old {
        file.write_all_at(&new, WAL_IDENTIFIER_AT as u64).expect("a segment can be written");
    }
}

fn unique() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    now.as_nanos() as u64 ^ u64::from(std::process::id()) << 44
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())))
}
