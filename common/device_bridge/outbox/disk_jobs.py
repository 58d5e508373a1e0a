"""What the outbox has its disk do, one after another in a thread of its own, and what happens when that fails."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeAlias

from iofog_sdk.links import run_always

from .entry import Entry, StoreError
from .storage.store import Store

log = logging.getLogger("device_bridge")

_RETRY_S = 10.0


class Open(NamedTuple):
    """Finds what earlier runs have left."""

    def run(self, store: Store) -> Any:
        return store.open()


class Commit(NamedTuple):
    """Adds messages, and is done with others; see Store.commit."""

    entries: Sequence[Entry]
    acknowledged: int
    done: Sequence[tuple[int, int]]

    def run(self, store: Store) -> Any:
        store.commit(self.entries, self.acknowledged, self.done)


class Load(NamedTuple):
    """Reads messages; see Store.load."""

    after: int
    limit: int
    max_bytes: int

    def run(self, store: Store) -> Any:
        return store.load(self.after, self.limit, self.max_bytes)


class Check(NamedTuple):
    """Looks whether the files are still there."""

    def run(self, store: Store) -> Any:
        store.check()


Job: TypeAlias = Open | Commit | Load | Check


class Employer(Protocol):
    """Whose jobs these are."""

    @property
    def has_files(self) -> bool:
        """Whether there is something on disk that is still wanted."""

    def next_job(self) -> Job | None:
        """What is to be done next, None for nothing."""

    def finish_job(self, job: Job, result: Any) -> None:
        """A job has been done."""

    def fail_job(self, job: Job, error: StoreError) -> None:
        """A job could not be done, and is as if it had not been begun."""


class DiskTask:
    """Does the jobs as long as there are any; goes on after every failure.

    Parameters:
        store: whose calls block.
        employer: gives the jobs.
        check_s: seconds after which it asks for a job although nothing was reported as due, while files are there.
    """

    def __init__(self, store: Store, employer: Employer, check_s: float) -> None:
        self.store, self._employer, self._check_s = store, employer, check_s
        self.unexpected = 0
        """Unexpected errors."""
        self._due = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "outbox")
        self._task: asyncio.Task[None] | None = None
        self._is_closing = False

    def wake(self) -> None:
        """There is something to do."""
        self._due.set()

    @property
    def is_idle(self) -> bool:
        """Whether it waits for something to do."""
        return not self._due.is_set()

    async def open(self) -> None:
        """Does the first job, and the rest in the background."""
        await self._do_jobs(1)
        self._due.set()
        self._task = asyncio.get_running_loop().create_task(
            run_always("outbox", self._run_counted), name="outbox disk"
        )

    async def close(self) -> None:
        """Ends when nothing is left to be done, or something fails."""
        self._is_closing = True
        self._due.set()
        if self._task is not None:
            await asyncio.wait((self._task,))  # who waits may be cancelled, the disk's work is not
            if self._task.cancelled():
                await self._do_jobs()
        await self._call(self.store.close)
        self._worker.shutdown(wait=False)

    async def _run_counted(self) -> None:
        try:
            await self._run()
        except Exception:
            self.unexpected += 1
            raise

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._check_s if self._employer.has_files else None):
                    await self._due.wait()
            ok = await self._do_jobs()
            if self._is_closing:
                return
            if not ok:
                await self._pause()

    async def _pause(self) -> None:
        """Waits before the next attempt; the end does not wait."""
        loop = asyncio.get_running_loop()
        end_at = loop.time() + _RETRY_S
        while not self._is_closing and (left_s := end_at - loop.time()) > 0:
            self._due.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    await self._due.wait()
        self._due.set()

    async def _do_jobs(self, most: int = 1 << 62) -> bool:
        """Whether all went well; `is_idle` when nothing is left."""
        for _ in range(most):
            self._due.clear()
            job = None
            try:
                job = self._employer.next_job()
                if job is None:
                    break
                self._due.set()
                result = await self._call(job.run, self.store)
                self._employer.finish_job(job, result)
            except asyncio.CancelledError:
                if job is not None and not isinstance(job, Open):
                    self._employer.fail_job(job, StoreError("the disk's task was cancelled"))
                raise
            except StoreError as error:
                if job is not None:
                    self._employer.fail_job(job, error)
                return False
            except Exception as error:
                self.unexpected += 1
                log.exception("outbox: unexpected error; trying again in %g s", _RETRY_S)
                if job is not None:
                    self._employer.fail_job(job, StoreError(f"{type(error).__name__}: {error}"))
                return False
        return True

    async def _call(self, function: Any, *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *arguments)
