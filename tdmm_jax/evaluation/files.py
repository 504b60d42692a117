"""Scores any system's motions against true ones: folders of files, or records.

Whatever needs no trained model is scored: clips are matched by name, and captions are
scored where both sides have them.
"""

import json
import logging
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import motion_sets, motion_to_language
from tdmm_jax.face import head_file, load_model, motion_vector
from tdmm_jax.face.files import read
from tdmm_jax.face.fit import between_heads
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.language import lexicon
from tdmm_jax.metrics import distribution, reconstruction, retrieval

_LOG = logging.getLogger(__name__)
PROMPTS = "prompts.jsonl"
# Which files of a folder are motions; of what layout, their contents tell.
_SUFFIXES = (".npz", ".npy", ".pkl", ".csv", ".glb")


class Side(NamedTuple):
  """What one folder holds, by clip name."""

  motions: dict[str, FaceMotion]
  texts: dict[str, dict]  # prompt, captions, attributes


def load(directory, split: str = "test") -> Side:
  """Motions and texts of a folder of motion files, or of a split of records.

  A folder's texts are in its prompts.jsonl: JSON lines of clip_id (a file's name
  without its ending), prompt and, if there are, captions and attributes.

  Raises:
    UserError: names the file that is missing, broken or duplicated.
  """
  directory = pathlib.Path(directory)
  if (directory / "dataset_info.json").exists():
    held = list(records.open_split(directory, split))
    clips = [records.to_clip(record) for record in held]
    names = [clip["clip_id"] for clip in clips]
    motions = [records.to_motion(record) for record in held]
    return Side(dict(zip(names, motions)), dict(zip(names, clips)))
  if not directory.is_dir():
    raise UserError(f"{directory}: no such folder; name one of motion files or records")
  motions = {}
  for path in sorted(directory.iterdir()):
    if path.suffix.lower() in _SUFFIXES:
      if path.stem in motions:
        raise UserError(f"{directory}: several motions named {path.stem!r}; keep one")
      motions[path.stem] = read.load_motion(path)
  if not motions:
    raise UserError(
      f"{directory}: no motion files ({', '.join(_SUFFIXES)}); name a folder of them"
    )
  return Side(motions, _texts(directory / PROMPTS))


def _texts(path: pathlib.Path) -> dict[str, dict]:
  texts = {}
  lines = path.read_text().splitlines() if path.exists() else []
  for number, line in enumerate(lines, start=1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
      prompt, captions = str(row["prompt"]), [str(c) for c in row.get("captions", ())]
      attributes = row.get("attributes") or lexicon.parse(prompt)
      texts[str(row["clip_id"])] = {
        "prompt": prompt,
        "captions": captions,
        "attributes": attributes,
      }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
      raise UserError(
        f"{path}:{number}: no text of a clip ({error!r}); each line is JSON with "
        "clip_id and prompt"
      ) from error
  return texts


def scores(
  pred, ref, split: str = "test", face_model: str | None = None, seed: int = 0
) -> dict:
  """Scores of the motions (and captions) of `pred` against those of `ref`.

  Clips are compared up to the end of the shorter one, and motions of another head that
  the package ships are carried over to the true one's.

  Args:
    pred, ref: folders, see `load`.
    split: of records.
    face_model: FLAME's model file, of motions in its basis; vertices are compared with
      it.
    seed: of the clips that the floor pairs.

  Returns:
    {"num_clips", "frames", "unmatched": {"pred", "ref"}, "cut": clips of unlike
    lengths, "motion", "m2l", "unavailable"}; m2l is None without captions.

  Raises:
    UserError: nothing in common, or motions of different face models.
  """
  ours, truth = load(pred, split), load(ref, split)
  names = sorted(ours.motions.keys() & truth.motions.keys())
  if not names:
    raise UserError(
      f"{pred}, {ref}: no clip of the same name in both, such as "
      f"{min(ours.motions)!r} and {min(truth.motions)!r}; rename the files"
    )
  clips, made, cut, carried = [], [], 0, set()
  for name in names:
    p, g = ours.motions[name], truth.motions[name]
    if p.face_model != g.face_model and _shipped(p, g):
      carried.add((p.face_model, g.face_model))
      p = between_heads.carry(p, g.face_model, name)
    _check_basis(p, g, name)
    vectors = [motion_vector.from_motion(motion) for motion in (p, g)]
    length = min(map(len, vectors))
    cut += len(vectors[0]) != len(vectors[1])
    made.append(vectors[0][:length])
    clips.append({"vectors": vectors[1][:length], "valid": g.valid[:length]})
  for source, target in sorted(carried):
    _LOG.warning("%s: of '%s'; carried over to '%s'", pred, source, target)
  unavailable: dict[str, str] = {}
  first = truth.motions[names[0]]
  return {
    "num_clips": len(names),
    "frames": sum(len(vectors) for vectors in made),
    "unmatched": {
      "pred": len(ours.motions) - len(names),
      "ref": len(truth.motions) - len(names),
    },
    "cut": cut,
    "motion": _motion_scores(first, clips, made, face_model, seed, unavailable),
    "m2l": _caption_scores(ours.texts, truth.texts, names, seed, unavailable),
    "unavailable": unavailable,
  }


def _shipped(*motions: FaceMotion) -> bool:
  return {motion.face_model for motion in motions} <= set(head_file.NAMES)


def _check_basis(p: FaceMotion, g: FaceMotion, name: str) -> None:
  for what in ("face_model", "num_expression"):
    ours, theirs = getattr(p, what), getattr(g, what)
    if ours != theirs:
      raise UserError(
        f"{name}: {what} is {ours!r} in pred and {theirs!r} in ref; convert one "
        "(docs/export.md)"
      )


def _motion_scores(first, clips, made, face_model, seed: int, unavailable) -> dict:
  """Errors of the motions, with `floor`: those of motions of other clips."""
  valid = [clip["valid"] for clip in clips]
  true_NP = motion_sets.frames([clip["vectors"] for clip in clips], valid)
  if not len(true_NP):
    raise UserError("ref: no frame that was observed; track the clips again")
  face = load_model.load_for(first, face_model)
  if (face.name, face.num_expression) != (first.face_model, first.num_expression):
    unavailable["vertices"] = (
      f"the motions are {first.face_model!r} of {first.num_expression} coefficients, "
      f"face_model is {face.name!r} of {face.num_expression}"
    )
    face = None

  def of(vectors: Sequence[np.ndarray]) -> dict:
    found_NP = motion_sets.frames(vectors, valid)
    found = {"l2": motion_sets.mean_square(found_NP, true_NP), "fd": None}
    if len(true_NP) > 1:
      found["fd"] = distribution.frechet_distance(found_NP, true_NP)
    if face is not None:
      found |= reconstruction.errors(face, clips, vectors, true_NP.mean(0))
    return found

  found = of(made)
  if len(clips) > 1:
    partners = retrieval.other_partners(range(len(clips)), seed)
    wrong = [
      motion_sets.fitted(clips[i]["vectors"], len(own))
      for own, i in zip(made, partners)
    ]
    floor = of(wrong)
    found["floor"] = {k: v for k, v in floor.items() if not k.startswith("constant_")}
  return found


def _caption_scores(said, references, names, seed: int, unavailable) -> dict | None:
  known = [name for name in names if name in said and name in references]
  if not known:
    unavailable["m2l"] = f"no clip with a text in the {PROMPTS} of both folders"
    return None
  captions = [said[name]["prompt"] for name in known]
  return motion_to_language.scores(
    [references[name] for name in known], captions, seed=seed
  )
