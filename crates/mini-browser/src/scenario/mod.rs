//! The fonts scenario: what the default command of the program shows.

pub mod font;
