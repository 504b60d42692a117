"""Why real prompts and clips come out as they do: the same beside simulated ones.

What can go wrong between a sentence and a face, or a video and a caption, is changed
one thing at a time: the words of a prompt, with its attributes kept; and the way of a
simulated motion into the tokenizer, which may lead through landmarks, as a video's
does. See `benchmarks.real_world`. Shape letters: T frames, L landmarks, P motion
vector.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks import real_tokens
from data_prep import paraphrase
from tdmm_jax.data import records
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face import motion_vector, rotations
from tdmm_jax.face.fit import fit_landmarks, landmark_offsets
from tdmm_jax.language import lexicon
from tdmm_jax.metrics import judge, reconstruction, regressions

SECONDS = 4.0
_TARGETS = ("family", "intensity", "speaking", "head_motion")
_KINDS = ("label", "intensity", "head", "micro", "speaking", "manner")
_PASSED_OVER = frozenset(
  ("his", "her", "their", "its", "my", "your", "the", "a", "an", "this", "that", "both")
)
# The camera that simulated clips are tracked with, like that of the real ones.
WIDTH, HEIGHT, _PX_PER_M = 832, 480, 1_500
_ERRORS = ("face_error_mm", "head_error_deg")
ERRORS = _ERRORS + tuple(f"constant_{name}" for name in _ERRORS)


class Simulated(NamedTuple):
  """Of the records that a run was trained on: all training texts, a few held out."""

  texts: list[str]
  motions: list[motion_lib.FaceMotion]  # of `clips`
  clips: list[dict]
  reader: regressions.AttributeReader  # of the first training clips


def simulated(records_dir, num_train: int, num_clips: int) -> Simulated:
  """What is needed of the records: `num_train` clips to fit, `num_clips` held out."""
  train = records.load_clips(records_dir, "train")
  valid = records.open_split(records_dir, "valid")
  held_out = [valid[i] for i in range(min(num_clips, len(valid)))]
  return Simulated(
    [text for clip in train for text in (clip["prompt"], *clip["captions"])],
    [records.to_motion(record) for record in held_out],
    [records.to_clip(record) for record in held_out],
    regressions.AttributeReader(train[:num_train], _TARGETS),
  )


def judged(truth: Sequence[dict], said: Sequence[dict]) -> dict:
  """Mean CorE, CorM, CorI; `floor`: of what was said of all the others."""
  others = [(t, s) for i, t in enumerate(truth) for j, s in enumerate(said) if i != j]
  floor = judge.means(judge.judge_all(*zip(*others, strict=True)))
  return judge.means(judge.judge_all(truth, said)) | {"floor": floor}


def family_share(reader, vectors: Sequence[np.ndarray], truth: Sequence[dict]) -> float:
  """The share of motions in which regressions read a family that the truth names."""
  named = [{segment["family"] for segment in t["segments"]} for t in truth]
  read = [attributes["family"] for attributes in reader.read(vectors)]
  return float(np.mean([r in n for r, n in zip(read, named, strict=True)]))


def words(text: str) -> list[str]:
  return re.findall(r"[a-z]+", text.lower())


def new_words(prompts: Sequence[str], texts: Sequence[str]) -> list[str]:
  """Words of the prompts that none of the texts has."""
  known = {word for text in texts for word in words(text)}
  return sorted({word for prompt in prompts for word in words(prompt)} - known)


def forms_seen(texts: Sequence[str]) -> dict[str, tuple[int, int]]:
  """Kind -> (forms that the texts have, forms that the lexicon reads).

  Possessives and articles count for nothing: forms leave their place open.
  """
  plain = lambda text: " ".join(w for w in words(text) if w not in _PASSED_OVER)
  everything = " | ".join(map(plain, {*texts}))
  everything = f" {everything} "
  found: dict[str, tuple[int, int]] = {}
  for form, meaning in lexicon.concepts():
    kind = meaning[-1].split()[0]
    if kind in _KINDS:
      seen, read = found.get(kind, (0, 0))
      found[kind] = (seen + (f" {plain(form)} " in everything), read + 1)
  return found


class Acted(NamedTuple):
  """Prompts acted out: a row of a table, scores of each, and the first seed's."""

  row: dict
  scores: list[dict]
  captions: list[str]
  codes: list[np.ndarray]


