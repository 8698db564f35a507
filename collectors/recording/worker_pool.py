"""Worker processes with a pipe each. They share no lock, so a killed one can stop no other.

`concurrent.futures` has one queue, and one lock, for all its workers: one that is killed while it
holds that lock lets the others, and the pool's shutdown, wait for ever.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, NamedTuple, TypeVar

from collectors.interrupts import interrupts_blocked

Task = TypeVar("Task")
Result = TypeVar("Result")
PATIENCE = 1.0  # seconds that workers have to end, after which they are killed


class WorkerDied(RuntimeError):
    """A worker process ended before its task did."""


class Worker(NamedTuple):
    """A process and the pipe to it."""

    process: Any  # a SpawnProcess
    pipe: Connection


class WorkerPool(Generic[Task, Result]):
    """Calls `work` in `count` processes that are spawned,
    as a fork of a process that runs torch threads can hang.
    """

    def __init__(self, work: Callable[[Task], Result], count: int):
        self.workers: list[Worker] = []
        try:
            for _ in range(count):
                self.workers.append(_start(work))
        except BaseException:
            self.end()
            raise

    def map(self, tasks: Sequence[Task]) -> Iterator[Result]:
        """The results in the order in which they are finished; raises what a task raised, and
        WorkerDied at once where a worker is killed.
        """
        waiting, busy = list(reversed(tasks)), dict[Connection, Worker]()
        for worker in self.workers[: len(waiting)]:
            self._give(worker, waiting.pop())
            busy[worker.pipe] = worker
        while busy:
            # the end of a process closes its pipe, so a dead worker is noticed here too
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # pyright: ignore[reportArgumentType] # only our pipes
                result = self._result(worker)
                if waiting:
                    self._give(worker, waiting.pop())
                else:
                    del busy[worker.pipe]
                yield result

    def _give(self, worker: Worker, task: Task) -> None:
        try:
            worker.pipe.send(task)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerDied(f"worker {worker.process.pid} has ended") from error

    def _result(self, worker: Worker) -> Result:
        try:
            error, result = worker.pipe.recv()
        except (EOFError, ConnectionResetError) as broken:
            raise WorkerDied(f"worker {worker.process.pid} has ended") from broken
        if error is not None:
            raise error
        return result

    def end(self) -> None:
        """End all workers, whatever they do: none outlives this call."""
        for worker in self.workers:
            worker.process.terminate()  # before its pipe is closed, of which it would complain
        for worker in self.workers:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()

    def __enter__(self) -> WorkerPool[Task, Result]:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()


def _start(work: Callable[[Any], Any]) -> Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    if os.name == "posix":  # the first process starts it too, and with it lets Ctrl-C through again
        resource_tracker.ensure_running()
    with interrupts_blocked():  # Ctrl-C goes to all processes of a terminal: ours ends the others
        process.start()
    theirs.close()  # so that the end of the process is the end of the pipe
    return Worker(process, ours)


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """A worker's life: tasks in, results or errors out, until the pipe is closed."""
    _end_with_parent()
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            answer = None, work(task)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = error, None
        try:
            pipe.send(answer)
        except (BrokenPipeError, ConnectionResetError):
            return
        except Exception as error:  # what cannot be pickled
            pipe.send((RuntimeError(f"{answer[0] or answer[1]!r} cannot be sent: {error}"), None))


def _end_with_parent() -> None:
    """A killed collector must not leave workers behind that write on."""

    def watch() -> None:
        if (parent := multiprocessing.parent_process()) is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
