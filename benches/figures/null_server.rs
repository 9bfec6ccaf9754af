//! A tracking server that takes everything and keeps nothing, for a client that needs one.

use std::io::{BufRead, BufReader, Read, Result, Write, copy, sink};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// Serves on a free port of this machine until the process ends, and tells its address.
pub(crate) fn start() -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("null-server".into()).spawn(move || {
        for connection in listener.incoming().flatten() {
            // A client that goes away in the middle of a request is no concern of the server's.
            let serve = move || serve(connection).ok();
            thread::Builder::new().spawn(serve).ok();
        }
    })?;
    Ok(format!("http://{address}"))
}

fn serve(mut connection: TcpStream) -> Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    connection.set_nodelay(true)?;
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            if header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        copy(&mut (&mut reader).take(length), &mut sink())?;
        let body = answer(&request);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length:";
        connection.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes())?;
    }
}

/// What a client reads from the answer to a request; nothing for most.
fn answer(request: &str) -> String {
    let info = r#"{"run_id": "0123456789abcdef0123456789abcdef", "run_name": "figures", "experiment_id": "0",
        "status": "RUNNING", "start_time": 0, "artifact_uri": "", "lifecycle_stage": "active"}"#;
    if request.contains("experiments/get") {
        r#"{"experiment": {"experiment_id": "0", "name": "figures", "artifact_location": "",
            "lifecycle_stage": "active", "last_update_time": 0, "creation_time": 0}}"#
            .into()
    } else if request.contains("runs/create") {
        format!(r#"{{"run": {{"info": {info}, "data": {{}}, "inputs": {{}}}}}}"#)
    } else if request.contains("runs/update") {
        format!(r#"{{"run_info": {info}}}"#)
    } else {
        "{}".into()
    }
}
