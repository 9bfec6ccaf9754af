"""MLflow's own monitors, asked line by line: `system_metrics.py`, with a command and its argument on each line of its input.

`begin <procfs>` has psutil read that directory from now on, and takes the readings that later ones are compared with.
`read` answers with what MLflow would log of the time since then, and psutil's numbers of what MLflow does not log.
`still` answers with what has no beginning, and leaves the beginning of the rest as it is.
"""

import concurrent.futures
import json
import sys

import psutil
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor


def logged(monitor):
    """One window of one sample, as MLflow makes it."""
    monitor.collect_metrics()
    metrics = monitor.aggregate_metrics()
    monitor.clear_metrics()
    return metrics


def beyond():
    """What psutil knows and MLflow does not log."""
    swap = psutil.swap_memory()
    cores = psutil.cpu_percent(percpu=True)
    times = psutil.cpu_times_percent()
    return {
        "swap_usage_megabytes": round(swap.used / 1e6, 1),
        "swap_usage_percentage": swap.percent,
        "cpu_iowait_percentage": times.iowait,
        "cpu_steal_percentage": times.steal,
        **{f"cpu_{core}_utilization_percentage": busy for core, busy in enumerate(cores)},
    }


# psutil keeps the beginning of processor time for each thread by itself.
elsewhere = concurrent.futures.ThreadPoolExecutor(max_workers=1)
network = None
for line in sys.stdin:
    command, _, argument = line.rstrip("\n").partition(" ")
    answer = {}
    if command == "begin":
        psutil.PROCFS_PATH = argument
        psutil.net_io_counters.cache_clear()
        psutil.cpu_percent()
        beyond()
        network = NetworkMonitor()
    elif command == "read":
        answer = {**logged(CPUMonitor()), **logged(network), **beyond()}
    elif command == "still":
        answer = elsewhere.submit(lambda: {**logged(CPUMonitor()), **logged(DiskMonitor())}).result()
        del answer["cpu_utilization_percentage"]
    else:
        sys.exit(f"no such command: {command}")
    print(json.dumps(answer), flush=True)
