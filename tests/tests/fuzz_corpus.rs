//! The fuzz targets on the stored corpus and on seeded mutations of it: what `cargo fuzz` does for hours, for a
//! second, on stable Rust.

use std::{fs, panic, path::Path};

#[path = "../fuzz/targets.rs"]
pub mod targets;

/// Mutated inputs that each target sees. More belong to `cargo fuzz`.
const MUTATIONS: u64 = 2000;

#[test]
fn targets_hold_on_the_corpus_and_on_mutations_of_it() {
    for (name, target) in targets::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        let mut paths: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("read {}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        paths.sort();
        let corpus: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        assert!(!corpus.is_empty(), "{} is empty", folder.display());
        let mutations = (1..=MUTATIONS).map(|seed| mutate(&corpus, &mut Random(seed)));
        for input in corpus.iter().cloned().chain(mutations) {
            let outcome = panic::catch_unwind(|| target(&input));
            assert!(
                outcome.is_ok(),
                "{name} does not hold for b\"{}\"",
                input.escape_ascii()
            );
        }
    }
}

/// One of the inputs with a few places changed, or two of them joined.
fn mutate(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(corpus);
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 => input.truncate(at),
            1 => input.insert(at, u8::try_from(random.below(256)).unwrap_or(0)),
            2 => input.splice(at.., random.pick(corpus)).for_each(drop),
            3 => {
                let end = (at + random.below(8)).min(input.len());
                input.drain(at..end).for_each(drop);
            }
            4 => {
                let copy = input.get(at..).unwrap_or_default().to_vec();
                input.splice(at..at, copy).for_each(drop);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
        // Doubling again and again finds nothing new.
        input.truncate(4096);
    }
    input
}

/// A small generator (Steele, Lea and Flood's SplitMix64), so that a seed means the same inputs for good.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or(0)
    }

    fn pick(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let at = self.below(corpus.len());
        corpus.get(at).cloned().unwrap_or_default()
    }
}
