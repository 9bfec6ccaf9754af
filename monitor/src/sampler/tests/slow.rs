//! Probes that may block, whose threads do what the script says and when.

use std::sync::Mutex;

use super::*;
use crate::slow::Worker;

/// The other end of a probe that may block.
#[derive(Clone)]
struct Hand(Arc<Mutex<Worker>>);

impl Hand {
    /// It finishes opening after so much time, and its first sample.
    fn opens(&self, after: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        let open = move |now| {
            let mut worker = worker.lock().unwrap();
            worker.open(&Machine::default(), Tier::Full);
            worker.sample(|| now);
        };
        Scene::After(ms(after), Box::new(open))
    }

    /// After so much time it goes into a call of the driver's.
    fn begins(&self, after: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        let begin = move |now| {
            worker.lock().unwrap().begin(|| now);
        };
        Scene::After(ms(after), Box::new(begin))
    }

    /// After so much time it comes back from a call that began at `began_ms`.
    fn comes_back(&self, after: u64, began_ms: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        Scene::After(ms(after), Box::new(move |_| worker.lock().unwrap().answer(ms(began_ms), false)))
    }

    /// After so much time it hands over what it has, and goes on with the rest.
    fn hands_over(&self, after: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        let read = move |now| {
            let mut worker = worker.lock().unwrap();
            let (at, gap) = worker.begin(|| now);
            worker.read(at, gap);
        };
        Scene::After(ms(after), Box::new(read))
    }

    /// After so much time it has read the rest too, of a call that began at `began_ms`.
    fn has_the_rest(&self, after: u64, began_ms: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        Scene::After(ms(after), Box::new(move |_| worker.lock().unwrap().come_back(ms(began_ms))))
    }

    /// It answers after so much time.
    fn answers(&self, after: u64) -> Scene {
        let worker = Arc::clone(&self.0);
        Scene::After(ms(after), Box::new(move |now| worker.lock().unwrap().sample(|| now)))
    }
}

struct Stage {
    inbox: Arc<Inbox>,
    slow: Vec<Slow>,
}

impl Stage {
    fn new() -> Self {
        Self { inbox: Arc::new(Inbox::default()), slow: Vec::new() }
    }

    fn slow(&mut self, name: &str, open: impl Fn(&mut Registry) -> Opened + Send + Sync + 'static) -> Hand {
        let (slow, worker) = Slow::new(Driver::new(name, open), Duration::ZERO, Arc::clone(&self.inbox));
        self.slow.push(slow);
        Hand(Arc::new(Mutex::new(worker)))
    }

    /// A slow gauge that counts its readings and a rate of the seconds since the last one.
    fn device(&mut self) -> Hand {
        self.slow("device", |registry| {
            let (gauge, seconds) =
                (registry.key("slow", Kind::Gauge)?, registry.key("slow_rate", Kind::Rate)?);
            let mut reading = 0.0;
            Ok(probe(move |sink| {
                sink.put(gauge, reading);
                reading += 1.0;
                if let Some(since_last) = sink.since_last() {
                    sink.put(seconds, since_last.as_secs_f64());
                }
                Ok(())
            }))
        })
    }

    fn run(self, settings: SystemMetrics, script: impl IntoIterator<Item = Scene>) -> (Kept, Arc<Fate>) {
        let (session, kept, fate) = session(0, &watch(settings));
        self.inbox.join(session).unwrap();
        let host = Group::open(&gauge_and_rate(), &Machine::default(), Tier::Full);
        Sampler::new(host, self.slow, Arc::clone(&self.inbox), Patience::DEFAULT)
            .run(&mut ScriptedPace::new(script, self.inbox));
        (kept, fate)
    }
}

fn told(fate: &Fate) -> Result<(), String> {
    fate.wait(Duration::ZERO).unwrap()
}

#[test]
fn what_is_found_later_has_its_opening_when_it_is_found() {
    let mut stage = Stage::new();
    let device = stage.device();
    let (kept, fate) =
        stage.run(every(1000, 3), [device.opens(300), Scene::Stop(ms(200)), device.answers(1)]);
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0)]);
    assert_eq!(kept.of("slow"), [(0, 0.0), (1, 1.0)], "at the start and at the end");
    assert_eq!(kept.of("slow_rate"), [(1, 0.201)]);
    let opening = kept.points().into_iter().find(|point| point.key == "system/slow").unwrap();
    assert_eq!(opening.timestamp, START_MS + 300);
    told(&fate).unwrap();
}

