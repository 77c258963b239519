//! Parquet files as input: what their types become, and what cannot be read.

use crate::support::{Workdir, counter, gz, shown};
use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::builder::{ListBuilder, StringBuilder, StringDictionaryBuilder};
use arrow_array::types::Int32Type;
use arrow_array::*;
use arrow_schema::{DataType, Field};
use std::sync::Arc;

type Columns = Vec<(&'static str, ArrayRef)>;

/// A Parquet file of these columns, in row groups of `group` rows and pages of at most a hundred.
fn file(columns: Columns, compression: Compression, group: usize) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    );
    let batch = batch.expect("columns of one length");
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .set_max_row_group_row_count(Some(group))
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(50);
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build()))
        .expect("a schema that can be written");
    writer.write(&batch).expect("memory takes rows");
    writer.into_inner().expect("memory takes a footer")
}

fn plain(columns: Columns) -> Vec<u8> {
    file(columns, Compression::UNCOMPRESSED, 1000)
}

/// Every type that a field can hold, three rows, the last one null.
fn types() -> Columns {
    let mut dictionary = StringDictionaryBuilder::<Int32Type>::new();
    dictionary.append_value("x");
    dictionary.append_value("y");
    dictionary.append_null();
    let inner = |values: Vec<i64>| -> ArrayRef { Arc::new(Int64Array::from(values)) };
    let member = Arc::new(Field::new("id", DataType::Int64, false));
    // A member that cannot be null, in a struct that can.
    let user = StructArray::new(
        vec![member].into(),
        vec![inner(vec![1, 2, 3])],
        Some(vec![true, true, false].into()),
    );
    vec![
        ("i8", Arc::new(Int8Array::from(vec![Some(-1), Some(2), None]))),
        ("u32", Arc::new(UInt32Array::from(vec![Some(u32::MAX), Some(2), None]))),
        ("u64", Arc::new(UInt64Array::from(vec![Some(u64::MAX), Some(2), None]))),
        ("f32", Arc::new(Float32Array::from(vec![Some(0.5), Some(2.0), None]))),
        (
            "dec",
            Arc::new(
                Decimal128Array::from(vec![Some(-125), Some(200), None])
                    .with_precision_and_scale(9, 2)
                    .expect("a decimal"),
            ),
        ),
        ("s", Arc::new(StringArray::from(vec![Some("ü"), Some(""), None]))),
        ("large", Arc::new(LargeStringArray::from(vec![Some("l"), Some("m"), None]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec![Some("a view of more than twelve bytes"), Some("m"), None])),
        ),
        ("dict", Arc::new(dictionary.finish())),
        ("bin", Arc::new(BinaryArray::from(vec![Some(&b"b"[..]), Some(b"c"), None]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(16_690), Some(-1), None]))),
        ("sec", Arc::new(TimestampSecondArray::from(vec![Some(60), Some(-1), None]))),
        (
            "ms",
            Arc::new(
                TimestampMillisecondArray::from(vec![Some(60_001), Some(-1), None]).with_timezone("+02:00"),
            ),
        ),
        (
            "ns",
            Arc::new(
                TimestampNanosecondArray::from(vec![Some(60_000_001_999), Some(-1), None])
                    .with_timezone("UTC"),
            ),
        ),
        ("user", Arc::new(user)),
    ]
}

#[test]
fn every_type_has_its_text() {
    let paths = [
        ("i8", "-1 2"),
        ("u32", "2 4294967295"),
        ("u64", "18446744073709551615 2"),
        ("f32", "0.5 2.0"),
        ("dec", "-1.25 2.00"),
        ("s", "ü"),
        ("large", "l m"),
        ("view", "a view of more than twelve bytes m"),
        ("dict", "x y"),
        ("bin", "b c"),
        ("flag", "false true"),
        ("date", "1969-12-31 2015-09-12"),
        ("sec", "1969-12-31T23:59:59Z 1970-01-01T00:01:00Z"),
        ("ms", "1969-12-31T23:59:59.999Z 1970-01-01T00:01:00.001Z"),
        ("ns", "1969-12-31T23:59:59.999999Z 1970-01-01T00:01:00.000001Z"),
        ("user.id", "1 2"),
    ];
    let metrics: String =
        paths.iter().enumerate().map(|(i, (path, _))| format!("m{i} = 'top(\"{path}\")'\n")).collect();
    let dir = Workdir::with("d.parquet", plain(types()), "", &metrics);
    let answers = dir.json(&[]);
    for (i, (path, want)) in paths.iter().enumerate() {
        let answer = answers.iter().find(|a| a["metric"] == format!("m{i}")).expect("an answer");
        let mut items: Vec<String> = answer["items"]
            .as_array()
            .expect("items")
            .iter()
            .map(|item| item["item"].as_str().map_or_else(|| item["item"].to_string(), str::to_string))
            .collect();
        items.sort();
        assert_eq!(items.join(" "), *want, "{path}");
    }
    assert_eq!((counter(&answers, "read"), counter(&answers, "bad")), (3, 0));
}

