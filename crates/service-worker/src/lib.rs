//! service-worker
