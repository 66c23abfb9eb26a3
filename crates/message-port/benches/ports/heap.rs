//! An allocator that counts the bytes that are live, while it is told to.

#![expect(
    unsafe_code,
    reason = "a global allocator cannot be written without; it only passes on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The system's allocator, counted.
pub(crate) struct Counted;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static FREED: AtomicUsize = AtomicUsize::new(0);

/// Brings the system's allocator into the state of a process that has run for a while, where it
/// keeps large blocks that were freed instead of giving each back to the kernel. (The C library
/// learns this from the largest block that it has seen freed.) Otherwise the first rows would pay
/// for page faults that the later ones do not.
pub(crate) fn settle() {
    const LARGE: usize = 30 << 20;
    drop(std::hint::black_box(vec![1_u8; LARGE]));
}

/// How many bytes `make` leaves on the heap for as long as its value lives.
pub(crate) fn held_by<T>(make: impl FnOnce() -> T) -> usize {
    ALLOCATED.store(0, Relaxed);
    FREED.store(0, Relaxed);
    COUNTING.store(true, Relaxed);
    let made = make();
    COUNTING.store(false, Relaxed);
    let bytes = ALLOCATED.load(Relaxed) - FREED.load(Relaxed);
    drop(made);
    bytes
}

fn count(allocated: usize, freed: usize) {
    // So that what is timed elsewhere pays for one load only.
    if COUNTING.load(Relaxed) {
        ALLOCATED.fetch_add(allocated, Relaxed);
        FREED.fetch_add(freed, Relaxed);
    }
}

// SAFETY: every call goes on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise is the one that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: `pointer` came from `System` with this layout, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        // SAFETY: as above; the caller promises that `size` is one that `System` takes.
        unsafe { System.realloc(pointer, layout, size) }
    }
}
