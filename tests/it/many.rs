//! Many processes and threads on one database at once.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Barrier;

use runlog::RunStatus;

use crate::support::{Place, text};

const PROCESSES: usize = 8;
const POINTS: usize = 10_000;

/// A process that says a line when it is ready, and goes on when it is told to.
struct Player {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Player {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::of(place.start(arguments))
    }

    fn of(mut child: Child) -> Self {
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    }

    /// What else it says before it ends, which it must do well.
    fn end(mut self) -> String {
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }
}

/// Lets all go on at once, when all are ready.
fn go(players: &mut [Player]) {
    for player in &mut *players {
        assert_eq!(player.line(), "ready");
    }
    for player in players {
        player.go();
    }
}

#[test]
fn eight_processes_log_into_one_database_while_mlflow_reads_it_and_nothing_is_lost() {
    let place = Place::new();
    place.tracker().set_experiment("shared").unwrap();
    let mut reader = place.mlflow_command(&["watch"]);
    reader.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut reader = Player::of(reader.spawn().unwrap());
    assert_eq!(reader.line(), "0", "{}", reader_error(&mut reader));

    let mut writers: Vec<Player> = (0..PROCESSES).map(|_| Player::start(&place, &["log-many"])).collect();
    go(&mut writers);
    // The second half begins when MLflow has seen some of the first.
    read_until(&mut reader, |points| points > 0);
    go(&mut writers);
    for writer in writers {
        assert_eq!(writer.end(), "lost 0\n");
    }
    read_until(&mut reader, |points| points == PROCESSES * POINTS);
    drop(reader.child.stdin.take());
    reader.end();

    let database = rusqlite::Connection::open(place.database()).unwrap();
    let rows: i64 = database.query_row("SELECT COUNT(*) FROM metrics", [], |row| row.get(0)).unwrap();
    assert_eq!(usize::try_from(rows).unwrap(), PROCESSES * POINTS);
    let runs = place.runs();
    assert_eq!(runs.len(), PROCESSES);
    for run in runs {
        assert_eq!(run.info.status, RunStatus::Finished);
        assert_eq!(
            run.data.metrics[0].step,
            i64::try_from(POINTS).unwrap() - 1,
            "the latest point is the last"
        );
    }
}

/// Follows what MLflow sees, which never gets less, until it is this much.
fn read_until(reader: &mut Player, is_enough: impl Fn(usize) -> bool) {
    let mut seen = 0;
    loop {
        let line = reader.line();
        let Ok(points) = line.parse::<usize>() else {
            panic!("MLflow stopped reading: {line:?} {}", reader_error(reader));
        };
        assert!(points >= seen, "{points} points after {seen}");
        seen = points;
        if is_enough(points) {
            return;
        }
    }
}

/// What a reader that failed says; nothing while it goes on.
fn reader_error(reader: &mut Player) -> String {
    let mut said = Vec::new();
    if reader.child.try_wait().unwrap().is_some() {
        reader.child.stderr.take().unwrap().read_to_end(&mut said).unwrap();
    }
    text(&said)
}

#[test]
fn processes_that_create_the_same_experiments_at_once_get_the_same_ones() {
    let place = Place::new();
    let mut players: Vec<Player> =
        (0..PROCESSES).map(|_| Player::start(&place, &["set-experiments"])).collect();
    go(&mut players);
    let told: Vec<String> = players.into_iter().map(Player::end).collect();
    assert_eq!(told[0].lines().count(), 20);
    assert!(told.iter().all(|ids| *ids == told[0]), "{told:?}");
    let database = rusqlite::Connection::open(place.database()).unwrap();
    let rows: i64 = database.query_row("SELECT COUNT(*) FROM experiments", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 21, "these and the default one");
}

#[test]
fn threads_that_create_the_same_experiment_at_once_get_the_same_one() {
    let place = Place::new();
    let shared = place.tracker();
    let start = Barrier::new(PROCESSES);
    for name in ["a", "b", "c", "d"] {
        let mut ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..PROCESSES)
                .map(|number| {
                    // Half of them with a connection of their own.
                    let tracker = if number % 2 == 0 { shared.clone() } else { place.tracker() };
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        tracker.set_experiment(name).unwrap().experiment_id
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
    }
}
