"""Where a training's time went, over all its starts.

Each start of the training writes a file of its own, anew at each flush, since what lies
in a bucket cannot be added to: the seconds of each phase so far, and how they stood at
the last saves. What a later start had to do again, or what passed while nothing ran, is
lost.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterator

import jax
from etils import epath

from tdmm_jax import files

FOLDER = "goodput"  # of the starts' files
SUMMARY = "goodput.json"
SHARES = (
  "productive",  # updates whose result was kept
  "input",  # the host gets batches
  "compile",  # the first update of a start
  "checkpoint",  # saves (until training goes on) and restores
  "evaluation",
  "lost",  # done again, or nothing ran, or a restart got ready
  "other",  # the first start got ready; logs
)
_SETUP = "setup"  # until the first update, but for restoring
_MARKS = 4  # saves that a later start may resume from; orbax keeps two


class Timeline:
  """Adds up the phases of one start; every moment belongs to one of them."""

  def __init__(self, workdir, writes: bool, clock: Callable[[], float] = time.time):
    """Begins with the set-up.

    Args:
      writes: of process 0 alone; the others write nothing.
      clock: seconds since the epoch, which starts on other machines share.
    """
    self._workdir, self._writes, self._clock = epath.Path(workdir), writes, clock
    self._start = self._last = clock()
    self._phase, self._seconds = _SETUP, {}
    self._from_step, self._finished = 0, False
    self._marks: list[dict] = []
    self._earlier = read(workdir) if writes else []

  def enter(self, phase: str) -> None:
    """What is done from now on."""
    now = self._clock()
    passed = self._seconds.get(self._phase, 0.0) + now - self._last
    self._seconds[self._phase] = passed
    self._phase, self._last = phase, now

  @contextlib.contextmanager
  def phase(self, name: str) -> Iterator[None]:
    """What is done meanwhile, in a profile too; then the phase before goes on."""
    before = self._phase
    self.enter(name)
    try:
      with jax.profiler.TraceAnnotation(name):
        yield
    finally:
      self.enter(before)

  def begin(self, step: int) -> None:
    """The updates after `step` begin; 0: nothing was restored."""
    self._from_step = step
    self.enter("other")
    self.flush()

  def saved(self, step: int, finished: bool = False) -> None:
    """A later start may resume from `step`, and keep all that was done until now.

    Args:
      finished: training has ended; what passes until a later start is not lost.
    """
    self.enter(self._phase)
    self._finished = finished
    marks = [mark for mark in self._marks if mark["step"] != step]
    mark = {"step": step, "seconds": dict(self._seconds)}
    self._marks = [*marks, mark][-_MARKS:]
    self.flush()

  def flush(self) -> None:
    """Writes this start's file, which is small, anew."""
    if self._writes:
      name = f"{int(self._start * 1_000):015d}.json"
      files.write_json(self._workdir / FOLDER / name, self._record())

  def _record(self) -> dict:
    self.enter(self._phase)
    return {
      "start": self._start,
      "end": self._last,
      "from_step": self._from_step,
      "finished": self._finished,
      "seconds": self._seconds,
      "marks": self._marks,
    }

  def summarise(self) -> dict[str, float]:
    """The shares of all starts up to now, which are also written to SUMMARY."""
    summary = summary_of([*self._earlier, self._record()])
    if self._writes:
      files.write_json(self._workdir / SUMMARY, summary)
    return summary["shares"]


def read(workdir) -> list[dict]:
  """What the starts of a training have written, the first one first."""
  folder = epath.Path(workdir) / FOLDER
  paths = folder.iterdir() if folder.exists() else ()
  starts = []
  for path in sorted(p for p in paths if not p.name.startswith(files.PREFIX)):
    with contextlib.suppress(ValueError):  # damaged: its time counts as lost
      starts.append(json.loads(path.read_text()))
  return starts


def summary_of(starts: list[dict]) -> dict:
  """{"seconds", "shares": {share: number}, "total_seconds", "starts"}.

  Args:
    starts: as `read` gives them; the last one may still run.
  """
  seconds = dict.fromkeys(SHARES, 0.0)
  resumes = False  # whether this start makes up for one that did not end by itself
  for number, start in enumerate(starts):
    later = starts[number + 1 :]
    kept = _kept(start, [other["from_step"] for other in later])
    for phase, passed in kept.items():
      share = ("lost" if resumes else "other") if phase == _SETUP else phase
      seconds[share] += passed
    seconds["lost"] += start["end"] - start["start"] - sum(kept.values())
    resumes = not start["finished"]
    if later and resumes:
      seconds["lost"] += later[0]["start"] - start["end"]
  total = sum(seconds.values())
  return {
    "seconds": seconds,
    "shares": {name: passed / max(total, 1e-9) for name, passed in seconds.items()},
    "total_seconds": total,
    "starts": len(starts),
  }


def _kept(start: dict, later_steps: list[int]) -> dict[str, float]:
  """Seconds of a start's phases up to the save that all later starts build upon."""
  if not later_steps:
    return start["seconds"]
  marks = [mark for mark in start["marks"] if mark["step"] <= min(later_steps)]
  return marks[-1]["seconds"] if marks else {}
