//! A request that nobody wants costs no allocation.

#![expect(
    unsafe_code,
    reason = "a counting allocator can only be had by an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use fetch_router::{FallThroughPolicy, RouteRequest, route};
use http::header::{ACCEPT, HeaderValue};
use sw_types::fetch::{RequestHead, RequestMode};
use sw_types::{ClientId, Environment, UncredentialedFallThrough};
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
fn a_request_that_nobody_wants_costs_no_allocation() {
    let page = Environment::top_level(ClientId(1), Url::parse("https://acme.com/").unwrap());
    let url = Url::parse("https://cdn.example.com/a.png").unwrap();
    let mut request = RequestHead::get(url, page.origin.clone());
    request.mode = RequestMode::Cors;
    request.headers.insert(
        ACCEPT,
        HeaderValue::from_static("image/avif,image/webp,*/*;q=0.8"),
    );
    let policy = FallThroughPolicy::new(UncredentialedFallThrough::Allow);
    let asked = RouteRequest::new(&request, Some(&page), &policy);

    let before = ALLOCATIONS.with(Cell::get);
    let decided = black_box(route(black_box(&asked)));
    let during = ALLOCATIONS.with(Cell::get) - before;
    assert_eq!(during, 0);
    assert_eq!(
        (decided.own.worker(), decided.fall_through.worker()),
        (None, None)
    );

    // The counter counts.
    drop(black_box(request.clone()));
    assert!(ALLOCATIONS.with(Cell::get) > before);
}