#[test]
fn a_window_that_closes_has_their_sample_of_that_moment() {
    let mut stage = Stage::new();
    let device = stage.device();
    let mut script = vec![device.opens(1)];
    for _ in 0..3 {
        script.extend([Scene::Due(ON_TIME), device.answers(20)]);
    }
    let (kept, _) = stage.run(every(1000, 1), script);
    assert_eq!(kept.of("slow"), [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]);
    let times: Vec<_> = kept.points().iter().map(|point| point.timestamp - START_MS).collect();
    assert!(times.ends_with(&[3000; 4]), "one window: {times:?}");
}

#[test]
fn an_answer_that_is_there_before_it_is_waited_for_is_in_its_window_too() {
    let mut stage = Stage::new();
    let device = stage.device();
    let worker = Arc::clone(&device.0);
    // Answers while the host is read: after it was asked, and before anybody waits.
    let host = Driver::new("host", move |registry| {
        let (key, worker) = (registry.key("host", Kind::Gauge)?, Arc::clone(&worker));
        Ok(probe(move |sink| {
            let mut worker = worker.lock().unwrap();
            if worker.has_question() {
                worker.sample(|| ms(0));
            }
            sink.put(key, 1.0);
            Ok(())
        }))
    });
    let (session, kept, _) = session(0, &watch(every(1000, 1)));
    stage.inbox.join(session).unwrap();
    let host = Group::open(&[host], &Machine::default(), Tier::Full);
    let script = [device.opens(1), Scene::Due(ON_TIME), Scene::Due(ON_TIME), Scene::Due(ON_TIME)];
    Sampler::new(host, stage.slow, Arc::clone(&stage.inbox), Patience::DEFAULT)
        .run(&mut ScriptedPace::new(script, stage.inbox));
    let steps: Vec<_> = kept.of("slow").into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [0, 1, 2, 3]);
}

#[test]
fn one_that_is_late_goes_into_the_next_window_and_is_not_waited_for_until_it_answers_again() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [
        device.opens(1),
        Scene::Due(ON_TIME),
        device.begins(0),
        // The wait for it ends without an answer; the next window does not wait.
        Scene::Due(ON_TIME),
        Scene::Due(ON_TIME),
        device.comes_back(500, 1000),
        Scene::Due(ON_TIME),
        device.answers(10),
    ];
    let (kept, fate) = stage.run(every(1000, 1), script);
    let host: Vec<_> = kept.of("gauge").into_iter().map(|(step, _)| step).collect();
    assert_eq!(host, [0, 1, 2, 3], "the host's windows close all the same");
    let [(0, opening), (3, late)] = kept.of("slow")[..] else { panic!("{:?}", kept.of("slow")) };
    // The second reading stands for 0.999 s, the third for 2.01 s.
    let expected = (1.0 * 0.999 + 2.0 * 2.01) / 3.009;
    assert!(opening == 0.0 && (late - expected).abs() < 1e-9, "{late}");
    assert_eq!(kept.of("slow_rate").len(), 1);
    told(&fate).unwrap();
}

#[test]
fn a_stop_names_the_probe_that_hangs_and_logs_the_others_last_window() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [device.opens(1), Scene::Due(ON_TIME), Scene::Due(ON_TIME), Scene::Stop(ms(500))];
    let (kept, fate) = stage.run(every(1000, 1), script);
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0), (2, 2.0)]);
    let error = told(&fate).unwrap_err();
    assert!(error.contains("`device` has not answered for"), "{error}");
}

#[test]
fn a_stop_waits_a_few_milliseconds_for_an_answer_and_no_longer() {
    for (answers, points) in [(true, 2), (false, 1)] {
        let mut stage = Stage::new();
        let device = stage.device();
        let answer = if answers { device.answers(3) } else { Scene::Due(ON_TIME) };
        let script = [device.opens(1), Scene::Stop(ms(500)), answer];
        let (kept, fate) = stage.run(every(1000, 1), script);
        assert_eq!(kept.of("slow").len(), points);
        assert_eq!(kept.of("gauge").len(), 2);
        let outcome = told(&fate);
        assert_eq!(outcome.is_ok(), answers);
        assert!(outcome.err().is_none_or(|error| error.ends_with("has not answered for 4 ms")));
    }
}

