//! Files of runs: MLflow reads ours and we read its, both make the same bytes of the same values, and nobody ever sees
//! half a file.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use plotters::prelude::{ChartBuilder, IntoDrawingArea as _, LineSeries, RED, SVGBackend};
use runlog::{ErrorKind, ImageArray, LoadTable, Run, RunHandle, RunStatus, Svg, Table, Tracker};
use serde_json::{Value, json};

use crate::support::Place;

impl Place {
    fn artifacts(&self, command: &str, arguments: &[&str]) -> Value {
        self.ask("artifacts.py", &[&[command, &*self.uri()], arguments].concat())
    }

    /// The values in a file that MLflow is to log, and the run it logged them to.
    fn logged_by_mlflow(&self, command: &str, values: &Value, arguments: &[&str]) -> Run {
        let file = self.path().join("values.json");
        fs::write(&file, values.to_string()).unwrap();
        let run_id = self.artifacts(command, &[&[file.to_str().unwrap()], arguments].concat());
        self.tracker().get_run(run_id.as_str().unwrap()).unwrap()
    }
}

fn text_of(run: &RunHandle, path: &str) -> String {
    run.tracker().load_text(&run.get_artifact_uri(path)).unwrap()
}

/// A line that is drawn with plotters.
fn plot() -> Svg<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (200, 100)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area).build_cartesian_2d(0.0..3.0, 0.0..1.0).unwrap();
        chart.draw_series(LineSeries::new([(0.0, 1.0), (1.0, 0.5), (3.0, 0.1)], RED)).unwrap();
        area.present().unwrap();
    }
    Svg(text)
}

