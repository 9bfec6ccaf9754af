//! Several runs on one thread.

use std::sync::Mutex;

use super::*;

struct Runs {
    inbox: Arc<Inbox>,
    scenes: Vec<Scene>,
}

impl Runs {
    fn new() -> Self {
        Self { inbox: Arc::new(Inbox::default()), scenes: Vec::new() }
    }

    /// So much time later the run comes.
    fn comes(&mut self, after: u64, id: u64, watch: &Watch) -> (Kept, Arc<Fate>) {
        let (session, kept, fate) = session(id, watch);
        self.comes_as(after, session);
        (kept, fate)
    }

    fn comes_as(&mut self, after: u64, session: Box<Session>) {
        if self.scenes.is_empty() {
            return self.inbox.join(session).unwrap();
        }
        let (inbox, session) = (Arc::clone(&self.inbox), Mutex::new(Some(session)));
        let join = move |_| inbox.join(session.lock().unwrap().take().unwrap()).unwrap();
        self.scenes.push(Scene::After(ms(after), Box::new(join)));
    }

    fn goes(&mut self, after: u64, id: u64) {
        let inbox = Arc::clone(&self.inbox);
        self.scenes.push(Scene::After(ms(after), Box::new(move |_| inbox.leave(id))));
    }

    fn due(&mut self, count: usize) {
        self.scenes.extend(on_time(count));
    }

    fn play(self, drivers: &[Driver]) {
        let host = Group::open(drivers, &Machine::default(), Tier::Full);
        Sampler::new(host, Vec::new(), Arc::clone(&self.inbox), Patience::DEFAULT)
            .run(&mut ScriptedPace::new(self.scenes, self.inbox));
    }
}

/// A total that has 1 more at each reading, from 100.
fn total() -> Driver {
    fast(|registry| {
        let key = registry.key("total", Kind::Total)?;
        let mut reading = 99.0;
        Ok(probe(move |sink| {
            reading += 1.0;
            sink.put(key, reading);
            Ok(())
        }))
    })
}

#[test]
fn a_run_that_comes_later_has_gauges_at_once_and_no_rate_from_before_it() {
    let mut runs = Runs::new();
    let (first, _) = runs.comes(0, 0, &watch(every(1000, 2)));
    runs.due(1);
    let (second, _) = runs.comes(500, 1, &watch(every(1000, 2)));
    // At 2 s for the first run, at 2.5 s for the second, and so on.
    runs.due(4);
    runs.play(&gauge_and_rate());
    assert_eq!(second.of("gauge")[0], (0, 2.0), "the third reading, at 1.5 s");
    let opening: Vec<_> =
        second.points().into_iter().filter(|point| point.timestamp == START_MS + 1500).collect();
    assert_eq!(opening.len(), 1, "a rate looks back: {opening:?}");
    assert_eq!(second.of("rate")[0], (0, 0.5), "the first that began with it");
    // The samples at 2, 2.5, 3 and 3.5 s are 3, 4, 5 and 6.
    assert_eq!(second.of("gauge")[1], (1, 4.5));
    let ends: Vec<_> = first.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert!(ends.contains(&2000) && !ends.contains(&1500), "its own windows stay where they were: {ends:?}");
    assert_eq!(first.of("gauge")[1], (1, 1.75), "1 for a second, 2 and 3 for half a second each");
}

#[test]
fn each_run_has_the_steps_keys_and_totals_that_it_would_have_alone() {
    let mut runs = Runs::new();
    let mut resumed = watch(every(1000, 1).node_id("node_1"));
    resumed.earlier = vec![Metric::new("system/node_1/total", 50.0, 0, 6)];
    let (first, _) = runs.comes(0, 0, &watch(every(1000, 1)));
    runs.due(2);
    let (second, _) = runs.comes(0, 1, &resumed);
    runs.due(1);
    runs.play(&[total()]);
    assert_eq!(first.of("total"), [(0, 0.0), (1, 1.0), (2, 2.0), (3, 4.0)]);
    assert_eq!(second.of("node_1/total"), [(7, 50.0), (8, 51.0)]);
    assert!(second.of("total").is_empty());
}

