"""Metrics to disk: JSON lines always; TensorBoard through CLU where asked for.

CLU's writers import TensorFlow (seconds, and 1 GB of memory), so they are loaded only
with `config.tensorboard = True`; training itself never needs TensorFlow.
"""

import json
import sys
import types
from collections.abc import Mapping

import numpy as np
from absl import logging
from etils import epath

from tdmm_jax.render import video

FILE = "metrics.jsonl"


class MetricLogger:
  """Writes scalars per step, and what TensorBoard shows; process 0 alone has one.

  Each line is flushed, so that a kill loses nothing. Where files cannot be added to
  (gs://), the whole file is written anew at each line's flush.
  """

  def __init__(self, workdir, tensorboard: bool, batch_size: int = 1):
    self._workdir = epath.Path(workdir)
    self._workdir.mkdir(parents=True, exist_ok=True)
    self._path, self._batch_size = self._workdir / FILE, batch_size
    self._remote = str(workdir).startswith("gs://")
    self._file = None if self._remote else self._path.open("a")
    self._lines = self._path.read_text() if self._remote and self._path.exists() else ""
    self._clu = _tensorboard_writer(self._workdir) if tensorboard else None

  @property
  def has_tensorboard(self) -> bool:
    return self._clu is not None

  def write(self, step: int, split: str, scalars: Mapping[str, float]) -> None:
    """One line of metrics.jsonl; two curves in TensorBoard: by step, and by example."""
    line = json.dumps({"step": step, "split": split} | dict(scalars)) + "\n"
    if self._remote:
      self._lines += line
      self._path.write_text(self._lines)
    else:
      self._file.write(line)
      self._file.flush()
    if self._clu is not None:
      for prefix, x in (
        (split, step),
        (f"{split}_by_example", step * self._batch_size),
      ):
        values = {f"{prefix}/{key}": value for key, value in scalars.items()}
        self._clu.write_scalars(x, values)

  def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    """What CLU's periodic actions report."""
    self.write(step, "progress", scalars)

  def write_hparams(self, config: dict) -> None:
    if self._clu is not None:
      self._clu.write_hparams(config)

  def write_text(self, step: int, texts: Mapping[str, str]) -> None:
    """Markdown, for TensorBoard's text tab."""
    if self._clu is not None:
      self._clu.write_texts(step, dict(texts))

  def write_image(self, step: int, name: str, picture_HW3: np.ndarray) -> None:
    """`picture_HW3`: uint8."""
    if self._clu is not None:
      self._clu.write_images(step, {name: np.asarray(picture_HW3)})

  def write_video(self, step: int, name: str, frames_THW3: np.ndarray, fps: float):
    """`frames_THW3`: uint8; moves in TensorBoard's image tab.

    CLU's writer has no videos, but the image tab plays a GIF.
    """
    if self._clu is None:
      return
    from tensorboard.plugins.image import metadata

    height, width = frames_THW3.shape[1:3]
    image = [str(width), str(height), video.gif_bytes(frames_THW3, fps)]
    about = metadata.create_summary_metadata(display_name=None, description="")
    self._clu.write_summaries(
      step, {name: np.array(image, dtype=object)}, {name: about}
    )

  def close(self) -> None:
    if self._file is not None:
      self._file.close()
    if self._clu is not None:
      self._clu.flush()
      self._clu.close()


def _tensorboard_writer(workdir):
  """CLU's writer of event files, or None and a warning where TensorFlow is missing."""
  try:
    from clu.metric_writers.tf import summary_writer  # imports TensorFlow

    return summary_writer.SummaryWriter(str(workdir))
  except ImportError as error:
    logging.warning("TensorBoard off (%s); metrics go to %s only", error, FILE)
    return None


def periodic_actions():
  """CLU's module of that name, imported without TensorFlow.

  It needs CLU's metric writers for one type alone, and among them is the one that
  imports TensorFlow: that one is hidden meanwhile.
  """
  name = "clu.metric_writers.tf.summary_writer"
  hidden = name not in sys.modules
  if hidden:
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].SummaryWriter = None
  try:
    from clu import periodic_actions as module
  finally:
    if hidden:
      del sys.modules[name]
  return module


def read_curve(workdir, split: str, name: str) -> list[tuple[int, float]]:
  """(step, value) pairs in order; a step written twice (resumed) counts once."""
  path = epath.Path(workdir) / FILE
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
