//! The daemon's own process and the disk below its ledger, as Linux tells: for metrics.

use std::path::Path;
use std::sync::OnceLock;

/// What `/proc/self` says. The names of the metrics are those of Prometheus' own client libraries.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    pub resident_bytes: u64,
    pub virtual_bytes: u64,
    pub cpu_seconds: f64,
    pub open_fds: u64,
    pub max_fds: u64,
    /// When it was started, seconds since 1970.
    pub start_seconds: f64,
}

/// Fields of `/proc/self/stat` behind the name, which ends with the last `)`.
const UTIME: usize = 11;
const STIME: usize = 12;
const STARTTIME: usize = 19;
const VSIZE: usize = 20;
const RSS: usize = 21;

impl Process {
    /// None where there is no `/proc`.
    pub fn read() -> Option<Process> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let fields: Vec<u64> = stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
        let field = |at: usize| fields.get(at).copied();
        let (hertz, page_bytes) = (configured(libc::_SC_CLK_TCK)? as f64, configured(libc::_SC_PAGESIZE)?);
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure is ours and of the type that the call fills.
        let limited = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 };
        Some(Process {
            resident_bytes: field(RSS)? * page_bytes,
            virtual_bytes: field(VSIZE)?,
            cpu_seconds: (field(UTIME)? + field(STIME)?) as f64 / hertz,
            // The folder that is being read is one of them.
            open_fds: (std::fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1),
            max_fds: if limited { limit.rlim_cur } else { 0 },
            start_seconds: started(field(STARTTIME)? as f64 / hertz),
        })
    }
}

/// Has threads share memory that was freed: glibc would keep what a large transaction took for each of them. To be called before there
/// are threads.
pub fn share_memory() {
    // SAFETY: no other thread allocates yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

fn configured(name: libc::c_int) -> Option<u64> {
    // SAFETY: it has no preconditions.
    u64::try_from(unsafe { libc::sysconf(name) }).ok()
}

/// The moment `after_boot` seconds after the machine's start. Told once: two clocks are read, and the figure must not move.
fn started(after_boot: f64) -> f64 {
    static STARTED: OnceLock<f64> = OnceLock::new();
    *STARTED.get_or_init(|| {
        let mut boot = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is ours and of the type that the call fills.
        unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut boot) };
        let since_boot = boot.tv_sec as f64 + boot.tv_nsec as f64 / 1e9;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        now - since_boot + after_boot
    })
}

/// Room for an ordinary account on the file system of `folder`, bytes.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes()).ok()?;
    let mut room = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends with a zero byte, and the structure is ours and of the type that the call fills.
    let room = unsafe { (libc::statvfs(path.as_ptr(), room.as_mut_ptr()) == 0).then(|| room.assume_init()) }?;
    Some(room.f_bavail * room.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_told() {
        let process = Process::read().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(process.resident_bytes > 1 << 20 && process.virtual_bytes > process.resident_bytes, "{process:?}");
        assert!(process.open_fds > 2 && process.max_fds >= process.open_fds, "{process:?}");
        assert!(process.start_seconds <= now + 0.1 && process.start_seconds > now - 3600.0, "{process:?} at {now}");
        assert_eq!(Process::read().unwrap().start_seconds, process.start_seconds);
        assert!(free_bytes(Path::new("/")).is_some() && free_bytes(Path::new("/nowhere")).is_none());
    }
}
