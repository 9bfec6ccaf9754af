//! Writers that go to the store itself, past the journal, as fast as it takes batches.

use runlog::{Metric, Result, Tracker};

/// Points in one batch, of two metrics in turn.
const POINTS: i64 = 200;

/// `append RUN FIRST STRIDE BATCHES`: logs batches number FIRST, FIRST + STRIDE, … to a run, and says the number of
/// each when the store has it.
pub(crate) fn append(arguments: &[&str]) -> Result<()> {
    let [run_id, numbers @ ..] = arguments else { panic!("no run") };
    let [first, stride, batches] =
        numbers.iter().map(|number| number.parse::<i64>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("three numbers")
    };
    let uri = std::env::var("MLFLOW_TRACKING_URI").unwrap();
    let store = Tracker::open(uri)?.store()?;
    for batch in (0..batches).map(|n| first + n * stride) {
        let point = |n| {
            let step = batch * POINTS + n;
            Metric::new(["a/even", "odd"][usize::from(step % 2 != 0)], 1.0 / 3.0, step, step)
        };
        let metrics = (0..POINTS).map(point).collect();
        store.log_batch(run_id, &runlog::store::Batch { metrics, ..Default::default() })?;
        println!("{batch}");
    }
    Ok(())
}