#[test]
fn a_stop_waits_no_longer_because_the_host_took_long() {
    let mut stage = Stage::new();
    let device = stage.device();
    let inbox = Arc::clone(&stage.inbox);
    let script = [device.opens(1), Scene::Stop(ms(500)), Scene::Due(ON_TIME)];
    let mut pace = ScriptedPace::new(script, Arc::clone(&inbox));
    let time = pace.time();
    let host = fast(move |registry| {
        registry.key("host", Kind::Gauge)?;
        let (time, mut readings) = (Arc::clone(&time), 0);
        Ok(probe(move |_| {
            readings += 1;
            if readings == 2 {
                *time.lock().unwrap() += ms(3);
            }
            Ok(())
        }))
    });
    let (session, _, fate) = session(0, &watch(every(1000, 1)));
    inbox.join(session).unwrap();
    let host = Group::open(&[host], &Machine::default(), Tier::Full);
    Sampler::new(host, stage.slow, inbox, Patience::DEFAULT).run(&mut pace);
    assert!(told(&fate).unwrap_err().ends_with("has not answered for 4 ms"));
}

#[test]
fn a_stop_takes_what_a_probe_has_before_its_sample_is_whole() {
    let in_two_parts = |registry: &mut Registry| -> Opened {
        let (first, rest) = (registry.key("first", Kind::Gauge)?, registry.key("rest", Kind::Gauge)?);
        Ok(probe(move |sink| {
            sink.put(first, 1.0);
            sink.hand_over();
            sink.put(rest, 1.0);
            Ok(())
        }))
    };
    let points = |settings: SystemMetrics, script: fn(&Hand) -> Vec<Scene>| {
        let mut stage = Stage::new();
        let device = stage.slow("device", in_two_parts);
        let (kept, fate) = stage.run(settings, script(&device));
        (kept.of("first").len(), kept.of("rest").len(), told(&fate).is_ok())
    };
    let at_the_stop =
        points(every(1000, 1), |device| vec![device.opens(1), Scene::Stop(ms(500)), device.hands_over(2)]);
    assert_eq!(at_the_stop, (2, 1, true));
    let whole = points(every(1000, 1), |device| {
        let closes = [Scene::Due(ON_TIME), device.hands_over(2), device.has_the_rest(2, 1002)];
        [device.opens(1)]
            .into_iter()
            .chain(closes)
            .chain([Scene::Stop(ms(500)), Scene::Due(ON_TIME)])
            .collect()
    });
    assert_eq!(whole, (2, 2, false), "what was part of a whole is not taken again");
    let late = points(every(1000, 1), |device| {
        let closes_without = [Scene::Due(ON_TIME), device.hands_over(2), Scene::Due(ON_TIME)];
        [device.opens(1)].into_iter().chain(closes_without).chain([Scene::Stop(ms(500))]).collect()
    });
    assert_eq!(late, (1, 1, false), "it is not of the window that ends");
}

#[test]
fn a_run_that_goes_on_has_a_sample_once_though_another_took_a_part_of_it() {
    let mut stage = Stage::new();
    let device = stage.slow("device", |registry| {
        let (key, mut reading) = (registry.key("slow", Kind::Gauge)?, 0.0);
        Ok(probe(move |sink| {
            sink.put(key, reading);
            sink.hand_over();
            reading += 1.0;
            Ok(())
        }))
    });
    let (goes_on, kept, _) = session(1, &watch(every(4000, 1)));
    stage.inbox.join(goes_on).unwrap();
    let inbox = Arc::clone(&stage.inbox);
    let goes = Scene::After(ms(499), Box::new(move |_| inbox.leave(0)));
    let script =
        [device.opens(1), goes, device.hands_over(0), Scene::Due(ON_TIME), device.has_the_rest(1, 500)];
    let end = [Scene::Stop(ms(495)), device.answers(0)];
    let (gone, _) = stage.run(every(4000, 1), script.into_iter().chain(end));
    assert_eq!(gone.of("slow"), [(0, 0.0), (1, 1.0)]);
    let [(0, 0.0), (1, mean)] = kept.of("slow")[..] else { panic!("{:?}", kept.of("slow")) };
    // 1 stands for 499 ms and 2 for 500 ms.
    assert!((mean - (0.499 + 2.0 * 0.5) / 0.999).abs() < 1e-9, "{mean}");
}

