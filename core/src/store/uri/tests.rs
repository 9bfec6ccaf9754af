//! URIs as people write them.

use std::fs;

use super::*;

fn refused(uri: &str) -> Error {
    open(uri, None, Path::new("/nowhere")).unwrap_err()
}

#[test]
fn what_is_not_supported_says_what_to_use() {
    for uri in [
        "http://host",
        "https://user:hunter2@host/x",
        "postgresql+psycopg2://user:hunter2@host/db",
        "databricks",
        "databricks://profile",
        "uc:x",
    ] {
        let error = refused(uri);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{uri}: {error}");
        assert!(error.to_string().contains("sqlite:///mlflow.db"), "{uri}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn an_unknown_scheme_names_the_known_ones() {
    let error = refused("redis://user:hunter2@host");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    for part in ["redis", "`sqlite:`", "`memory:`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn a_scheme_in_capitals_says_to_write_it_small() {
    for (uri, lower) in [("SQLITE:///x.db", "`sqlite:`"), ("Http://host", "`http:`")] {
        let error = refused(uri);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(lower), "{error}");
    }
}

#[test]
fn sqlite_uris_are_read_as_mlflow_reads_them() {
    for (rest, path) in [
        ("//", None),
        ("///", None),
        ("///:memory:", None),
        ("///rel.db", Some("rel.db")),
        ("///a/rel.db", Some("a/rel.db")),
        ("////abs.db", Some("/abs.db")),
        ("///pct%20x.db", Some("pct x.db")),
        ("///a%3Fb%23c%25.db", Some("a?b#c%.db")),
    ] {
        assert_eq!(sqlite_path(rest).unwrap(), path.map(PathBuf::from), "{rest}");
    }
    for rest in ["", "x.db", "/x.db", "//x.db", "//host/x.db", "///x.db?mode=ro", "///x#y.db"] {
        assert_eq!(sqlite_path(rest).unwrap_err().kind(), ErrorKind::InvalidInput, "{rest}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn relative_paths_are_relative_to_the_working_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = open("sqlite:///deep/er/my%20runs.db", None, directory.path()).unwrap();
    assert!(directory.path().join("deep/er/my runs.db").exists());
    let location = store.get_experiment("0").unwrap().artifact_location;
    assert_eq!(Path::new(&location), directory.path().join("mlruns/0"));

    let root = directory.path().join("elsewhere");
    let store = open("sqlite:///other.db", Some(&root), directory.path()).unwrap();
    assert_eq!(Path::new(&store.get_experiment("0").unwrap().artifact_location), root.join("0"));
    for uri in ["sqlite://", "sqlite:///:memory:", "sqlite+pysqlite://", "memory:", "memory://"] {
        assert_eq!(open(uri, None, directory.path()).unwrap().get_experiment("0").unwrap().name, "Default");
    }
    assert_eq!(refused("memory:/path").kind(), ErrorKind::InvalidInput);
}

#[test]
fn the_default_is_a_database_in_the_working_directory() {
    let uri = default_uri(Path::new("/work space/ü"));
    assert_eq!(uri, "sqlite:////work%20space/%C3%BC/mlflow.db");
    assert_eq!(sqlite_path(&uri["sqlite:".len()..]).unwrap(), Some("/work space/ü/mlflow.db".into()));
}

#[test]
fn a_file_store_in_the_working_directory_is_the_default() {
    let directory = tempfile::tempdir().unwrap();
    let experiment = directory.path().join("mlruns/12");
    fs::create_dir_all(&experiment).unwrap();
    fs::create_dir_all(directory.path().join("mlruns/name")).unwrap();
    fs::write(directory.path().join("mlruns/name/meta.yaml"), "").unwrap();
    assert!(
        default_uri(directory.path()).starts_with("sqlite:"),
        "artifacts of a database are no file store"
    );
    fs::write(experiment.join("meta.yaml"), "").unwrap();
    assert_eq!(default_uri(directory.path()), format!("file://{}/mlruns", encoded(directory.path())));
}

#[test]
fn file_uris_are_read_as_mlflow_reads_them() {
    for (scheme, rest, path) in [
        ("", "", "mlruns"),
        ("", "./a b%20c", "./a b%20c"),
        ("", "/abs", "/abs"),
        ("file", "", "mlruns"),
        ("file", "//", "mlruns"),
        ("file", "rel/a", "rel/a"),
        ("file", "/abs", "/abs"),
        ("file", "///abs/a%20b%3F", "/abs/a b?"),
        ("file", "//localhost/abs", "/abs"),
    ] {
        assert_eq!(file_path(scheme, rest).unwrap(), PathBuf::from(path), "{scheme}:{rest}");
    }
    for rest in ["//user:hunter2@host/abs", "//rel/a", "///abs?x=y"] {
        let error = file_path("file", rest).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{rest}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_path_that_looks_like_a_database_says_how_to_name_one() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("runs"), "").unwrap();
    for path in ["mlflow.db", "./deep/runs.sqlite", "runs"] {
        for error in
            [open(path, None, directory.path()).unwrap_err(), exists(path, directory.path()).unwrap_err()]
        {
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
            assert!(error.to_string().contains("sqlite:////"), "{error}");
        }
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 1, "nothing was made");
}

#[cfg(feature = "file")]
#[test]
fn artifact_locations_have_the_form_of_the_stores_uri() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().join("a b");
    fs::create_dir(&here).unwrap();
    let (plain, encoded) = (here.display().to_string(), encoded(&here));
    for (uri, expect) in [
        ("./plain", format!("{plain}/plain/0")),
        (&format!("{plain}/absolute"), format!("{plain}/absolute/0")),
        ("file:relative", format!("file://{encoded}/relative/0")),
        (&format!("file://{encoded}/uri"), format!("file://{encoded}/uri/0")),
        ("", format!("file://{encoded}/mlruns/0")),
    ] {
        assert!(!exists(uri, &here).unwrap(), "{uri}");
        let store = open(uri, None, &here).unwrap();
        assert_eq!(store.get_experiment("0").unwrap().artifact_location, expect, "{uri}");
        assert!(exists(uri, &here).unwrap() && is_files(uri) && !is_in_memory(uri), "{uri}");
    }
    let elsewhere = directory.path().join("elsewhere");
    let store = open("./other", Some(&elsewhere), &here).unwrap();
    assert_eq!(Path::new(&store.get_experiment("0").unwrap().artifact_location), elsewhere.join("0"));
}

#[test]
fn one_store_has_one_canonical_name() {
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path().canonicalize().unwrap();
    fs::create_dir(here.join("real")).unwrap();
    let expect = format!("sqlite:///{}/real/my%20runs.db", encoded(&here));
    let absolute = format!("sqlite:///{}/real/../real/my%20runs.db", encoded(&here));
    for uri in ["sqlite:///real/my%20runs.db", "sqlite+pysqlite:///./real/my runs.db", &absolute] {
        assert_eq!(canonical(uri, &here), expect);
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(here.join("real"), here.join("link")).unwrap();
        assert_eq!(canonical("sqlite:///link/my%20runs.db", &here), expect);
        assert_eq!(canonical("sqlite:///my%20runs.db", &here.join("link")), expect);
    }
    fs::write(here.join("real/my runs.db"), "").unwrap();
    assert_eq!(canonical("sqlite:///real/my%20runs.db", &here), expect, "creating it changes nothing");
    assert_eq!(canonical("sqlite:///a/b/../c.db", &here), format!("sqlite:///{}/a/c.db", encoded(&here)));
    for (uri, expect) in [
        ("sqlite:///:memory:", "sqlite://"),
        ("memory://", "memory:"),
        ("http://user:secret@Host:5000/prefix/", "http://host:5000/prefix"),
        ("https://host", "https://host"),
        ("postgresql://u:p@host/db?password=secret", "postgresql://host/db"),
        ("file:///nowhere/a%20b", "file:///nowhere/a%20b"),
        ("/nowhere/a b", "file:///nowhere/a%20b"),
        ("file://localhost/nowhere/a%20b", "file:///nowhere/a%20b"),
        ("file://user:secret@host/a", "file://host/a"),
    ] {
        assert_eq!(canonical(uri, &here), expect);
    }
}