def act_out(run, reader, name: str, rounds: Sequence[Sequence[str]], truth) -> Acted:
  """Generates a motion of each text of each round, whose number is the seed.

  Args:
    rounds: texts [R][N] that all say what `truth` [N], attributes, are.
  """
  rows, scores = [], []
  seconds = [min(SECONDS, run.max_seconds)] * len(truth)
  first = None
  for seed, texts in enumerate(rounds):
    codes = run.generate_codes(texts, seconds, seed)
    captions = run.describe_codes(codes)
    first = first or (captions, codes)
    said = [lexicon.parse(caption) for caption in captions]
    family = family_share(reader, run.codec.decode_vectors(codes), truth)
    rows.append(judged(truth, said) | {"family": family})
    scores.append([judge.judge(t, s) for t, s in zip(truth, said, strict=True)])
  texts = [text for texts in rounds for text in texts]
  pieces = sum(len(run.vocab.encode_text(text)) for text in texts)
  row = _mean(rows, (*judge.ASPECTS, "family"))
  row["floor"] = _mean([r["floor"] for r in rows], judge.ASPECTS)
  row |= {"name": name, "count": len(truth)}
  row["pieces_per_word"] = pieces / sum(len(words(text)) for text in texts)
  each = [_mean(found, judge.ASPECTS) for found in zip(*scores, strict=True)]
  return Acted(row, each, *first)


def _mean(rows, keys) -> dict[str, float]:
  return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def of_texts(run, corpus: Simulated, prompts: Sequence[str], num_seeds: int):
  """Real prompts, what they say in the corpus' words, and held-out prompts.

  Returns:
    The rows of a table, and `Acted` of the real prompts and of the reworded.
  """
  truth = [lexicon.parse(prompt) for prompt in prompts]
  rng = np.random.default_rng(0)
  own = [paraphrase.captions(a, "test", num_seeds, rng) for a in truth]
  rounds = [[texts[seed % len(texts)] for texts in own] for seed in range(num_seeds)]
  held_out = [[clip["prompt"] for clip in corpus.clips]] * num_seeds
  act = lambda *arguments: act_out(run, corpus.reader, *arguments)
  of_clips = [clip["attributes"] for clip in corpus.clips]
  valid = act("prompts of the valid split", held_out, of_clips)
  reworded = act("what real prompts say, in the corpus' words", rounds, truth)
  real = act("real prompts", [prompts] * num_seeds, truth)
  return [valid.row, reworded.row, real.row], real, reworded


class Read(NamedTuple):
  """Motions put into words: a row of a table, and what was made of each."""

  row: dict
  captions: list[str]
  decoded: list[np.ndarray]
  errors: dict[str, dict]  # of the tokens, by clip_id; empty if there are many


def read_back(run, reader, name: str, clips: Sequence[dict], truth) -> Read:
  """Describes motions; `clips`: dicts of vectors, valid, clip_id."""
  vectors = [clip["vectors"] for clip in clips]
  errors, decoded = real_tokens.scores(run.codec, list(clips))
  captions = run.describe_codes(run.codec.encode_vectors(vectors))
  row = judged(truth, [lexicon.parse(caption) for caption in captions])
  row |= {key: errors[key] for key in ERRORS}
  row |= {"name": name, "count": len(clips)}
  row["family"] = family_share(reader, vectors, truth)
  row |= {"landmark_error": None, "fit_face_error_mm": None}
  return Read(row, captions, decoded, errors.get("clips", {}))


def as_clip(motion: motion_lib.FaceMotion, clip_id: str) -> dict:
  vectors = motion_vector.from_motion(motion)
  return {"clip_id": clip_id, "vectors": vectors, "valid": motion.valid}


def misfit(clip: dict) -> np.ndarray:
  """What a fitted clip's landmarks are off by on average, float[L, 2] in canthi.

  Args:
    clip: of `showcase.fit_real_clips`.
  """
  tracked, fitted = clip["tracked"], clip["fit"]
  points = tracked["landmarks_px"][..., :2]
  off = points[:, fitted["landmark_ids"]] - fitted["projected_px"]
  return (off / _canthi(points))[tracked["detected"]].mean(0)


