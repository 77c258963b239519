//! Sketches in files, in the words of the command line.

use crate::Trouble;
use sketch::Limits;
use sketch::image::{Image, Type, Unreadable};
use std::path::Path;

/// What the values of an image are: `--type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Of {
    /// KLL of doubles.
    Double,
    /// KLL of floats.
    Float,
    /// KLL or frequent items of 64-bit integers.
    Long,
    /// Frequent items of text.
    String,
}

impl From<Of> for Type {
    fn from(of: Of) -> Type {
        match of {
            Of::Double => Type::Double,
            Of::Float => Type::Float,
            Of::Long => Type::Long,
            Of::String => Type::String,
        }
    }
}

/// Reads the sketch of a file.
pub fn read(path: &Path, bytes: &[u8], of: Option<Of>, limits: &Limits) -> Result<Image, Trouble> {
    Image::read(bytes, of.map(Type::from), limits).map_err(|error| {
        let advice = match &error {
            Unreadable::NoSketch => ", nor a state file (run --save)".into(),
            Unreadable::DataSketches { family, .. } => family
                .types()
                .map(|types| {
                    format!("; if its values are of another type, say so with --type ({})", words(types))
                })
                .unwrap_or_default(),
            _ => String::new(),
        };
        Trouble::environment(format!("`{}` cannot be read: {error}{advice}", path.display()))
    })
}

/// `double, float or long`.
pub fn words(types: &[Type]) -> String {
    let word = |of: &Type| match of {
        Type::Double => "double",
        Type::Float => "float",
        Type::Long => "long",
        Type::String => "string",
    };
    let (last, before) = types.split_last().expect("there is a choice");
    let before: Vec<&str> = before.iter().map(word).collect();
    format!("{} or {}", before.join(", "), word(last))
}
