//! Finds the font of the fonts scenario and compiles the prelude to bytecode.

#[path = "build/font.rs"]
mod font;
#[path = "build/prelude.rs"]
mod prelude;

fn main() {
    font::bundle();
    prelude::compile();
}
