//! Compiles the prelude to bytecode.

#[path = "build/prelude.rs"]
mod prelude;

fn main() {
    prelude::compile();
}
