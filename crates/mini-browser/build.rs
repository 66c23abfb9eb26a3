//! Finds the font of the fonts scenario and compiles the prelude to bytecode.
fn main() {}
