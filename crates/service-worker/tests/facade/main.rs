//! The whole facade, with a native host and a network of its own.

#[cfg(test)]
mod native;