#[test]
fn numbers_are_numbers_whatever_their_type() {
    let source = "fields = { i8 = \"int64\", dec = \"float64\", \"user.id\" = \"int64\", flag = \"bool\" }";
    let metrics = "a = \"sum(i8)\"\nb = \"sum(dec)\"\nc = 'max(\"user.id\")'\nd = \"sum(f32)\"\ne = \"max(u64)\"\n\
                   f = { measure = \"count()\", by = [\"flag\"] }";
    let answers = Workdir::with("d.parquet", plain(types()), source, metrics).json(&[]);
    let values: Vec<String> =
        ["a", "b", "c", "d", "f"].iter().flat_map(|metric| shown(&answers, metric)).collect();
    assert_eq!(values, ["=1", "=0.75", "=2", "=2.5", "null=1", "false=1", "true=1"]);
    assert_eq!(shown(&answers, "e"), ["=1.8446744073709552e+19"]);
}

#[test]
fn any_type_of_time_is_event_time() {
    for (time, windows) in [
        ("field = \"sec\"", ["1969-12-31T23:59:00Z =1", "1970-01-01T00:01:00Z =1"]),
        ("field = \"ms\"", ["1969-12-31T23:59:00Z =1", "1970-01-01T00:01:00Z =1"]),
        ("field = \"ns\"", ["1969-12-31T23:59:00Z =1", "1970-01-01T00:01:00Z =1"]),
        ("field = \"date\"", ["1969-12-31T00:00:00Z =1", "2015-09-12T00:00:00Z =1"]),
        ("field = \"i8\", unit = \"s\"", ["1969-12-31T23:59:00Z =1", "1970-01-01T00:00:00Z =1"]),
    ] {
        let dir = Workdir::with(
            "d.parquet",
            plain(types()),
            &format!("time = {{ {time} }}"),
            "n = { measure = \"count()\", panes = [\"1m:9999w\"] }",
        );
        let answers = dir.json(&["--every", "1m"]);
        assert_eq!(shown(&answers, "n"), windows, "{time}");
        assert_eq!((counter(&answers, "time"), counter(&answers, "read")), (1, 3), "a null is no time");
    }
}

/// Many rows, with a column that nobody wants.
fn many(rows: i64) -> Columns {
    let texts = |n: i64| (0..rows).map(move |i| Some(format!("v{}", i % n)));
    vec![
        ("k", Arc::new(texts(7).collect::<StringArray>())),
        ("n", Arc::new((0..rows).map(|i| (i % 11 > 0).then_some(i)).collect::<Int64Array>())),
        ("rest", Arc::new(texts(rows).collect::<StringArray>())),
    ]
}

#[test]
fn codecs_groups_and_shards_change_nothing() {
    const ROWS: i64 = 20_000;
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(Default::default()),
    ];
    let sum: i64 = (0..ROWS).filter(|i| i % 11 > 0).sum();
    for codec in codecs {
        let dir = Workdir::new();
        dir.write("a/1.parquet", file(many(ROWS), codec, 3_000));
        dir.write("a/2.parquet", file(many(10), codec, 3));
        dir.pipeline(
            "path = \"a/*.parquet\"\nfields = { n = \"int64\" }\ntime = { row = \"1s\" }",
            "s = \"sum(n)\"\nu = \"unique(k)\"\nc = \"count()\"",
        );
        for shards in ["1", "3"] {
            let answers = dir.json(&["--shards", shards]);
            assert_eq!(shown(&answers, "s"), [format!("={}", sum + 45)], "{codec}");
            assert_eq!(
                (shown(&answers, "u"), shown(&answers, "c")),
                (vec!["=7".to_string()], vec!["=20010".to_string()])
            );
            let windows = dir.json(&["--every", "1h", "--shards", shards]);
            let hours: Vec<_> =
                shown(&windows, "c").into_iter().map(|w| w.rsplit('=').next().map(str::to_string)).collect();
            assert_eq!(hours.len(), 6, "{hours:?}");
            assert_eq!(hours.last(), Some(&Some("2010".to_string())), "rows are numbered over all files");
        }
    }
}

