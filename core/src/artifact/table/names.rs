//! What a table's file may be called.

use std::path::Path;

use crate::artifact;
use crate::error::{Error, ErrorKind, Result};

/// What MLflow's search for tables would stumble over.
const FORBIDDEN: [char; 8] = ['"', '\'', ',', ':', '[', ']', '{', '}'];

/// The path of a table's file.
pub(super) fn table_file(artifact_file: &str) -> Result<String> {
    let path = artifact::file_to_write(artifact_file)?;
    let refuse = |kind, why: &str| Err(Error::new(kind, why).with("artifact", artifact_file));
    if path.contains(FORBIDDEN) {
        return refuse(
            ErrorKind::InvalidInput,
            "a table's file must have none of \" ' , : [ ] { } in its name",
        );
    }
    match Path::new(&path).extension().and_then(|end| end.to_str()) {
        Some("json") => Ok(path),
        Some("parquet") => refuse(
            ErrorKind::Unsupported,
            "tables are not written as Parquet by this build; name the file `.json`",
        ),
        _ => {
            refuse(ErrorKind::InvalidInput, "a table's file must end in `.json`, such as `eval/answers.json`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_name_is_one_that_mlflow_takes() {
        assert_eq!(table_file("a/./b.json").unwrap(), "a/b.json");
        for (name, kind) in [
            ("a.csv", ErrorKind::InvalidInput),
            ("json", ErrorKind::InvalidInput),
            ("a:b.json", ErrorKind::InvalidInput),
            ("{a}.json", ErrorKind::InvalidInput),
            ("../a.json", ErrorKind::InvalidInput),
            ("a.parquet", ErrorKind::Unsupported),
        ] {
            assert_eq!(table_file(name).unwrap_err().kind(), kind, "{name}");
        }
    }
}
