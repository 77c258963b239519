//! Sketches of given values as files that Apache DataSketches reads, and what is in files that it wrote.
//!
//! `interop_files write DIR` reads every `DIR/values/NAME.TYPE` (TYPE is string, bigint or double; one value a line, `\N`
//! is null) and writes the images `DIR/ours/NAME.TYPE.SKETCH`. `interop_files read DIR` reads every image
//! `DIR/theirs/NAME.TYPE.SKETCH`, merges it into our own sketch of the values of that name, and prints one line for each:
//! file, value, lower and upper bound; for `top` one line per item. `tests/interop` compares both with Spark.

use std::path::{Path, PathBuf};
use std::{env, fs};

use sketch::frequent::Counters;
use sketch::hash::{theta_hash_of_f64, theta_hash_of_i64, theta_hash_of_str};
use sketch::hll::{Distinct, HllType, LgK};
use sketch::kll::{K, Kll, Search, Value};
use sketch::theta::Theta;
use sketch::{Limits, Token};

type Failure = Box<dyn std::error::Error>;

/// The defaults of Spark: lg K 12 for HLL and Theta.
const LG_K: u8 = 12;
/// Of the coins of KLL.
const SEED: u64 = 1;
/// Few, so that a stream of some hundred items purges.
const COUNTER_SLOTS: usize = 64;

fn main() -> Result<(), Failure> {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", dir] => write(Path::new(dir)),
        ["read", dir] => read(Path::new(dir)),
        _ => Err("usage: interop_files write|read DIR".into()),
    }
}

fn write(dir: &Path) -> Result<(), Failure> {
    let out = dir.join("ours");
    fs::create_dir_all(&out)?;
    for path in files(&dir.join("values"))? {
        let name = name_of(&path);
        let column = Column::read(&path)?;
        let mut images = vec![("theta", column.theta()?.to_datasketches())];
        let distinct = column.distinct()?;
        for (suffix, hll_type) in [("hll4", HllType::Hll4), ("hll6", HllType::Hll6), ("hll8", HllType::Hll8)]
        {
            images.push((suffix, distinct.to_datasketches_as(hll_type)));
        }
        match &column {
            Column::String(_) => images.push(("top", column.top().to_datasketches_strings())),
            Column::Bigint(values) => {
                images.extend(column.top().to_datasketches_longs().map(|top| ("top", top)));
                images.push(("kll", kll(values).to_datasketches()));
            }
            Column::Double(values) => images.push(("kll", kll(values).to_datasketches())),
        }
        for (suffix, image) in images {
            fs::write(out.join(format!("{name}.{suffix}")), image)?;
        }
    }
    Ok(())
}

fn read(dir: &Path) -> Result<(), Failure> {
    let limits = &Limits::default();
    for path in files(&dir.join("theirs"))? {
        let (name, image) = (name_of(&path), fs::read(&path)?);
        let (values, kind) = name.rsplit_once('.').ok_or("a file without a kind")?;
        let column = Column::read(&dir.join("values").join(values))?;
        match kind {
            "hll" => {
                let mut theirs = Distinct::from_datasketches(&image, limits)?;
                theirs.merge(&column.distinct()?)?;
                let e = theirs.estimate(0.999);
                println!("{name}\t{}\t{}\t{}", e.value, e.low, e.high);
            }
            "theta" => {
                let mut theirs = Theta::from_datasketches(&image, LgK::new(LG_K)?, limits)?;
                theirs.merge(&column.theta()?)?;
                let e = theirs.estimate(0.999);
                println!("{name}\t{}\t{}\t{}", e.value, e.low, e.high);
            }
            "kll" => {
                let (value, low, high) = match &column {
                    Column::Double(values) => median(&image, values)?,
                    Column::Bigint(values) => {
                        let (value, low, high) = median(&image, values)?;
                        (value as f64, low as f64, high as f64)
                    }
                    Column::String(_) => return Err(format!("{name}: quantiles of strings").into()),
                };
                println!("{name}\t{value}\t{low}\t{high}");
            }
            "top" => {
                let mut theirs = match column {
                    Column::String(_) => Counters::from_datasketches_strings(&image, limits)?,
                    _ => Counters::from_datasketches_longs(&image, limits)?,
                };
                theirs.merge(&column.top())?;
                for item in theirs.top(5) {
                    let text = match (&column, item.item.first_chunk::<8>()) {
                        (Column::Bigint(_), Some(bytes)) => i64::from_le_bytes(*bytes).to_string(),
                        _ => String::from_utf8_lossy(item.item).into_owned(),
                    };
                    let e = item.estimate;
                    println!("{name}\t{}\t{}\t{}\t{text}", e.value, e.low, e.high);
                }
            }
            other => return Err(format!("{name}: no reader of {other}").into()),
        }
    }
    Ok(())
}

