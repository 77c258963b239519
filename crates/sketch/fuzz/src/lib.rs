//! What the fuzz targets check: the same that the mutation test of the library checks, with the same seeds.

#[path = "../../tests/hostile/seeds.rs"]
pub mod seeds;
#[path = "../../tests/hostile/trial.rs"]
pub mod trial;

/// The first eight bytes are a value for later; the rest claim to be a snapshot, whose first byte is its kind.
pub fn snapshot(data: &[u8]) {
    let Some((value, bytes)) = data.split_first_chunk::<8>() else { return };
    trial::snapshot(bytes, u64::from_le_bytes(*value));
}
