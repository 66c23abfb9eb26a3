//! Finds the font of the fonts scenario and compiles the prelude to bytecode.

#[path = "build/font.rs"]
mod font;

fn main() {
    font::bundle();
}
