//! What the fuzz targets check: the same that the mutation test of the library checks, with the same seeds.

#[path = "../../tests/hostile/foreign.rs"]
pub mod foreign;
#[path = "../../tests/hostile/seeds.rs"]
pub mod seeds;
#[path = "../../tests/hostile/trial.rs"]
pub mod trial;

/// The first eight bytes are a value for later; the rest claim to be what their first byte says: a kind of snapshot, or a
/// format of others.
pub fn image(data: &[u8]) {
    let Some((value, bytes)) = data.split_first_chunk::<8>() else { return };
    trial::image(bytes, u64::from_le_bytes(*value));
}
