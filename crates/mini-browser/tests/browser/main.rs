//! A browser as its user sees it.

#[cfg(test)]
mod clearing;
#[cfg(test)]
mod failures;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod shared_workers;
