//! sw-registry
