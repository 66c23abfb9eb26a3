//! The registry, driven by a small host in memory.

#[cfg(test)]
mod harness;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod navigation;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod site_data;
#[cfg(test)]
mod update;