#[test]
fn mlflow_reads_every_kind_of_file_that_we_write() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run(()).unwrap();
    run.log_param("lr", 0.5);
    run.log_stream(&b"h\xc3\xa9llo"[..], "notes/./hello.txt").unwrap();
    run.log_dict(&json!({"b": [1, 2.5], "a": null}), "config.json").unwrap();
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("sub/a.txt"), "a").unwrap();
    run.log_artifacts(&tree, "tree").unwrap();
    run.log_artifact_async(tree.join("sub/a.txt"), "later").unwrap();
    let pixels: Vec<u8> = (0..24).collect();
    let square = ImageArray::new(&pixels, &[2, 4, 3]);
    run.log_image(&square, "shapes/square.png").unwrap();
    run.log_image_at(&square, "train/sample", 3, 17).unwrap();
    run.log_figure(&plot(), "plots/loss.svg").unwrap();
    run.log_table(&Table::new().column("input", ["a/b"]).column("score", [0.25]), "eval/answers.json")
        .unwrap();
    run.log_table(&Table::new().column("input", ["c"]).column("new", ["n"]), "eval/answers.json").unwrap();
    let picture = image::DynamicImage::new_rgb8(30, 15);
    run.log_table(&Table::new().image_column("picture", [&picture]), "eval/pictures.json").unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();

    let read = place.artifacts("read", &[&run_id]);
    assert_eq!((&read["text"], &read["downloaded"]), (&json!("héllo"), &json!("a")));
    assert_eq!(read["json"], json!({"b": [1, 2.5], "a": null}));
    let rows = |row: usize| {
        (0..4).map(|x| (0..3).map(|c| row * 12 + x * 3 + c).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!((&read["mode"], &read["pixels"]), (&json!("RGB"), &json!([rows(0), rows(1)])));
    assert_eq!(
        read["table"],
        json!([
            {"input": "a/b", "score": 0.25, "new": null, "run_id": run_id, "params.lr": "0.5"},
            {"input": "c", "score": null, "new": "n", "run_id": run_id, "params.lr": "0.5"},
        ])
    );
    assert_eq!(read["small"], json!([256, 128]));
    let series: Vec<&str> = read["series"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let [small, full] = series[..] else { panic!("two files: {series:?}") };
    let id =
        full.strip_prefix("images/train~sample+step+3+timestamp+17+").unwrap().strip_suffix(".png").unwrap();
    assert_eq!(small, full.replace(".png", "+compressed.webp"));
    assert_eq!(id.len(), 36);
    assert_eq!(read["cell"], json!({"filepath": [30, 15], "compressed_filepath": [256, 128]}));
    assert_eq!(read["cell_type"], "image");
    assert_eq!(read["tags"]["mlflow.loggedImages"], "True");
    assert_eq!(
        read["listed"],
        json!(["config.json", "eval", "images", "later", "notes", "plots", "shapes", "table_images", "tree"])
    );
}

#[test]
fn we_read_every_kind_of_file_that_mlflow_writes() {
    let place = Place::new();
    let run_id = place.artifacts("write", &[]);
    let run_id = run_id.as_str().unwrap();
    let tracker = place.tracker();
    let at = |path: &str| format!("runs:/{run_id}/{path}");
    assert_eq!(tracker.load_text(&at("notes/hello.txt")).unwrap(), "é");
    assert_eq!(tracker.load_dict::<Value>(&at("config.yaml")).unwrap(), json!({"b": [1, 2.5], "a": null}));
    let image = tracker.load_image(&at("square.png")).unwrap();
    assert_eq!(image.as_bytes(), (0..24).collect::<Vec<u8>>());
    let series = tracker.list_artifacts(run_id, "images").unwrap();
    let small = series.iter().find(|file| file.path.ends_with("+compressed.webp")).unwrap();
    let small = tracker.load_image(&at(&small.path)).unwrap();
    assert_eq!((small.width(), small.height()), (256, 128));
    let table = LoadTable::new("answers.json").extra_columns(["params.lr"]);
    assert_eq!(
        tracker.load_table(table).unwrap().to_rows::<Value>().unwrap(),
        [
            json!({"input": "a/b", "score": 0.25, "new": null, "params.lr": "0.5"}),
            json!({"input": null, "score": 1.0, "new": null, "params.lr": "0.5"}),
            json!({"input": "c", "score": null, "new": true, "params.lr": "0.5"}),
        ]
    );
    let downloaded = tracker.download_artifacts(run_id, &*place.path().join("copy")).unwrap();
    assert_eq!(fs::read_to_string(downloaded.join("notes/hello.txt")).unwrap(), "é");

    // And we go on with its table.
    let run = tracker.run_handle(run_id).unwrap();
    run.log_table(&Table::new().column("input", ["d"]), "answers.json").unwrap();
    assert_eq!(tracker.load_table("answers.json").unwrap().len(), 4);
    let tag = tracker.get_run(run_id).unwrap();
    assert_eq!(tag.tag("mlflow.loggedArtifacts"), Some(r#"[{"path": "answers.json", "type": "table"}]"#));
}

/// A text of pieces that mean something to YAML, or are written in an odd way.
fn odd_text(numbers: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 46] = [
        "a",
        "word",
        "longer-word",
        "yes",
        "no",
        "null",
        "~",
        "0",
        "1",
        "0x1",
        "0b",
        "-",
        "---",
        "...",
        "_",
        ".",
        "e",
        "E",
        "+",
        ":",
        " ",
        " ",
        " ",
        "\n",
        "\r",
        "\t",
        "'",
        "\"",
        "\\",
        "#",
        "?",
        "!",
        "&*",
        "[]",
        "{}",
        ",",
        "|>",
        "%",
        "@`",
        "12:30",
        "2020-01-01",
        "é",
        "😀",
        "\u{85}\u{a0}",
        "\u{2028}",
        "\0\u{7f}",
    ];
    let length = [0, 1, 3, 10, 60][numbers.usize(..5)];
    (0..length).map(|_| PIECES[numbers.usize(..PIECES.len())]).collect()
}

fn odd_value(numbers: &mut fastrand::Rng, depth: usize) -> Value {
    match numbers.usize(..if depth > 3 { 6 } else { 9 }) {
        0..=2 => odd_text(numbers).into(),
        3 => numbers.i64(..).into(),
        // Python's NaN in JSON is none.
        4 => Some(f64::from_bits(numbers.u64(..))).filter(|float| float.is_finite()).into(),
        5 => numbers.bool().into(),
        6 => (0..numbers.usize(..4)).map(|_| odd_value(numbers, depth + 1)).collect::<Vec<_>>().into(),
        _ => {
            let fields = 0..numbers.usize(..4);
            Value::Object(fields.map(|_| (odd_text(numbers), odd_value(numbers, depth + 1))).collect())
        }
    }
}

#[test]
fn dictionaries_are_written_as_mlflow_writes_them_to_the_byte() {
    let place = Place::new();
    let long = "the quick: brown fox jumps over the lazy dog, and then it's off for a run over all the hills there are";
    let mut values = json!([
        {"lr": 1e-5, "layers": [64, [32, 16]], "net": {"bias": true, "dropout": null, "act": "relu"}, "n": {}, "l": []},
        {"on": "yes", "null": "null", "v": "1.0", "date": "2020-01-01", "time": "12:30:45", "oct": "010", "x": "0x1F", "": ""},
        {"é": "é😀\u{7f}", "q": "it's", "c": "a: b", "h": "a #b", "t": "tab\there", "nl": "two\nlines\n", "s": " edge "},
        {"long": long, "folded": long.replace(':', ""), "double": format!("é {long}"), "key".repeat(50): 1},
        [{"a": 1, "b": [{"c": 2.5}]}, [], 1e16, -0.0, 1e22], "text", 1.5, null,
    ]);
    let mut numbers = fastrand::Rng::with_seed(7);
    values.as_array_mut().unwrap().extend((0..300).map(|_| odd_value(&mut numbers, 0)));
    for extension in ["yaml", "json"] {
        let theirs = place.logged_by_mlflow("dicts", &values, &[extension]);
        let tracker = place.tracker();
        let ours = tracker.start_run(()).unwrap();
        for (number, value) in values.as_array().unwrap().iter().enumerate() {
            let file = format!("{number}.{extension}");
            ours.log_dict(value, &file).unwrap();
            let expect = tracker.load_text(&format!("runs:/{}/{file}", theirs.info.run_id)).unwrap();
            assert_eq!(text_of(&ours, &file), expect, "{value}");
        }
        ours.finish().unwrap();
    }
}

#[test]
fn tables_are_written_as_mlflow_writes_them_to_the_byte() {
    let place = Place::new();
    // Left out: what pandas changes when it reads a table back to append to it, such as `true` beside a hole to 1.0 and
    // "007" to 7.
    let tables = json!([
        [{"a": [1, 2], "b": ["x/y", null], "c": [1.5, 0.1], "d": [true, false]}],
        [{"a": [1, null], "b": [true, null], "big": [1e20, 1e16], "small": [1e-5, 1.5e-7], "m": [1, "x"]}],
        [{"u": ["é😀\u{7f}\n\"\\", "<>&'"], "l": [[1, 2.5, null], {"a": {"b": "c/d"}}]}],
        [{"input": "What is MLflow?", "tokens": 7}, {"input": "And runlog?", "seconds": 0.25}],
        [{"a": [1], "b": ["x"]}, {"a": [2.5], "c": ["z"]}, {"b": ["y"]}],
    ]);
    let theirs = place.logged_by_mlflow("tables", &tables, &[]);
    let tracker = place.tracker();
    let ours = tracker.start_run(()).unwrap();
    for (number, batches) in tables.as_array().unwrap().iter().enumerate() {
        let file = format!("t/{number}.json");
        for batch in batches.as_array().unwrap() {
            ours.log_table(&Table::from_dict(batch).unwrap(), &file).unwrap();
        }
        let expect = tracker.load_text(&format!("runs:/{}/{file}", theirs.info.run_id)).unwrap();
        assert_eq!(text_of(&ours, &file), expect);
    }
    let stored = tracker.get_run(ours.run_id()).unwrap();
    assert_eq!(stored.tag("mlflow.loggedArtifacts"), theirs.tag("mlflow.loggedArtifacts"));
    ours.finish().unwrap();
}

#[test]
fn arrays_become_the_pixels_that_mlflow_makes_of_them() {
    let place = Place::new();
    let wave: Vec<f64> = (0..300_u32).map(|n| (f64::from(n) * 0.37).sin()).collect();
    let unit: Vec<f64> = wave.iter().map(|value| (value + 1.0) / 2.0).collect();
    #[expect(clippy::cast_possible_truncation, reason = "the values as an array of f32 has them")]
    let single = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
    let bytes: Vec<u8> = (0..=u8::MAX).chain(0..44).collect();
    let lit: Vec<bool> = bytes.iter().map(|byte| byte % 3 == 0).collect();
    let arrays = json!([
        {"dtype": "float64", "shape": [10, 30], "values": unit},
        {"dtype": "float32", "shape": [10, 10, 3], "values": single(&unit)},
        {"dtype": "float64", "shape": [15, 5, 4], "values": wave},
        {"dtype": "float32", "shape": [100, 3, 1], "values": single(&wave)},
        {"dtype": "uint8", "shape": [10, 30], "values": bytes},
        {"dtype": "int64", "shape": [20, 5, 3], "values": bytes},
        {"dtype": "bool", "shape": [30, 10], "values": lit},
    ]);
    let theirs = place.logged_by_mlflow("images", &arrays, &[]);
    let tracker = place.tracker();
    let ours = tracker.start_run(()).unwrap();
    let wide: Vec<i64> = bytes.iter().map(|byte| i64::from(*byte)).collect();
    let (single_unit, single_wave) = (single(&unit), single(&wave));
    ours.log_image(&ImageArray::new(&unit, &[10, 30]), "0.png").unwrap();
    ours.log_image(&ImageArray::new(&single_unit, &[10, 10, 3]), "1.png").unwrap();
    ours.log_image(&ImageArray::new(&wave, &[15, 5, 4]), "2.png").unwrap();
    ours.log_image(&ImageArray::new(&single_wave, &[100, 3, 1]), "3.png").unwrap();
    ours.log_image(&ImageArray::new(&bytes, &[10, 30]), "4.png").unwrap();
    ours.log_image(&ImageArray::new(&wide, &[20, 5, 3]), "5.png").unwrap();
    ours.log_image(&ImageArray::new(&lit, &[30, 10]), "6.png").unwrap();
    for number in 0..7 {
        let load = |run_id: &str| tracker.load_image(&format!("runs:/{run_id}/{number}.png")).unwrap();
        let image = load(ours.run_id());
        assert_eq!(image, load(&theirs.info.run_id), "{number}");
        ours.log_image_step(&image, &number.to_string(), None).unwrap();
    }
    tracker.flush_artifact_async_logging();
    for number in 0..7 {
        let small = |run_id: &str| {
            let files = tracker.list_artifacts(run_id, "images").unwrap();
            let is_small =
                |path: &str| path.starts_with(&format!("images/{number}+")) && path.contains("+compressed");
            let file = files.into_iter().find(|file| is_small(&file.path)).unwrap();
            let image = tracker.load_image(&format!("runs:/{run_id}/{}", file.path)).unwrap();
            (image.width(), image.height())
        };
        assert_eq!(small(ours.run_id()), small(&theirs.info.run_id), "{number}");
    }
    ours.finish().unwrap();
}

#[test]
fn a_kill_in_the_middle_of_a_file_leaves_what_was_there_before() {
    let place = Place::new();
    let mut child = place.start(&["log-stream"]);
    let run_id = first_line(&mut child);
    // A pipe holds 64 KiB, so most of this has been read when the last of it is written.
    child.stdin.as_mut().unwrap().write_all(&vec![7; 4 << 20]).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();

    let tracker = place.recovered();
    assert_eq!(tracker.get_run(&run_id).unwrap().info.status, RunStatus::Failed);
    let root = PathBuf::from(tracker.get_run(&run_id).unwrap().info.artifact_uri);
    let mut names: Vec<String> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let [unfinished, whole] = &names[..] else { panic!("{names:?}") };
    assert!(unfinished.starts_with(".artifact.uploading."), "{names:?}");
    assert!(fs::metadata(root.join(unfinished)).unwrap().len() > 1 << 20, "the kill was in the middle of it");
    assert_eq!(whole, "big.bin");
    assert_eq!(tracker.load_text(&format!("runs:/{run_id}/big.bin")).unwrap(), "what was there before");
    let listed: Vec<_> =
        tracker.list_artifacts(&run_id, "").unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(listed, ["big.bin"]);
    assert_eq!(place.artifacts("files", &[&run_id]), json!(["big.bin"]));
}

#[test]
fn an_exit_waits_for_an_upload() {
    let place = Place::new();
    let pipe = place.path().join("pipe");
    let permissions = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, permissions, 0).unwrap();
    let mut child = place.start(&["exit-with-upload", pipe.to_str().unwrap()]);
    let run_id = first_line(&mut child);
    let mut source = fs::File::options().write(true).open(&pipe).unwrap();
    source.write_all(b"the last of it").unwrap();
    drop(source);
    assert!(child.wait().unwrap().success());

    let tracker = place.tracker();
    assert_eq!(tracker.load_text(&format!("runs:/{run_id}/pipe")).unwrap(), "the last of it");
    assert_eq!(tracker.get_run(&run_id).unwrap().info.status, RunStatus::Finished);
}

fn first_line(child: &mut std::process::Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn the_end_of_a_run_waits_for_its_uploads_and_tells_what_they_lost() {
    let place = Place::new();
    let tracker = place.tracker();
    let large = place.path().join("large.bin");
    fs::write(&large, vec![1; 20 << 20]).unwrap();
    let run = tracker.start_run("good").unwrap();
    let upload = run.log_artifact_async(&large, "checkpoints").unwrap();
    let run_id = run.run_id().to_owned();
    run.finish().unwrap();
    let progress = upload.progress();
    assert_eq!((progress.is_finished, progress.done_bytes, progress.total_bytes), (true, 20 << 20, 20 << 20));
    assert_eq!(tracker.list_artifacts(&run_id, "checkpoints").unwrap()[0].file_size, Some(20 << 20));

    let run = tracker.start_run("bad").unwrap();
    run.log_text("in the way", "checkpoints").unwrap();
    let upload = run.log_artifact_async(&large, "checkpoints").unwrap();
    assert!(run.log_artifact_async(place.path().join("none"), None).is_err());
    let lost = run.finish().unwrap_err();
    assert_eq!((lost.kind(), lost.losses().total()), (ErrorKind::Lost, 1));
    assert!(upload.wait().is_err());
}

#[test]
fn files_of_runs_and_models_are_found_by_their_addresses() {
    let place = Place::new();
    let tracker = place.tracker();
    let run = tracker.start_run(()).unwrap();
    run.log_text("one", "notes/one.txt").unwrap();
    let model_id = place.artifacts("model", &[run.run_id()]);
    let (run_id, model_id) = (run.run_id(), model_id.as_str().unwrap());
    for (uri, expect) in [
        (format!("runs:/{run_id}/notes/one.txt"), "one"),
        (format!("runs:/{run_id}/tree/data/weights"), "w"),
        (format!("models:/{model_id}/MLmodel"), "flavors: {}"),
        (run.get_artifact_uri("notes/one.txt"), "one"),
        (format!("file://{}", run.get_artifact_uri("/notes/one.txt")), "one"),
        (format!("mlruns/0/{run_id}/artifacts/notes/one.txt"), "one"),
    ] {
        assert_eq!(tracker.load_text(&uri).unwrap(), expect, "{uri}");
    }
    let listed = |of: &str, dir: &str| -> Vec<String> {
        tracker.list_artifacts(of, dir).unwrap().into_iter().map(|file| file.path).collect()
    };
    assert_eq!(listed(run_id, ""), ["notes"], "models are not shown among the files");
    assert_eq!(listed(run_id, "tree"), ["tree/MLmodel", "tree/data"]);
    assert_eq!(listed(&format!("runs:/{run_id}/tree"), "data"), ["tree/data/weights"]);
    assert_eq!(listed(&format!("models:/{model_id}"), ""), ["MLmodel", "data"]);
    assert_eq!(listed(&format!("models:/{model_id}"), "data"), ["data/weights"]);
    assert_eq!(listed(run_id, "none"), [""; 0]);

    let to = place.path().join("to");
    let download = |uri: &str| tracker.download_artifacts(uri, &*to);
    assert_eq!(download(&format!("models:/{model_id}/data")).unwrap(), to.join("data"));
    assert_eq!(fs::read_to_string(to.join("data/weights")).unwrap(), "w");
    assert_eq!(run.download_artifacts("notes/one.txt", &*to).unwrap(), to.join("one.txt"));
    let in_place = tracker.download_artifacts(&run.get_artifact_uri("notes"), None).unwrap();
    assert_eq!(
        in_place,
        Path::new(&run.get_artifact_uri("notes")),
        "what is on this machine already is not copied"
    );
    for (uri, kind) in [
        (format!("runs:/{run_id}/none"), ErrorKind::NotFound),
        (format!("runs:/{run_id}/../x"), ErrorKind::InvalidInput),
        (format!("runs:/{}/x", "0".repeat(32)), ErrorKind::NotFound),
        ("models:/m-none/x".to_owned(), ErrorKind::NotFound),
        ("models:/name/1".to_owned(), ErrorKind::Unsupported),
        ("s3://bucket/x".to_owned(), ErrorKind::Unsupported),
    ] {
        assert_eq!(download(&uri).unwrap_err().kind(), kind, "{uri}");
    }
    run.finish().unwrap();
}

#[test]
fn a_disabled_run_checks_files_and_keeps_none() {
    let place = Place::new();
    let tracker = Tracker::with_config(None, place.config(&[("RUNLOG_MODE", "disabled")])).unwrap();
    let run = tracker.start_run(()).unwrap();
    run.log_table(&Table::new().column("a", [1]), "a.json").unwrap();
    run.log_image_step(&ImageArray::new(&[true], &[1, 1]), "a", 1).unwrap();
    run.log_artifact_async(place.path().join("none"), None).unwrap_err();
    assert!(run.log_text("x", "../x").is_err());
    run.finish().unwrap();
    assert!(!place.path().join("mlruns").exists());
}
