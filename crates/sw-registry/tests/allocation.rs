//! A URL of whose origin nobody keeps a registration costs one look-up and no allocation.

#![expect(
    unsafe_code,
    reason = "a counting allocator can only be had by an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::time::Instant;

use sw_registry::{Input, Limits, Now, Provenance, Register, Registry, Restored};
use sw_types::{
    PromiseId, ScopeUrl, ScriptUrl, Site, StorageKey, Timestamp, UpdateViaCache, WorkerType,
};
use url::Url;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: hands everything to the system's allocator, and counts in a cell that needs no allocation
// and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc`, with this `layout`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_origin_that_nobody_registered_is_missed_without_allocation() {
    let mut registry = Registry::new(Limits::default(), Restored::default());
    let script_url = ScriptUrl::parse("https://fonts.test/sw.js", None).unwrap();
    let origin = script_url.origin();
    let register = Register {
        storage_key: StorageKey::first_party(origin.clone()),
        scope: ScopeUrl::default_for(&script_url),
        script_url,
        worker_type: WorkerType::Classic,
        update_via_cache: UpdateViaCache::Imports,
        client: None,
        initiator: Site::of(&origin),
        referrer_origin: origin,
        referrer: None,
        provenance: Provenance::Script,
    };
    let now = Now {
        instant: Instant::now(),
        wall: Timestamp(0),
    };
    registry.handle_input(now, Input::Register(PromiseId(1), register));
    let lookup = registry.lookup();
    let listed = Url::parse("https://fonts.test/font").unwrap();
    let missed = Url::parse("https://cdn.test/a.png").unwrap();

    let before = ALLOCATIONS.with(Cell::get);
    let found = (
        lookup.has_origin(black_box(&listed)),
        lookup.has_origin(black_box(&missed)),
    );
    let during = ALLOCATIONS.with(Cell::get) - before;
    assert_eq!((found, during), ((true, false), 0));

    // The counter counts.
    drop(black_box(missed.clone()));
    assert!(ALLOCATIONS.with(Cell::get) > before);
}