#[test]
fn what_came_too_late_for_the_first_window_has_a_point_however_soon_the_run_ends() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [Scene::Due(ON_TIME), device.opens(10), Scene::Stop(ms(10)), device.answers(1)];
    let (kept, fate) = stage.run(every(1000, 1), script);
    let steps: Vec<_> = kept.of("slow").into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [2]);
    told(&fate).unwrap();
}

#[test]
fn a_stop_does_not_wait_for_a_probe_that_hangs_already() {
    // A call of 900 ms may be its way, and is waited for.
    for (call, silent) in [(900, 904), (1500, 1500)] {
        let mut stage = Stage::new();
        let device = stage.device();
        let script =
            [device.opens(1)].into_iter().chain(on_time(5)).chain([device.begins(0), Scene::Stop(ms(call))]);
        let (_, fate) = stage.run(SystemMetrics::new(), script);
        let error = told(&fate).unwrap_err();
        assert_eq!(error, format!("the probe `device` has not answered for {silent} ms"));
    }
}

#[test]
fn a_stop_is_heard_while_a_window_waits_for_an_answer() {
    for answers in [true, false] {
        let mut stage = Stage::new();
        let device = stage.device();
        let answer = if answers { device.comes_back(3, 1000) } else { Scene::Due(ON_TIME) };
        let script = [device.opens(1), Scene::Due(ON_TIME), device.begins(0), Scene::Stop(ms(10)), answer];
        let (kept, fate) = stage.run(every(1000, 1), script);
        assert_eq!(
            kept.of("gauge"),
            [(0, 0.0), (1, 1.0)],
            "the window closes, and nothing is left for a last one"
        );
        assert_eq!(kept.of("slow").len(), 1 + usize::from(answers));
        assert!(told(&fate).err().is_none_or(|error| !answers && error.ends_with("for 14 ms")));
    }
}

#[test]
fn a_rate_does_not_reach_over_a_gap_in_which_the_probe_was_in_a_call() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [
        device.opens(1),
        Scene::Due(ON_TIME),
        device.begins(0),
        Scene::Due(ON_TIME),
        Scene::Due(ms(3_600_000)),
        device.comes_back(100, 1000),
        Scene::Due(ON_TIME),
        device.answers(10),
        Scene::Due(ON_TIME),
        device.answers(10),
    ];
    let (kept, _) = stage.run(every(1000, 1), script);
    let rates: Vec<_> = kept.of("slow_rate").into_iter().map(|(_, secs)| secs).collect();
    assert_eq!(rates, [0.999, 1.0]);
}

#[test]
fn a_rate_does_not_reach_over_a_gap_after_which_the_probe_was_not_asked_at_once() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [device.opens(1), Scene::Due(ON_TIME), Scene::Due(ms(3_600_000))]
        .into_iter()
        .chain(on_time(3))
        .chain([device.answers(0)]);
    let (kept, _) = stage.run(SystemMetrics::new().tier(Tier::Compat), script);
    assert_eq!(kept.of("slow").len(), 2, "asked at the fifth sample");
    assert!(kept.of("slow_rate").is_empty(), "{:?}", kept.of("slow_rate"));
}

#[test]
fn a_rate_does_not_reach_over_a_gap_between_question_and_answer() {
    let mut stage = Stage::new();
    let device = stage.device();
    let script = [device.opens(1), Scene::Due(ON_TIME), device.answers(3_600_000)];
    let (kept, _) = stage.run(every(1000, 1), script);
    assert_eq!(kept.of("slow").len(), 2);
    assert!(kept.of("slow_rate").is_empty());
}

#[test]
fn by_default_they_are_asked_every_five_seconds() {
    let asked = |settings: SystemMetrics, ticks: usize| {
        let mut stage = Stage::new();
        let device = stage.device();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut script = vec![device.opens(1)];
        for _ in 0..ticks {
            let (worker, asked) = (Arc::clone(&device.0), Arc::clone(&asked));
            let answer = move |now: Duration| {
                let mut worker = worker.lock().unwrap();
                if worker.has_question() {
                    worker.sample(|| now);
                    asked.lock().unwrap().push(now.as_secs());
                }
            };
            script.extend([Scene::Due(ON_TIME), Scene::After(ON_TIME, Box::new(answer))]);
        }
        stage.run(settings, script);
        Arc::into_inner(asked).unwrap().into_inner().unwrap()
    };
    assert_eq!(asked(SystemMetrics::new(), 20), [5, 10, 15, 20]);
    assert_eq!(asked(every(2000, 3), 4), [2, 4, 6, 8]);
    assert_eq!(asked(SystemMetrics::new().adaptive(true), 3), [1, 2, 3]);
}

