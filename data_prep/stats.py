"""What is in a record directory, as one page.

  python -m data_prep.stats records -o stats.html [--json stats.json]

Counts per label, family, intensity, generator and the rest of what captions say,
durations, a word cloud of the prompts, the ranges of the motion's parameters, a t-SNE
map of motions coloured by family, and what was left out, for which reason. The page
needs no other file and no network.
"""

import argparse
import collections
import json
import pathlib
import re
import sys

import numpy as np
import tqdm

from data_prep import build_shards, stats_page
from tdmm_jax import errors, files
from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.face import motion_vector

POSE_WEIGHT = 5.0  # of a radian, or of a closed lid, beside a coefficient; for the map
FRAMES_A_CLIP = 8  # that count for the ranges: neighbouring frames say the same
# Range -> (field, column, factor, unit)
RANGES = {
  "jaw opening": ("jaw_pose", 0, 180 / np.pi, "deg"),
  "left eyelid": ("eyelids", 0, 1.0, "closed"),
  "right eyelid": ("eyelids", 1, 1.0, "closed"),
  "gaze, down": ("eye_pose", 0, 180 / np.pi, "deg"),
  "gaze, to the left": ("eye_pose", 1, 180 / np.pi, "deg"),
  "head, down": ("head_pose", 0, 180 / np.pi, "deg"),
  "head, to the left": ("head_pose", 1, 180 / np.pi, "deg"),
  "head, tilt to the right": ("head_pose", 2, 180 / np.pi, "deg"),
}
PERCENTILES = (0.1, 1, 50, 99, 99.9)
_LISTS = ("micro_actions", "head_motion")


def _build_stats(records_dir) -> dict:
  """The builder's stats; {} where another program wrote the records."""
  try:
    text = (pathlib.Path(records_dir) / build_shards.BUILD_FILE).read_text()
    return dict(json.loads(text)["stats"])
  except (OSError, ValueError, KeyError, TypeError):
    return {}


class _Tally:
  """Counts records; keeps a few frames of each and the features of some."""

  def __init__(self, total: int, num_embedded: int):
    self.counts = collections.defaultdict(collections.Counter)
    self.words = collections.Counter()
    self.durations_s, self.frames = [], []
    self.features, self.families = [], []
    rng = np.random.default_rng(0)
    chosen = rng.choice(total, min(total, num_embedded), replace=False)
    self._chosen = set(chosen.tolist())
    self._seen = 0

  def add(self, record: dict, split: str) -> None:
    motion = records.to_motion(record)
    attributes = json.loads(record["attributes"])
    counts = self.counts
    counts["split"][split] += 1
    counts["label"][attributes["emotion"]] += 1
    counts["family"][attributes["family"]] += 1
    counts["intensity"][str(attributes["intensity"])] += 1
    counts["speaking"][attributes["speaking"]] += 1
    counts["manner of speaking"][attributes.get("manner", "plain")] += 1
    counts["emotions in a clip"][str(len(attributes["segments"]))] += 1
    for name in _LISTS:
      counts[name.replace("_", " ")].update(attributes[name] or ["none"])
    for name in ("generator", "tracker"):
      counts[name][record[name].decode() or "unstated"] += 1
    self.words.update(re.findall(r"[a-z]{3,}", record["prompt"].decode().lower()))
    self.durations_s.append(motion.num_frames / motion.fps)
    counts["frames"]["valid"] += int(motion.valid.sum())
    counts["frames"]["not observed"] += int((~motion.valid).sum())
    seen = np.flatnonzero(motion.valid)
    if len(seen):
      vectors = motion_vector.from_motion(motion)[seen]
      picks = np.linspace(0, len(seen) - 1, FRAMES_A_CLIP).astype(int)
      self.frames.append(vectors[picks])
      if self._seen in self._chosen:
        self.features.append(typical_face(vectors))
        self.families.append(attributes["family"])
    self._seen += 1


def typical_face(vectors_TP: np.ndarray) -> np.ndarray:
  """float[P]: the median frame over its size: which face, not how much of it.

  The median ignores speech, blinks and everything else that comes and goes.
  """
  middle_P = np.median(vectors_TP, 0)
  middle_P[-motion_vector.NUM_POSE :] *= POSE_WEIGHT
  return middle_P / max(float(np.linalg.norm(middle_P)), 1e-6)


