//! What the fonts promise, tested on the real one.

use super::*;

/// The font that the build found. Without it there is nothing to test, and that must be seen.
fn font() -> Font {
    Font::bundled().expect("these tests need the font: build once with the network on")
}

fn kanji(font: &Font, count: usize) -> CharSet {
    font.characters()
        .iter()
        .filter(|character| ('\u{4E00}'..='\u{9FFF}').contains(character))
        .take(count)
        .collect()
}

/// A small generator of pseudo-random numbers (xorshift64*), so that a seed replays a run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }
}

/// The seed of a test: `SEED=…` in the environment replays one run.
fn seed() -> u64 {
    let seed = match std::env::var("SEED") {
        Ok(seed) => seed.parse().expect("SEED is a number"),
        Err(_) => 0x5EED,
    };
    println!("SEED={seed}");
    seed.max(1)
}

mod cut;
mod damaged;
mod whole;
