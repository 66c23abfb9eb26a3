//! What scripts and hosts see of agents, workers and pages.

mod blobs;
mod dedicated;
mod dom_documents;
mod dom_nodes;
mod error;
mod events;
mod fetch_event;
mod fetches_of_workers;
mod forms;
mod frames;
mod lifecycle;
mod limits;
mod messages;
mod messages_across;
mod other_realms;
mod page;
mod service_worker_surface;
mod shared;
pub(super) mod stand;
mod streams;
mod structured_clone;
mod url_pattern;
mod web_apis;
mod windows;
mod xhr;
