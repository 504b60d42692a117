"""Metrics to disk: JSON lines always; TensorBoard through CLU where asked for.

CLU's writers import TensorFlow (seconds, and 1 GB of memory), so they are loaded only
with `config.tensorboard = True`; training itself never needs TensorFlow.
"""

import json
import logging
import pathlib

FILE = "metrics.jsonl"


class MetricLogger:
  """Writes scalars per step; flushes each line, so that a kill loses nothing."""

  def __init__(self, workdir, tensorboard: bool):
    workdir = pathlib.Path(workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    self._file = (workdir / FILE).open("a")
    self._clu = None
    if tensorboard:
      try:
        from clu import metric_writers  # imports TensorFlow

        self._clu = metric_writers.SummaryWriter(str(workdir))
      except ImportError as error:
        logging.warning("TensorBoard off (%s); metrics go to %s only", error, FILE)

  def write(self, step: int, split: str, scalars: dict[str, float]) -> None:
    line = {"step": step, "split": split} | scalars
    self._file.write(json.dumps(line) + "\n")
    self._file.flush()
    if self._clu is not None:
      self._clu.write_scalars(step, {f"{split}/{k}": v for k, v in scalars.items()})

  def write_hparams(self, config: dict) -> None:
    if self._clu is not None:
      self._clu.write_hparams(config)

  def close(self) -> None:
    self._file.close()
    if self._clu is not None:
      self._clu.flush()


def read_curve(workdir, split: str, name: str) -> list[tuple[int, float]]:
  """(step, value) pairs in order; of a step written twice (a resumed run) the last."""
  path = pathlib.Path(workdir) / FILE
  values = {}
  if path.exists():
    for line in path.read_text().splitlines():
      try:
        row = json.loads(line)
      except json.JSONDecodeError:  # the line a kill cut short
        continue
      if row.get("split") == split and name in row:
        values[row["step"]] = row[name]
  return sorted(values.items())
