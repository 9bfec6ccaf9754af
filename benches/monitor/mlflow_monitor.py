"""A process that is watched once a second by MLflow, or by psutil alone, and does nothing else."""

import sys
import threading

what = sys.argv[1]


def psutil_alone():
    """MLflow's eight readings, without MLflow."""
    import psutil

    stop = threading.Event()

    def sample():
        while not stop.wait(1):
            psutil.cpu_percent()
            psutil.virtual_memory()
            psutil.disk_usage("/")
            psutil.net_io_counters()

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    return stop.set


def mlflow_run():
    import mlflow

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_system_metrics_sampling_interval(1)
    mlflow.start_run(log_system_metrics=what == "on")
    return mlflow.end_run


end = psutil_alone() if what == "psutil" else mlflow_run()
print("ready", flush=True)
sys.stdin.read()
end()
