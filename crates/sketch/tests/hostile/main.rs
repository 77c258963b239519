//! Bytes of an enemy: every decoder of the library, of own bytes and of others', under structured mutation, with its allocations watched.
//!
//! 60,000 images in an ordinary run; `STREAMGAUGE_IMAGES` sets another number (CI runs two million in release). A failure
//! prints the bytes; they become a line of `known.rs`.

mod foreign;
mod known;
mod mutate;
mod seeds;
mod trial;

use foreign::Format;
use mutate::Mutator;
use peak_alloc::PeakAlloc;
use sketch::Kind;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// A tenth of a MiB more than a decoder may build with `trial::LIMITS`, twice over: it, its merge and a copy live at once.
const PEAK_BYTES_MAX: usize = 8 << 20;

// One test: the allocator's peak belongs to the whole program.
#[test]
fn any_bytes_are_survived_and_what_is_accepted_lives() {
    known::all_are_refused();
    let images: u64 =
        std::env::var("STREAMGAUGE_IMAGES").map_or(60_000, |text| text.parse().expect("a number of images"));
    let seeds = seeds::all();
    let own = Kind::ALL.iter().map(|kind| (*kind as u8, kind.as_str().to_owned()));
    let of_others = Format::ALL.iter().map(|format| (*format as u8, format!("{format:?}")));
    let all: Vec<(u8, String)> = own.chain(of_others).collect();
    for (byte, name) in &all {
        assert!(seeds.iter().any(|(_, bytes)| bytes[0] == *byte), "no seed of {name}");
    }
    for (name, bytes) in &seeds {
        assert!(trial::image(bytes, 1), "{name} is an image");
    }
    let mut mutator = Mutator::new(7);
    let mut accepted: BTreeMap<u8, u64> = BTreeMap::new();
    for n in 0..images {
        let (name, seed) = &seeds[n as usize % seeds.len()];
        let (_, other) = &seeds[mutator.below(seeds.len())];
        let image = mutator.mutate(seed, other);
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let outcome = catch_unwind(AssertUnwindSafe(|| trial::image(&image, mutator.word())));
        let Ok(lives) = outcome else { panic!("image {n} of {name}: {image:?}") };
        let peak = HEAP.peak_usage() - before;
        assert!(
            peak <= PEAK_BYTES_MAX + 64 * image.len(),
            "{peak} bytes for {} of {name}: {image:?}",
            image.len()
        );
        if lives {
            *accepted.entry(image[0]).or_default() += 1;
        }
    }
    // Mutations that are always refused would try nothing but the first check.
    for (byte, name) in &all {
        let lives = accepted.get(byte).copied().unwrap_or(0);
        assert!(lives * 2_000 >= images / all.len() as u64, "{lives} images of {name} were accepted");
    }
    eprintln!("{images} images, accepted by kind: {accepted:?}");
}
