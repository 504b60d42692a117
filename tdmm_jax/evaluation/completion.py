"""Continuation and in-between: new frames in true motions, against the true frames.

The new frames' tokens are drawn as `Face.extend` and `Face.edit` draw them, after those
of the frames before (and leading to those after, if the run does that), and joined to
the kept frames as theirs are; but many motions at a time, each in one window.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tdmm_jax.decoding import constraints
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import motion_sets
from tdmm_jax.generate import batch, face, joins, windows
from tdmm_jax.metrics import reconstruction, retrieval

# Shares of a motion that are made anew: the second half, the middle third.
SPANS = {"continuation": (1 / 2, 1.0), "inbetween": (1 / 3, 2 / 3)}


def scores(
  run: face.Face,
  truth: motion_sets.Truth,
  task: str,
  replications: int,
  seed: int = 0,
  say: Callable[[str], None] = lambda text: None,
) -> dict:
  """Means and intervals over replications; errors, l2 and fd are of the new frames.

  Args:
    task: a key of SPANS.

  Returns:
    The scores, with `tokenizer` (the true tokens in place of the drawn ones: no model
    of this tokenizer does better) and `floor` (the same frames of another motion).

  Raises:
    UserError: a motion is longer than the run sees at once.
  """
  spans = [span(task, len(vectors), run.codec.num_phases) for vectors in truth.vectors]
  new = [_mask(len(v), *at) for v, at in zip(truth.vectors, spans)]
  codes = run.codec.encode_vectors(truth.vectors)
  of = lambda vectors, seed: _scores(run, truth, vectors, spans, seed)
  rows = []
  for r in range(replications):
    if r:
      say(f"{task}: replication {r + 1} of {replications}")
    drawn = draw(run, truth.clips, codes, spans, seed * 1_000 + r)
    rows.append(of(_spliced(run, truth, drawn, spans), seed))
  found = motion_sets.averaged(rows) | {"replications": replications}
  found["tokenizer"] = of(_spliced(run, truth, codes, spans), seed)
  if len(set(truth.keys)) > 1:
    partners = retrieval.other_partners(truth.keys, seed)
    wrong = []
    for own, mask, i in zip(truth.vectors, new, partners):
      other = motion_sets.fitted(truth.vectors[i], len(own))
      wrong.append(np.where(mask[:, None], other, own))
    found["floor"] = of(wrong, seed)
  return found


def span(task: str, num_frames: int, num_phases: int) -> tuple[int, int]:
  """The half-open range of frames made anew; it starts at the first phase."""
  first, last = SPANS[task]
  start = round(num_frames * first / num_phases) * num_phases
  start = min(start, (num_frames - 1) // num_phases * num_phases)
  stop = num_frames if last == 1.0 else max(round(num_frames * last), start + 1)
  return start, stop


def draw(
  run: face.Face, clips, codes, spans, seed: int, guidance: float | None = None
) -> list[np.ndarray]:
  """The codes int32[T] of each motion, those of its span drawn anew."""
  most = run.config.max_frames
  longest = max(map(len, codes))
  if longest > most:
    raise UserError(
      f"continuation: a motion of {longest} frames, this run sees {most} at once; "
      "score shorter ones"
    )
  # Of what comes after, a run that leads into it sees as much as in an edit.
  seen = [
    windows.between(*at, len(c), "", run.knows_endings).end
    for c, at in zip(codes, spans, strict=True)
  ]
  fixed = [np.array(c[:end], np.int32) for c, end in zip(codes, seen)]
  for known, at in zip(fixed, spans, strict=True):
    known[slice(*at)] = constraints.FREE
  prompts = [clip["prompt"] for clip in clips]
  frames = [len(known) for known in fixed]
  drawn: dict[int, np.ndarray] = {}
  settings = run.sampling(guidance=guidance)
  for made in batch.draw(run, prompts, frames, seed, settings, fixed=fixed):
    drawn |= made
  return [np.concatenate([drawn[i], c[len(drawn[i]) :]]) for i, c in enumerate(codes)]


def _spliced(run, truth, codes, spans) -> list[np.ndarray]:
  """Motion vectors: the true frames, and in each span what the codes say."""
  decoded, std_P, made = run.codec.decode_vectors(codes), run.codec.std_P, []
  for own, theirs, (start, stop) in zip(truth.vectors, decoded, spans):
    new = joins.between(own, theirs, start, stop, std_P).astype(np.float32)
    made.append(np.concatenate([own[:start], new, own[stop:]]))
  return made


def _scores(run, truth, vectors: Sequence[np.ndarray], spans, seed: int) -> dict:
  clips, made = [], []  # of the new frames alone
  for clip, own, at in zip(truth.clips, vectors, spans):
    clips.append({key: clip[key][slice(*at)] for key in ("vectors", "valid")})
    made.append(own[slice(*at)])
  mean_P = run.codec.variables["stats"]["params_mean"]
  errors = reconstruction.errors(run.codec.face, clips, made, mean_P)
  errors = {k: v for k, v in errors.items() if not k.startswith("constant_")}
  new = [_mask(len(own), *at) for own, at in zip(vectors, spans)]
  return truth.scores(vectors, seed, new) | errors


def _mask(length: int, start: int, stop: int) -> np.ndarray:
  frames = np.arange(length)
  return (frames >= start) & (frames < stop)
