"""Baselines: motions of the nearest texts, and motions without any text.

Both are scored like the run's own motions. A third row, the true motions through the
tokenizer, shows what the tokens alone cost.
"""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from tdmm_jax.data import tasks
from tdmm_jax.evaluation import completion, language_to_motion, motion_sets
from tdmm_jax.generate import face

KINDS = ("nearest", "unconditional", "tokenizer")


def nearest(prompts: Sequence[str], clips: Sequence[dict]) -> np.ndarray:
  """For each prompt the index of the clip with the most similar texts; int[N].

  Similarity is the cosine of TF-IDF vectors of words. A clip's prompt and captions are
  one text; ties go to the first clip. The lexicon is not used.
  """
  model = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True)
  held = model.fit_transform([" ".join(tasks.clip_texts(clip)) for clip in clips])
  return np.concatenate(
    [
      np.asarray((row @ held.T).todense()).argmax(axis=1)
      for row in model.transform(prompts)
    ]
  )


def motions(
  kind: str, run: face.Face, truth: motion_sets.Truth, train, seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
  """(motion vectors float32[T, P], codes int32[T]) for each of the true clips.

  Args:
    kind: "nearest": the motion of the training clip whose texts are nearest, cut or
      begun again; "unconditional": drawn by the run for an empty prompt, without
      guidance; "tokenizer": the true motion, encoded and decoded.
    train: training clips.
    seed: of what is drawn.
  """
  if kind == "nearest":
    found = nearest([clip["prompt"] for clip in truth.clips], train)
    vectors = [
      motion_sets.fitted(train[i]["vectors"], len(own))
      for i, own in zip(found, truth.vectors)
    ]
    return vectors, run.codec.encode_vectors(vectors)
  if kind == "tokenizer":
    codes = run.codec.encode_vectors(truth.vectors)
  elif kind == "unconditional":
    lengths = [len(own) for own in truth.vectors]
    codes = completion.draw(
      run,
      [{"prompt": ""}] * len(lengths),
      [np.zeros(length, np.int32) for length in lengths],
      [(0, length) for length in lengths],
      seed,
      guidance=1.0,
    )
  else:
    raise ValueError(f"baseline {kind!r}; choose one of {KINDS}")
  return run.codec.decode_vectors(codes), codes


def scores(
  kind: str,
  run: face.Face,
  truth: motion_sets.Truth,
  train: Sequence[dict],
  reader,
  replications: int,
  seed: int = 0,
  say: Callable[[str], None] = lambda text: None,
) -> dict:
  """A baseline's scores, named as those of Language2Motion are.

  Args:
    kind: see `motions`; what is not sampled has one replication.
    reader: regressions.AttributeReader.
  """
  rows = []
  for r in range(replications if kind == "unconditional" else 1):
    say(f"{kind}: replication {r + 1}")
    vectors, codes = motions(kind, run, truth, train, seed * replications + r)
    row, _ = language_to_motion.round_scores(run, truth, reader, vectors, codes, seed)
    rows.append(row)
  return motion_sets.averaged(rows) | {"replications": len(rows)}
