//! Samples with random edits.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Edits of one input, at most.
const EDITS_MAX: usize = 4;

/// Bytes of an input, at most.
const BYTES_MAX: usize = 20_000;

/// Bytes that are likely to matter to a parser.
const TELLING: [u8; 16] =
    [0, 1, 0x7e, 0x7f, 0x80, 0xc0, 0xff, b'"', b'\\', b'{', b'}', b'[', b'.', b'>', b'*', b'='];

pub struct Mutator<'a> {
    rng: StdRng,
    samples: &'a [Vec<u8>],
}

impl<'a> Mutator<'a> {
    pub fn new(seed: u64, samples: &'a [Vec<u8>]) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), samples }
    }

    pub fn input(&mut self) -> Vec<u8> {
        let mut input = self.sample();
        for _ in 0..self.rng.random_range(1..=EDITS_MAX) {
            self.edit(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn sample(&mut self) -> Vec<u8> {
        self.samples[self.rng.random_range(0..self.samples.len())].clone()
    }

    fn edit(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.random_range(0..=input.len());
        let end = self.rng.random_range(at..=input.len());
        match self.rng.random_range(0..6) {
            0 if at < input.len() => input[at] ^= 1 << self.rng.random_range(0..8),
            1 if at < input.len() => input[at] = self.telling(),
            2 => input.insert(at, self.telling()),
            3 => drop(input.drain(at..end)),
            4 => {
                let copy = input[at..end].to_vec();
                input.splice(at..at, copy);
            }
            _ => {
                let other = self.sample();
                let from = self.rng.random_range(0..=other.len());
                input.splice(at..end, other[from..].iter().copied());
            }
        }
    }

    fn telling(&mut self) -> u8 {
        TELLING[self.rng.random_range(0..TELLING.len())]
    }
}

#[test]
fn a_seed_gives_the_same_inputs_again() {
    let samples = [b"{\"op\":\"ping\"}".to_vec()];
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed, &samples);
        (0..50).map(|_| mutator.input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}
