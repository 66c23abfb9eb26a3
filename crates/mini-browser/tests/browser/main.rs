//! A browser as its user sees it.

#[cfg(test)]
mod pages;
