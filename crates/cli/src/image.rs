//! Sketches in files, in the words of the command line.

use crate::{Trouble, say};
use sketch::Limits;
use sketch::image::{Form, Image, Type, Unreadable};
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

/// Says that `--type` might be given for a file, or was and changes nothing; `form` is that of its sketch, and none is a
/// state.
pub fn note_type(path: &Path, form: Option<Form>, of: Option<Of>) {
    let of = of.map(Type::from);
    let types = match form {
        Some(Form::DataSketches(family)) => family.types(),
        Some(Form::Snapshot) | None => None,
    };
    match (of, types) {
        (None, None) => {}
        (None, Some(types)) => say(format_args!(
            "note: the bytes do not say what the values are; to read them otherwise: --type {}",
            words(types)
        )),
        (Some(of), Some(types)) if types.contains(&of) => {}
        (Some(of), Some(types)) => say(format_args!(
            "note: --type {} changes nothing: `{}` holds values of type {}, {} unless told",
            word(&of),
            path.display(),
            words(types),
            word(&types[0])
        )),
        (Some(of), None) => say(format_args!(
            "note: --type {} changes nothing: `{}` itself says what its values are",
            word(&of),
            path.display()
        )),
    }
}

fn word(of: &Type) -> &'static str {
    match of {
        Type::Double => "double",
        Type::Float => "float",
        Type::Long => "long",
        Type::String => "string",
    }
}

/// `double, float or long`.
pub fn words(types: &[Type]) -> String {
    let (last, before) = types.split_last().expect("there is a choice");
    let before: Vec<&str> = before.iter().map(word).collect();
    format!("{} or {}", before.join(", "), word(last))
}
