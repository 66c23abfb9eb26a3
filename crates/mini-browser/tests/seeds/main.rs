//! The sample code of the proposals, run in a browser: word for word as the folder that `SEEDS_DIR`
//! names has it, and in words of our own, so that a clone without that folder tests the same.

#[cfg(test)]
mod connections;
#[cfg(test)]
mod fall_through;
#[cfg(test)]
mod header_install;
#[cfg(test)]
mod ours;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod stashes;
