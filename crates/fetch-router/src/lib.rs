//! fetch-router
