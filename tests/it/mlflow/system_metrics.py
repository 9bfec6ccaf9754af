"""MLflow's own monitors, asked line by line: `system_metrics.py`, with a command and its argument on each line of its input.

`begin <procfs>` has psutil read that directory from now on, and takes the readings that later ones are compared with.
`read` answers with what MLflow would log of the time since then, and psutil's numbers of what MLflow does not log.
`still` answers with what has no beginning, and leaves the beginning of the rest as it is.
"""

import concurrent.futures
import json
import os
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


def disks():
    """The whole disks, where their names tell which those are."""
    if not os.path.exists(f"{psutil.PROCFS_PATH}/diskstats"):
        return {}
    return {name: disk for name, disk in psutil.disk_io_counters(perdisk=True).items() if not name[-1].isdigit()}


def moved(before):
    """What the disks did in the second since `before`."""
    pairs = [(before[name], now) for name, now in disks().items()]
    if not pairs:
        return {}
    total = lambda field: sum(getattr(now, field) - getattr(then, field) for then, now in pairs)
    return {
        "disk_read_megabytes_per_second": total("read_bytes") / 1e6,
        "disk_write_megabytes_per_second": total("write_bytes") / 1e6,
        "disk_read_operations_per_second": total("read_count"),
        "disk_write_operations_per_second": total("write_count"),
        "disk_busy_percentage": max(now.busy_time - then.busy_time for then, now in pairs) / 10,
    }


# psutil keeps the beginning of processor time for each thread by itself.
elsewhere = concurrent.futures.ThreadPoolExecutor(max_workers=1)
network, before = None, {}
for line in sys.stdin:
    command, _, argument = line.rstrip("\n").partition(" ")
    answer = {}
    if command == "begin":
        psutil.PROCFS_PATH = argument
        psutil.net_io_counters.cache_clear()
        psutil.disk_io_counters.cache_clear()
        psutil.cpu_percent()
        beyond()
        network = NetworkMonitor()
        before = disks()
    elif command == "read":
        answer = {**logged(CPUMonitor()), **logged(network), **beyond(), **moved(before)}
    elif command == "still":
        answer = elsewhere.submit(lambda: {**logged(CPUMonitor()), **logged(DiskMonitor())}).result()
        del answer["cpu_utilization_percentage"]
    else:
        sys.exit(f"no such command: {command}")
    print(json.dumps(answer), flush=True)