#[test]
fn a_run_that_goes_has_its_last_window_and_the_others_go_on() {
    let mut runs = Runs::new();
    let (first, first_fate) = runs.comes(0, 0, &watch(every(1000, 2)));
    let (second, second_fate) = runs.comes(0, 1, &watch(every(1000, 2)));
    runs.due(1);
    runs.goes(500, 0);
    runs.due(3);
    runs.play(&gauge_and_rate());
    first_fate.wait(ON_TIME).unwrap().unwrap();
    second_fate.wait(ON_TIME).unwrap().unwrap();
    assert_eq!(first.of("gauge").len(), 2);
    assert_eq!(first.points().last().unwrap().timestamp, START_MS + 1500);
    let steps: Vec<_> = second.of("gauge").into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [0, 1, 2]);
    assert_eq!(second.points().last().unwrap().timestamp, START_MS + 4000);
}

#[test]
fn a_run_that_comes_and_goes_at_once_has_an_opening() {
    let mut runs = Runs::new();
    let (session, kept, fate) = session(0, &watch(every(1000, 2)));
    runs.comes_as(0, session);
    runs.inbox.leave(0);
    runs.play(&gauge_and_rate());
    assert_eq!(kept.of("gauge")[0], (0, 0.0));
    fate.wait(ON_TIME).unwrap().unwrap();
}

#[test]
fn each_run_ends_with_the_summary_of_its_own_time_but_not_in_the_tier_of_mlflows() {
    let mut runs = Runs::new();
    let (first, _) = runs.comes(0, 0, &watch(every(1000, 1).tier(Tier::Standard).node_id("node_1")));
    let (compat, _) = runs.comes(0, 1, &watch(every(1000, 1)));
    runs.due(1);
    let (second, _) = runs.comes(500, 2, &watch(every(1000, 1).tier(Tier::Standard)));
    runs.due(4);
    runs.play(&gauge_and_rate());
    // Deadlines are at 1 s, and after it came at 2, 2.5, 3 and 3.5 s.
    assert_eq!(second.of("summary/wall_seconds"), [(2, 2.0)], "at the step of the last window");
    assert_eq!(first.of("node_1/summary/wall_seconds"), [(4, 3.5)]);
    assert!(compat.of("summary/wall_seconds").is_empty() && compat.tags().is_empty());
}

struct Panicking;

impl runlog_core::autolog::MonitorSink for Panicking {
    fn log(&mut self, _: &str, _: f64, _: i64, _: i64) {
        panic!("a sink's own fault");
    }

    fn tag(&mut self, _: &str, _: &str) {}
}

#[test]
fn a_sink_that_panics_ends_its_own_run_only() {
    let mut runs = Runs::new();
    let (kept, _) = runs.comes(0, 0, &watch(every(1000, 1)));
    let ending = Ending::default();
    let fate = Arc::clone(ending.fate());
    let session = Session::new(1, &watch(every(1000, 1)), Box::new(Panicking), ending).unwrap();
    runs.comes_as(0, Box::new(session));
    runs.due(2);
    runs.play(&gauge_and_rate());
    assert!(fate.wait(ON_TIME).unwrap().unwrap_err().contains("panicked"));
    assert_eq!(kept.of("gauge").len(), 3);
}

#[test]
fn a_run_of_few_samples_has_the_mean_over_time_of_those_that_others_asked_for() {
    let mut runs = Runs::new();
    let (slow, _) = runs.comes(0, 0, &watch(every(4000, 1)));
    let (_fast, _) = runs.comes(0, 1, &watch(every(1000, 1)));
    runs.due(4);
    runs.play(&gauge_and_rate());
    // 0 is the common opening, 1 to 4 the samples of the four seconds.
    assert_eq!(slow.of("gauge"), [(0, 0.0), (1, 2.5)]);
    assert_eq!(slow.of("rate"), [(1, 1.0)]);
}
