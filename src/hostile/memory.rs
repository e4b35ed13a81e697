//! Counts what a thread has allocated, for bounds on what one input may take.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static LIVE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn more(bytes: usize) {
    // Not while the thread ends.
    let _ = LIVE.try_with(|live| {
        live.set(live.get().saturating_add(bytes));
        PEAK.with(|peak| peak.set(peak.get().max(live.get())));
    });
}

fn less(bytes: usize) {
    let _ = LIVE.try_with(|live| live.set(live.get().saturating_sub(bytes)));
}

// SAFETY: everything is the system's allocator's; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        more(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        less(layout.size());
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        more(bytes.saturating_sub(layout.size()));
        less(layout.size().saturating_sub(bytes));
        unsafe { System.realloc(at, layout, bytes) }
    }
}

/// The most that `f` had allocated at one time on this thread, in bytes beyond what there was before.
pub fn peak(f: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    f();
    PEAK.get().saturating_sub(before)
}

#[test]
fn the_most_at_one_time_is_counted() {
    let bytes = peak(|| {
        drop(vec![0u8; 1 << 20]);
        let mut grown = Vec::with_capacity(1);
        grown.extend_from_slice(&[1u8; 300_000]);
        drop(vec![1u8; 2 << 20]);
    });
    assert!((2_300_000..2_500_000).contains(&bytes), "{bytes}");
}