/// The values of a file but for nulls.
enum Column {
    String(Vec<String>),
    Bigint(Vec<i64>),
    Double(Vec<f64>),
}

impl Column {
    fn read(path: &Path) -> Result<Column, Failure> {
        let text = fs::read_to_string(path)?;
        let values = text.lines().filter(|line| *line != "\\N");
        Ok(match path.extension().and_then(|extension| extension.to_str()) {
            Some("string") => Column::String(values.map(String::from).collect()),
            Some("bigint") => Column::Bigint(values.map(str::parse).collect::<Result<_, _>>()?),
            Some("double") => Column::Double(values.map(str::parse).collect::<Result<_, _>>()?),
            _ => return Err(format!("{}: no such type", path.display()).into()),
        })
    }

    /// Empty strings are no values, here as over there.
    fn distinct(&self) -> Result<Distinct, Failure> {
        let mut distinct = Distinct::new(LgK::new(LG_K)?);
        match self {
            Column::String(values) => {
                let kept = values.iter().filter(|value| !value.is_empty());
                kept.for_each(|value| distinct.update(Token::of_str(value)));
            }
            Column::Bigint(values) => values.iter().for_each(|&value| distinct.update(Token::of_i64(value))),
            Column::Double(values) => values.iter().for_each(|&value| distinct.update(Token::of_f64(value))),
        }
        Ok(distinct)
    }

    fn theta(&self) -> Result<Theta, Failure> {
        let mut theta = Theta::new(LgK::new(LG_K)?);
        match self {
            Column::String(values) => {
                let kept = values.iter().filter(|value| !value.is_empty());
                kept.for_each(|value| theta.update(theta_hash_of_str(value)));
            }
            Column::Bigint(values) => values.iter().for_each(|&value| theta.update(theta_hash_of_i64(value))),
            Column::Double(values) => values.iter().for_each(|&value| theta.update(theta_hash_of_f64(value))),
        }
        Ok(theta)
    }

    fn top(&self) -> Counters {
        let mut counters = Counters::new(COUNTER_SLOTS);
        let mut count = |token, item: &[u8]| counters.update(token, 1, item);
        match self {
            Column::String(values) => {
                let kept = values.iter().filter(|value| !value.is_empty());
                kept.for_each(|value| count(Token::of_str(value), value.as_bytes()));
            }
            Column::Bigint(values) => values.iter().for_each(|v| count(Token::of_i64(*v), &v.to_le_bytes())),
            Column::Double(values) => values.iter().for_each(|v| count(Token::of_f64(*v), &v.to_le_bytes())),
        }
        counters
    }
}

fn kll<T: Value>(values: &[T]) -> Kll<T> {
    let mut kll = Kll::new(K::DEFAULT, SEED);
    kll.update_all(values);
    kll
}

/// The median of what Spark saw and of these values, with its bounds.
fn median<T: Value>(image: &[u8], values: &[T]) -> Result<(T, T, T), Failure> {
    let mut theirs = Kll::<T>::from_datasketches(image, SEED, &Limits::default())?;
    theirs.merge(&kll(values))?;
    let e = theirs.quantile(0.5, Search::Inclusive, 0.999).ok_or("no values")?;
    Ok((e.value, e.low, e.high))
}

/// The files of a directory, by name.
fn files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, std::io::Error>>()?;
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
