"""Metrics of the process itself, under the names that Prometheus client libraries use; read from Linux's `/proc`."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from .metrics import Metric

_TICKS_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_THREADS, _START, _PAGES = 17, 19, 21
"""Places in `/proc/self/stat` after the command's name (proc_pid_stat(5), its fields less 3)."""


def process_metrics() -> Iterator[Metric]:
    """CPU time, memory, descriptors, threads and start of this process; none of them where there is no `/proc`."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    seconds = own.ru_utime + own.ru_stime
    yield Metric("process_cpu_seconds_total", "counter", "CPU time used, user and system.", seconds)
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        descriptors = sum(1 for _ in Path("/proc/self/fd").iterdir())
        boot_s = int(Path("/proc/stat").read_text().partition("\nbtime ")[2].split(None, 1)[0])
    except (OSError, IndexError):
        return
    memory, threads = int(fields[_PAGES]) * _PAGE_BYTES, int(fields[_THREADS])
    yield Metric("process_resident_memory_bytes", "gauge", "Memory in use (RSS).", memory)
    yield Metric("process_threads", "gauge", "Threads.", threads)
    yield Metric("process_open_fds", "gauge", "Open descriptors.", descriptors)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Metric("process_max_fds", "gauge", "Most descriptors that may be open.", most)
    start = boot_s + int(fields[_START]) / _TICKS_S
    yield Metric("process_start_time_seconds", "gauge", "Start, in seconds since 1970.", start)