def embed(features: np.ndarray) -> np.ndarray:
  """float[N, 2]: t-SNE of the features' 30 principal components.

  Source: van der Maaten & Hinton 2008, "Visualizing data using t-SNE".
  """
  from sklearn import decomposition, manifold

  width = min(30, *features.shape)
  reduced = decomposition.PCA(width, random_state=0).fit_transform(features)
  perplexity = min(30.0, (len(features) - 1) / 3)
  return manifold.TSNE(2, perplexity=perplexity, random_state=0).fit_transform(reduced)


def ranges(frames: np.ndarray) -> dict[str, dict]:
  """Name -> {"unit", "percentiles"} of float[N, P] motion vectors."""
  fields = motion_vector.split(frames)
  rows = {}
  for name, (field, column, factor, unit) in RANGES.items():
    values = fields[field][:, column] * factor
    rows[name] = {"unit": unit, "percentiles": _percentiles(values)}
  size = np.sqrt((fields["expression"] ** 2).mean(1))
  rows["expression, rms"] = {"unit": "", "percentiles": _percentiles(size)}
  return rows


def _percentiles(values) -> list[float]:
  return [round(float(v), 3) for v in np.percentile(values, PERCENTILES)]


def collect(records_dir, num_embedded: int = 1500, progress: bool = True) -> dict:
  """Reads all records once.

  Args:
    records_dir: a record directory.
    num_embedded: how many clips the map shows, drawn at random.
    progress: whether to show a bar on stderr.

  Returns:
    {"directory", "clips", "hours", "durations_s", "counts": {what: {value: clips}},
    "label_max_over_min", "words", "ranges", "dropped": {reason: clips}, "versions",
    "map": [[x, y, family]]}.

  Raises:
    UserError: no records there, or of another format.
  """
  sources = {}
  for split in records.SPLITS:
    try:
      sources[split] = records.open_split(records_dir, split)
    except UserError as error:
      if "no split" not in str(error):  # a few clips need not reach every split
        raise
  total = sum(map(len, sources.values()))
  if not total:
    raise UserError(f"{records_dir}: the records are empty; build them again")
  tally = _Tally(total, num_embedded)
  with tqdm.tqdm(total=total, unit="clip", disable=not progress) as bar:
    for split, source in sources.items():
      for record in source:
        tally.add(record, split)
        bar.update()
  labels = tally.counts["label"]
  points = []
  if len(tally.features) >= 10:
    places = embed(np.stack(tally.features))
    points = [
      [round(float(x), 2), round(float(y), 2), family]
      for (x, y), family in zip(places, tally.families)
    ]
  return {
    "directory": str(records_dir),
    "clips": total,
    "hours": round(sum(tally.durations_s) / 3600, 3),
    "durations_s": tally.durations_s,
    "counts": {what: dict(c.most_common()) for what, c in tally.counts.items()},
    "label_max_over_min": round(max(labels.values()) / min(labels.values()), 4),
    "words": dict(tally.words.most_common(200)),
    "ranges": ranges(np.concatenate(tally.frames)) if tally.frames else {},
    "dropped": _build_stats(records_dir).get("dropped", {}),
    "versions": records.versions(records_dir),
    "map": points,
  }


@errors.entry_point("data_prep.stats")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m data_prep.stats",
    description="Write a page that shows what is in a record directory.",
  )
  parser.add_argument("records", help="the record directory")
  parser.add_argument("-o", "--out", default="stats.html", help="default: stats.html")
  parser.add_argument("--json", help="also write the numbers")
  parser.add_argument(
    "--embed", type=int, default=1500, help="clips on the map (default 1500)"
  )
  args = parser.parse_args(argv)
  found = collect(args.records, args.embed)
  files.write_text(args.out, stats_page.page(found))
  if args.json:
    numbers = {k: v for k, v in found.items() if k not in ("durations_s", "map")}
    files.write_json(args.json, numbers)
  print(f"{args.out}: {found['clips']} clips, {found['hours']} hours")


if __name__ == "__main__":
  sys.exit(main())