#[test]
fn bad_rows_are_counted_and_set_aside() {
    let columns: Columns = vec![
        ("t", Arc::new(TimestampMillisecondArray::from(vec![Some(1), None, Some(3), Some(4)]))),
        ("v", Arc::new(StringArray::from(vec![Some("1"), Some("2"), Some("x"), Some("NA")]))),
        ("raw", Arc::new(BinaryArray::from(vec![Some(&b"a"[..]), Some(b"b"), Some(b"c"), Some(b"\xff")]))),
    ];
    let source =
        "bad = \"quarantine\"\nnull = [\"NA\"]\nfields = { v = \"int64\" }\ntime = { field = \"t\" }";
    let dir = Workdir::with("d.parquet", plain(columns), source, "s = \"sum(v)\"\nu = \"unique(raw)\"");
    let answers = dir.json(&[]);
    assert_eq!(shown(&answers, "s"), ["=1"]);
    assert_eq!(["time", "type", "utf8"].map(|reason| counter(&answers, reason)), [1, 1, 1]);
    let aside = dir.read("p.quarantine.ndjson");
    let lines: Vec<serde_json::Value> =
        aside.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let line = |i: usize| {
        format!("{} {} {}", lines[i]["line"], lines[i]["field"], lines[i]["raw"].as_str().expect("text"))
    };
    assert_eq!(line(0), r#"2 null {"raw":"b","t":null,"v":"2"}"#);
    assert_eq!(line(1), r#"3 "v" {"raw":"c","t":"1970-01-01T00:00:00.003Z","v":"x"}"#);
    dir.run(&[]).expect(0, &["note: 3 of 4 records were bad, the first at row 2 of `d.parquet`"]);
}

#[test]
fn columns_that_no_field_can_hold_are_refused() {
    let mut list = ListBuilder::new(StringBuilder::new());
    list.append_value([Some("a"), Some("b")]);
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let user = StructArray::from(vec![(Arc::new(Field::new("id", DataType::Int64, true)), inner.clone())]);
    let uuid = FixedSizeBinaryArray::try_from_iter([[0u8; 16]].into_iter()).expect("16 bytes");
    let columns: Columns = vec![
        ("tags", Arc::new(list.finish())),
        ("user", Arc::new(user)),
        ("uuid", Arc::new(uuid)),
        ("page", inner),
    ];
    let dir = Workdir::with("d.parquet", plain(columns), "", "");
    for (field, words) in [
        ("tags", "column `tags` of `d.parquet` is a list or a map, which no field can hold"),
        ("tags.list.item", "is a list or inside one"),
        ("user", "is a struct (its members are fields, as in `user.id`)"),
        ("uuid", "column `uuid` of `d.parquet` is of type FixedSizeBinary(16)"),
        ("pgae", "did you mean `page`?"),
        ("nothing", "there are: user.id, uuid, page"),
    ] {
        dir.pipeline("path = \"d.parquet\"", &format!("m = 'unique(\"{field}\")'"));
        let ran = dir.run(&[]);
        ran.expect(2, &[words, "--> p.toml:6:"]);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn what_is_no_parquet_is_told_what_to_do() {
    let bytes = plain(types());
    for (file, bytes, source, words) in [
        (
            "d.ndjson",
            bytes.clone(),
            "",
            "is a Parquet file, which is not read here: write format = \"parquet\"",
        ),
        ("d.parquet", b"a,b\n".to_vec(), "", "`d.parquet` is no Parquet file: write its `format`"),
        ("d.parquet", b"".to_vec(), "", "`d.parquet` is no Parquet file"),
        ("d.parquet.gz", gz(&bytes), "", "is compressed as a whole: decompress it"),
        ("d.bin", b"PAR1PAR1".to_vec(), "format = \"parquet\"", "`d.bin` is damaged: its Parquet data"),
    ] {
        let ran = Workdir::with(file, bytes, source, "m = \"count()\"").run(&[]);
        ran.expect(3, &[words]);
        assert_eq!(ran.out, "");
    }
}

#[test]
fn damaged_files_are_named() {
    let bytes = file(many(3_000), Compression::SNAPPY, 1_000);
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at..at + 32].fill(0xa5);
        bytes
    };
    let cut = |at: usize| bytes[..at].to_vec();
    let damaged =
        [cut(bytes.len() - 1), cut(bytes.len() / 2), cut(5), flipped(bytes.len() - 200), flipped(300)];
    for (i, bytes) in damaged.into_iter().enumerate() {
        let dir = Workdir::with("d.parquet", bytes, "", "m = \"top(k)\"\nn = \"sum(n)\"");
        for shards in ["1", "3"] {
            let ran = dir.run(&["--shards", shards]);
            ran.expect(3, &["`d.parquet` is damaged: its Parquet data cannot be read behind row"]);
            assert_eq!(ran.out, "", "{i}");
        }
    }
}
