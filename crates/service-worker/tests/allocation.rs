//! A request that nobody wants costs the whole facade no allocation.

#![expect(
    unsafe_code,
    reason = "a counting allocator can only be had by an unsafe trait"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use http::header::{ACCEPT, HeaderValue};
use service_worker::tokio_adapter::TokioClock;
use service_worker::types::fetch::{RequestHead, RequestMode};
use service_worker::types::{ClientId, Environment};
use service_worker::{
    Config, HostEvent, MemoryStore, Network, NetworkError, NetworkErrorKind, NetworkFuture,
    NetworkRequest, NoCaches, Policies, open,
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

struct NoNetwork;

impl Network for NoNetwork {
    fn send(&self, request: NetworkRequest) -> NetworkFuture {
        let kind = NetworkErrorKind::Timeout;
        let url = request.url;
        Box::pin(async move { Err(NetworkError { url, kind }) })
    }
}

#[tokio::test]
async fn deciding_about_a_request_that_nobody_wants_costs_no_allocation() {
    for policies in [Policies::seeds(), Policies::shipping()] {
        let mut opened = open(Config {
            policies,
            clock: Arc::new(TokioClock),
            network: Arc::new(NoNetwork),
            caches: Arc::new(NoCaches),
            store: Box::new(MemoryStore::new()),
        })
        .unwrap();
        let page = Environment::top_level(ClientId(1), Url::parse("https://acme.com/").unwrap());
        let url = Url::parse("https://cdn.example.com/a.png").unwrap();
        let mut request = RequestHead::get(url, page.origin.clone());
        request.mode = RequestMode::Cors;
        request.headers.insert(
            ACCEPT,
            HeaderValue::from_static("image/avif,image/webp,*/*;q=0.8"),
        );
        opened.handle.host_event(HostEvent::ClientCreated(page));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut opened.driver).poll(&mut cx).is_pending());

        let before = ALLOCATIONS.with(Cell::get);
        let route = black_box(opened.handle.route(black_box(&request), ClientId(1)));
        let during = ALLOCATIONS.with(Cell::get) - before;
        let route = route.unwrap();
        assert_eq!(during, 0);
        assert_eq!(
            (route.own.worker(), route.fall_through.worker()),
            (None, None)
        );

        // The counter counts.
        drop(black_box(request.clone()));
        assert!(ALLOCATIONS.with(Cell::get) > before);
    }
}
