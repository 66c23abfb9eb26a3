//! A team takes `sw-registry` alone, with an event loop of its own: what the crate's front page shows.

#[path = "../../../../crates/sw-registry/examples/alone.rs"]
mod alone;

#[test]
fn a_worker_is_registered_activated_and_found() {
    alone::main().expect("the front page holds");
}
