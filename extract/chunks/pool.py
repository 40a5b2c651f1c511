"""The chunks of a run on a Ray cluster: handed to actors, and tried again where one is lost."""

import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from extract.chunks.actor import ChunkActor
from extract.chunks.asked import Asked, say_notes
from extract.chunks.chunk import Done
from extract.chunks.progress import Progress
from extract.settings import Extract
from extract.stopping import StopRequest, stop_on_signals
from schemas.errors import HeadflowError, Stopped
from schemas.files.locations import Location
from schemas.store.directory import check_directory, holds_run, remove_run
from schemas.store.run import open_run
from schemas.store.writer import TO_RESUME
from schemas.text import counted, listed, one_line
from schemas.workers.cluster import connected

_CHUNKS = 8  # for each GPU: few are left over at the end, and little is tried again
TRIES = 3  # of a chunk
_SECONDS = 0.5  # between two looks at the progress
_PACKAGES = ("schemas", "extract")


def choose_chunks(settings: Extract, images: int) -> int:
    """How many chunks a run has: those of the run that is there, those asked for, or some for each GPU."""
    if not settings.overwrite and holds_run(settings.output_dir):
        return open_run(settings.output_dir).manifest.num_chunks
    return settings.num_chunks if settings.num_chunks > 1 else max(1, min(_CHUNKS * settings.gpus, images))


def run_on_cluster(settings: Extract, address: str) -> Done:
    """Run all chunks that a run lacks on a Ray cluster.

    Args:
        address: of the cluster, as `ray.init` names it.

    Returns:
        What was done, of all chunks.

    Raises:
        Stopped: a signal asked for it; what was observed is written.
        HeadflowError: no cluster, or as `run_chunk`; or some chunks have failed, and the others are written.
    """
    asked = Asked.read(settings)
    say_notes(asked.whole)
    settings = replace(settings, num_chunks=choose_chunks(settings, len(asked.questions.by_image())))
    asked = replace(asked, settings=settings)
    found = asked.find_run()
    sizes = [len(asked.chunk(index).samples) for index in range(settings.num_chunks)]
    there = [index for index in range(len(sizes)) if found is not None and asked.is_there(found, index)]
    missing = [index for index in range(len(sizes)) if index not in there]
    before = sum(sizes[index] for index in there)
    if not missing:
        return Done(before, unchanged=True)
    check_directory(settings.output_dir)
    with connected(address, _PACKAGES) as ray, stop_on_signals() as stop:
        places = _resources(ray, settings)
        if settings.overwrite and holds_run(settings.output_dir):
            remove_run(settings.output_dir)
        settings = replace(settings, overwrite=False)  # the actors write side by side
        pool = Pool(ray, replace(asked, settings=settings), places, missing)
        with tqdm(total=sum(sizes), initial=before, unit="sample", dynamic_ncols=True, disable=None) as bar:
            for total in pool.progress(stop):
                bar.n = before + total
                bar.refresh()
    return _result(pool, before, stop, settings.output_dir)


def _resources(ray: Any, settings: Extract) -> list[dict[str, int]]:
    """What each actor needs: a GPU, or where there are none and none is asked for, a CPU.

    Raises:
        HeadflowError: GPUs are asked for, and the cluster has none.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))
    if settings.device == "cpu" or (settings.device == "auto" and not gpus):
        return [{"num_cpus": 1}] * settings.gpus
    if not gpus:
        raise HeadflowError(f"the Ray cluster at {settings.ray} has no GPU", setting="device")
    if gpus < settings.gpus:
        print(f"warning: the cluster has {gpus} of the {settings.gpus} GPUs that are asked for", file=sys.stderr)
    return [{"num_cpus": 1, "num_gpus": 1}] * min(gpus, settings.gpus)


def _result(pool: "Pool", before: int, stop: StopRequest, path: Location) -> Done:
    """What was done, of all chunks, where `before` samples were there; raises as `run_on_cluster` says."""
    done = pool.done
    if stop.signal is not None:
        written = sum(part.rows["samples"] for part in open_run(path).parts) if holds_run(path) else 0
        raise Stopped(
            f"stopped: {counted(written, 'sample is', 'samples are')} written to {path}; {TO_RESUME}", stop.signal
        )
    if pool.failed:
        chunk, why = next(iter(pool.failed.items()))
        raise HeadflowError(
            f"chunks {listed(sorted(pool.failed))} failed {TRIES} times, the last time chunk {chunk} with: {why}; the "
            f"others are written to {path}, and {TO_RESUME}"
        )
    return Done(
        before + sum(each.there for each in done),
        sum(each.observed for each in done),
        sum((each.skipped for each in done), Counter()),
        sum(each.rows for each in done),
    )


@dataclass(frozen=True)
class _Running:
    """What an actor does: the chunk that it runs; None: it starts."""

    actor: Any
    place: int
    chunk: int | None


class Pool:
    """Actors that run a chunk each; where one is lost, another one takes its place.

    Attributes:
        done: what was done with each chunk that has ended.
        failed: chunks that were tried often enough, with the reason of the last time.
    """

    def __init__(self, ray: Any, asked: Asked, places: Sequence[dict[str, int]], chunks: Sequence[int]) -> None:
        """Start the actors.

        Args:
            places: what each actor needs, as Ray names it.
            chunks: those to run.
        """
        self.done: list[Done] = []
        self.failed: dict[int, str] = {}
        self._ray, self._asked, self._places = ray, asked, places[: len(chunks)]
        self._waiting, self._tries = deque(chunks), Counter[int]()
        self._progress = ray.remote(Progress).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
        self._running: dict[Any, _Running] = {}
        self._stopping = False
        for place in range(len(self._places)):
            self._start(place)

    def progress(self, stop: StopRequest) -> Iterator[int]:
        """Run the chunks; yields from time to time how many samples of them are done."""
        while self._running:
            if stop.signal is not None and not self._stopping:
                self._stopping = True
                self._progress.stop.remote()
            for reference in self._ray.wait(list(self._running), timeout=_SECONDS)[0]:
                self._take(reference)
            with suppress(self._ray.exceptions.RayError):
                yield self._ray.get(self._progress.total.remote())

    def _start(self, place: int) -> None:
        """Start an actor, on this machine or another one."""
        made = self._ray.remote(ChunkActor).options(**self._places[place], max_restarts=0)
        actor = made.remote(self._asked.settings, self._asked.commit, str(Path.cwd()), self._progress)
        self._running[actor.ready.remote()] = _Running(actor, place, None)

    def _take(self, reference: Any) -> None:
        """Take what an actor has done, and give it, or the one in its place, something new to do."""
        running = self._running.pop(reference)
        try:
            outcome = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(running.actor)  # also one that answers: an error of a GPU stays with its process
            self._failed(running.chunk, f"a process was lost: {one_line(error)[:300]}")
            if self._waiting and not self._stopping:
                self._start(running.place)
            return
        if running.chunk is not None:
            done, why = outcome
            if done is not None:
                self.done.append(done)
            elif why:
                self._failed(running.chunk, why)
        if self._waiting and not self._stopping:
            chunk = self._waiting.popleft()
            self._running[running.actor.run.remote(chunk)] = _Running(running.actor, running.place, chunk)

    def _failed(self, chunk: int | None, why: str) -> None:
        """Count a failure: of `chunk`, or of the next waiting chunk if the actor did not start."""
        if chunk is None:
            if not self._waiting:
                return
            chunk = self._waiting.popleft()
        self._tries[chunk] += 1
        if self._tries[chunk] < TRIES:
            self._waiting.append(chunk)
        else:
            self.failed[chunk] = why