def _canthi(points_px) -> np.ndarray:
  """The distance between the outer canthi, float[T, 1, 1]."""
  right, left = (points_px[:, i] for i in fit_landmarks.CANTHI)
  return np.linalg.norm(right - left, axis=-1)[:, None, None]


def landmarks_px(face, motion) -> np.ndarray:
  """A motion as a tracker would see it: float32[T, 478, 2], points it lacks are 0."""
  vertices = face_lib.motion_vertices(face, motion)
  offsets_L3 = landmark_offsets.offsets(face.name, face.landmark_ids)
  turn_T33 = np.asarray(rotations.rodrigues(motion_lib.world_head_rotation(motion)))
  seen_TL3 = np.asarray(face_lib.landmarks(face, vertices)) + offsets_L3 @ turn_T33.mT
  points = np.zeros((motion.num_frames, fit_landmarks.NUM_POINTS, 2), np.float32)
  points[:, face.landmark_ids] = seen_TL3[..., :2] * [_PX_PER_M, -_PX_PER_M] + [
    WIDTH / 2,
    HEIGHT / 2,
  ]
  return points


def track(face, motion, misfit_L2=0.0) -> tuple[motion_lib.FaceMotion, float]:
  """A motion drawn as landmarks, and fitted; the fit's landmark error, in canthi."""
  points = landmarks_px(face, motion)
  points[:, face.landmark_ids] += misfit_L2 * _canthi(points)
  detected = np.ones(len(points), bool)
  found, fitted = fit_landmarks.fit_landmarks(
    face, points, detected, motion.fps, WIDTH, HEIGHT
  )
  return found, fitted["landmark_error"]


def tracked(run, corpus: Simulated, name: str, misfits: Sequence) -> dict:
  """A row of the held-out clips, tracked; the misfits go round."""
  face, row_errors, clips = run.codec.face, [], []
  for i, (motion, clip) in enumerate(zip(corpus.motions, corpus.clips, strict=True)):
    found, error = track(face, motion, misfits[i % len(misfits)])
    clips.append(as_clip(found, clip["clip_id"]))
    row_errors.append(error)
  truth = [clip["attributes"] for clip in corpus.clips]
  row = read_back(run, corpus.reader, name, clips, truth).row
  mean_P = run.codec.variables["stats"]["params_mean"]
  vectors = [clip["vectors"] for clip in clips]
  errors = reconstruction.errors(face, corpus.clips, vectors, mean_P)
  row["fit_face_error_mm"] = errors["face_error_mm"]
  return row | {"landmark_error": float(np.mean(row_errors))}


def of_motions(run, corpus: Simulated, fitted: Sequence[dict]):
  """Simulated motions on the way of real ones, real ones, and those without offsets.

  Args:
    fitted: of `showcase.fit_real_clips`.

  Returns:
    The rows of a table, and `Read` of the real clips.
  """
  truth = [lexicon.parse(clip["prompt"]) for clip in fitted]
  clips = [as_clip(clip["motion"], clip["clip_id"]) for clip in fitted]
  back = lambda *arguments: read_back(run, corpus.reader, *arguments)
  as_made = back(
    "simulated", corpus.clips, [clip["attributes"] for clip in corpus.clips]
  )
  real = back("real, fitted", clips, truth)
  real.row.update(_mean([clip["fit"] for clip in fitted], ["landmark_error"]))
  mean_P = np.asarray(run.codec.variables["stats"]["params_mean"])
  moved = [
    clip | {"vectors": clip["vectors"] - clip["vectors"].mean(0) + mean_P}
    for clip in clips
  ]
  rows = [
    as_made.row,
    tracked(run, corpus, "simulated, tracked", [0.0]),
    tracked(
      run, corpus, "simulated, tracked with real misfit", [misfit(c) for c in fitted]
    ),
    real.row,
    back("real, moved to the mean training frame", moved, truth).row,
  ]
  return rows, real