#[test]
fn a_metric_that_another_group_has_gives_no_second_point_at_a_step() {
    let mut stage = Stage::new();
    let again = stage.slow("again", |registry| {
        let (gauge, own) = (registry.key("gauge", Kind::Gauge)?, registry.key("own", Kind::Gauge)?);
        Ok(probe(move |sink| {
            sink.put(gauge, -1.0);
            sink.put(own, -1.0);
            Ok(())
        }))
    });
    let mut kept = Kept::default();
    let heard = warnings(|| {
        kept = stage.run(every(1000, 1), [again.opens(1), Scene::Due(ON_TIME), again.answers(1)]).0;
    });
    assert_eq!(heard, 1);
    assert_eq!(kept.of("gauge"), [(0, 0.0), (1, 1.0)]);
    assert_eq!(kept.of("own"), [(0, -1.0), (1, -1.0)]);
}

#[test]
fn a_probe_that_panics_on_its_own_thread_holds_up_no_window() {
    let mut stage = Stage::new();
    let device = stage.slow("panics", |registry| {
        registry.key("k", Kind::Gauge)?;
        Ok(probe(|_| panic!("a probe's own fault")))
    });
    let script = [device.opens(1), Scene::Due(ON_TIME), Scene::Due(ON_TIME)];
    let (kept, fate) = stage.run(every(1000, 1), script);
    assert_eq!(kept.of("gauge").len(), 3, "every scene was a deadline's");
    told(&fate).unwrap();
}

#[test]
fn facts_and_what_is_there_become_tags_once_but_not_in_the_tier_of_mlflows() {
    for (tier, node, expected) in [
        (Tier::Standard, None, vec!["runlog.monitor", "runlog.name"]),
        (Tier::Standard, Some("node_2"), vec!["runlog.node_2.monitor", "runlog.node_2.name"]),
        (Tier::Compat, None, vec![]),
    ] {
        let mut stage = Stage::new();
        let device = stage.slow("device", |registry| {
            registry.fact("name", "H100");
            registry.key("k", Kind::Gauge)?;
            Ok(probe(|_| Ok(())))
        });
        let nothing = stage.slow("other", |_| Err(ProbeError::Absent("no such library".into())));
        let mut settings = every(1000, 1).tier(tier);
        settings.node_id = node.map(str::to_owned);
        let (kept, _) = stage.run(settings, [device.opens(1), nothing.opens(1), Scene::Due(ON_TIME)]);
        let tags = kept.tags();
        assert!(tags.keys().map(String::as_str).eq(expected.iter().copied()), "{tags:?}");
        if let Some(monitor) = expected.first() {
            assert_eq!(tags[*monitor], "fast, fast, device; without other (no such library)");
        }
    }
}

#[test]
fn a_run_that_ends_before_all_is_found_is_told_what_has_not_answered_and_warned_only_of_what_hangs() {
    // Very soon, before the first window closes, after one that closed without the probe, and much later.
    for (script, hangs) in [
        (vec![Scene::Stop(ms(2)), Scene::Due(ON_TIME)], false),
        (vec![Scene::Stop(ms(900)), Scene::Due(ON_TIME)], false),
        (vec![Scene::Due(ON_TIME), Scene::Due(ON_TIME), Scene::Stop(ms(50))], false),
        (vec![Scene::Due(ON_TIME), Scene::Due(ON_TIME), Scene::Stop(ms(500))], true),
    ] {
        let mut stage = Stage::new();
        let _device = stage.device();
        let (kept, fate) = stage.run(every(800, 1).tier(Tier::Standard), script);
        assert_eq!(kept.tags()["runlog.monitor"], "fast, fast; without device (has not answered yet)");
        assert_eq!(told(&fate).is_err_and(|error| error.contains("`device`")), hangs);
    }
}
