//! The rules by which a window of readings tells what the GPU waited for.
//!
//! Invariant: the first rule that holds is the one; a reading that is missing lets its rule not hold.

/// What may hold a run up, in the order in which the rules are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bottleneck {
    MemoryPressure,
    Throttled,
    GpuBound,
    InputBoundIo,
    InputBoundCpu,
    GpuIdle,
}

impl Bottleneck {
    pub(super) const ALL: [Self; 6] = [
        Self::MemoryPressure,
        Self::Throttled,
        Self::GpuBound,
        Self::InputBoundIo,
        Self::InputBoundCpu,
        Self::GpuIdle,
    ];

    /// The verdict where no rule held for long enough.
    pub(super) const UNCLEAR: &'static str = "unclear";

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::MemoryPressure => "memory_pressure",
            Self::Throttled => "throttled",
            Self::GpuBound => "gpu_bound",
            Self::InputBoundIo => "input_bound_io",
            Self::InputBoundCpu => "input_bound_cpu",
            Self::GpuIdle => "gpu_idle",
        }
    }

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::MemoryPressure => "tasks waited for memory or were killed for want of it",
            Self::Throttled => "the GPU worked while power or heat held its clocks down",
            Self::GpuBound => "the GPU had work",
            Self::InputBoundIo => "the GPU waited while tasks waited for disks",
            Self::InputBoundCpu => "the GPU waited while the processors, or one thread, had no time left",
            Self::GpuIdle => "the GPU did nothing",
        }
    }
}

/// What says how busy a GPU was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    SmActive,
    Utilization,
    /// Some GPUs by the one, some by the other.
    Mixed,
}

impl Measure {
    pub(super) const ALL: [Self; 3] = [Self::SmActive, Self::Utilization, Self::Mixed];

    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::SmActive => "measured by active multiprocessors",
            Self::Utilization => "measured by utilization: some kernel ran",
            Self::Mixed => "measured by active multiprocessors where a GPU tells, else by utilization",
        }
    }
}

/// What a window tells: percentages of its time, and `throttled` as a share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Evidence {
    pub(super) memory_pressure: Option<f64>,
    pub(super) oom_killed: bool,
    pub(super) io_pressure: Option<f64>,
    pub(super) tree_cpu: Option<f64>,
    pub(super) busiest_thread: Option<f64>,
    pub(super) utilization: Option<f64>,
    pub(super) throttled: Option<f64>,
}

impl Evidence {
    /// Below this utilization a GPU does nothing.
    pub(super) const IDLE: f64 = 5.0;

    const MEMORY_PRESSURE_MIN: f64 = 10.0;
    const THROTTLED_MIN: f64 = 0.25;
    const THROTTLED_UTILIZATION_MIN: f64 = 50.0;
    const BOUND_UTILIZATION_MIN: f64 = 85.0;
    /// Below this a GPU waits for something.
    const WAITING_BELOW: f64 = 70.0;
    const IO_PRESSURE_MIN: f64 = 20.0;
    const TREE_CPU_MIN: f64 = 80.0;
    const THREAD_MIN: f64 = 90.0;

    /// Whether it says nothing at all of what the rules ask.
    pub(super) fn is_empty(&self) -> bool {
        self.utilization.is_none() && self.memory_pressure.is_none() && !self.oom_killed
    }

