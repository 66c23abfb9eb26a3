//! The whole facade, with a native host or a test in its place, and a network of its own.

#[cfg(test)]
mod bodies;
#[cfg(test)]
mod driver;
#[cfg(test)]
mod fetches;
mod idle;
#[cfg(test)]
mod local_fetches;
#[cfg(test)]
mod native;
#[cfg(test)]
mod preloads;
#[cfg(test)]
mod records;
#[cfg(test)]
mod ring;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod scripts;
#[cfg(test)]
mod stand;