    /// The first rule that holds.
    pub(super) fn judge(&self) -> Option<Bottleneck> {
        let at_least = |value: Option<f64>, limit: f64| value.is_some_and(|value| value >= limit);
        let below = |limit: f64| self.utilization.is_some_and(|utilization| utilization < limit);
        let busy = |limit| at_least(self.utilization, limit);
        let holds = |bottleneck: &Bottleneck| match bottleneck {
            Bottleneck::MemoryPressure => {
                self.oom_killed || at_least(self.memory_pressure, Self::MEMORY_PRESSURE_MIN)
            }
            Bottleneck::Throttled => {
                busy(Self::THROTTLED_UTILIZATION_MIN) && at_least(self.throttled, Self::THROTTLED_MIN)
            }
            Bottleneck::GpuBound => busy(Self::BOUND_UTILIZATION_MIN),
            Bottleneck::InputBoundIo => {
                below(Self::WAITING_BELOW) && at_least(self.io_pressure, Self::IO_PRESSURE_MIN)
            }
            Bottleneck::InputBoundCpu => {
                below(Self::WAITING_BELOW)
                    && (at_least(self.tree_cpu, Self::TREE_CPU_MIN)
                        || at_least(self.busiest_thread, Self::THREAD_MIN))
            }
            Bottleneck::GpuIdle => below(Self::IDLE),
        };
        Bottleneck::ALL.into_iter().find(holds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window in which a GPU of this utilization waited for nothing known.
    fn busy(utilization: f64) -> Evidence {
        Evidence {
            memory_pressure: Some(0.0),
            io_pressure: Some(0.0),
            tree_cpu: Some(10.0),
            busiest_thread: Some(10.0),
            utilization: Some(utilization),
            throttled: Some(0.0),
            ..Evidence::default()
        }
    }

    #[test]
    fn want_of_memory_comes_before_all() {
        let evidence = Evidence { memory_pressure: Some(10.0), ..busy(100.0) };
        assert_eq!(evidence.judge(), Some(Bottleneck::MemoryPressure));
        let evidence = Evidence { memory_pressure: Some(9.9), ..busy(100.0) };
        assert_eq!(evidence.judge(), Some(Bottleneck::GpuBound));
        let evidence = Evidence { oom_killed: true, ..busy(100.0) };
        assert_eq!(evidence.judge(), Some(Bottleneck::MemoryPressure));
    }

    #[test]
    fn throttled_is_a_quarter_of_the_time_while_at_work() {
        let throttled = |utilization, share| Evidence { throttled: Some(share), ..busy(utilization) }.judge();
        assert_eq!(throttled(100.0, 0.25), Some(Bottleneck::Throttled));
        assert_eq!(throttled(50.0, 0.25), Some(Bottleneck::Throttled));
        assert_eq!(throttled(100.0, 0.24), Some(Bottleneck::GpuBound));
        assert_eq!(throttled(49.9, 1.0), None);
    }

    #[test]
    fn a_gpu_with_work_is_bound_from_85_percent_on() {
        assert_eq!(busy(85.0).judge(), Some(Bottleneck::GpuBound));
        assert_eq!(busy(84.9).judge(), None);
        let also_waiting = Evidence { io_pressure: Some(90.0), tree_cpu: Some(100.0), ..busy(85.0) };
        assert_eq!(also_waiting.judge(), Some(Bottleneck::GpuBound));
    }

    #[test]
    fn a_gpu_waits_for_disks_below_70_percent_under_pressure() {
        let waiting = |utilization, pressure| {
            Evidence { io_pressure: Some(pressure), tree_cpu: Some(100.0), ..busy(utilization) }.judge()
        };
        assert_eq!(waiting(69.9, 20.0), Some(Bottleneck::InputBoundIo));
        assert_eq!(waiting(69.9, 19.9), Some(Bottleneck::InputBoundCpu));
        assert_eq!(waiting(70.0, 90.0), None);
    }

    #[test]
    fn a_gpu_waits_for_processors_when_all_or_one_thread_are_full() {
        let waiting = |utilization, tree, thread| {
            Evidence { tree_cpu: Some(tree), busiest_thread: Some(thread), ..busy(utilization) }.judge()
        };
        assert_eq!(waiting(69.9, 80.0, 0.0), Some(Bottleneck::InputBoundCpu));
        assert_eq!(waiting(69.9, 0.0, 90.0), Some(Bottleneck::InputBoundCpu));
        assert_eq!(waiting(69.9, 79.9, 89.9), None);
        assert_eq!(waiting(70.0, 100.0, 100.0), None);
        assert_eq!(
            waiting(0.0, 100.0, 100.0),
            Some(Bottleneck::InputBoundCpu),
            "also a GPU that does nothing"
        );
    }

    #[test]
    fn a_gpu_below_5_percent_is_idle_if_it_waits_for_nothing_known() {
        assert_eq!(busy(4.9).judge(), Some(Bottleneck::GpuIdle));
        assert_eq!(busy(5.0).judge(), None);
    }

    #[test]
    fn without_a_gpu_only_want_of_memory_is_a_verdict() {
        let full = Evidence {
            io_pressure: Some(100.0),
            tree_cpu: Some(100.0),
            busiest_thread: Some(100.0),
            ..Evidence::default()
        };
        assert_eq!(full.judge(), None);
        let evidence = Evidence { memory_pressure: Some(50.0), ..full };
        assert_eq!(evidence.judge(), Some(Bottleneck::MemoryPressure));
    }
}
