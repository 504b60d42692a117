"""Real clips: whose they are, what they were to show, and their fits, kept."""

import itertools
import json
import pathlib
from collections.abc import Sequence

import tqdm

from tdmm_jax.errors import UserError
from tdmm_jax.face import motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import fit_landmarks, fit_person, landmarks
from tdmm_jax.face.motion import FaceMotion

ACTORS, PROMPTED = "mead_*", "open3dfacevid_clips"
# MEAD's word -> the lexicon's label; the label's family is the truth.
LABELS = {
  "neutral": "neutral",
  "happy": "happy",
  "surprised": "surprised",
  "sad": "sad",
  "angry": "angry",
  "fear": "afraid",
  "disgusted": "disgusted",
  "contempt": "contemptuous",
}
# Each clip alone; an actor's clips as one person's; and their neutral clip at rest.
ALONE, PERSON, NEUTRAL = "alone", "person", "neutral"


def read_clips(folder: pathlib.Path) -> list[dict]:
  """All clips of `folder`: set, name, file, and the label or the prompt.

  Raises:
    UserError: there are none.
  """
  clips = []
  for actor in sorted(folder.glob(ACTORS)):
    for path in sorted(actor.glob("*.landmarks.npz")):
      emotion = (path.name.split("_") + 3 * [""])[2]
      if emotion not in LABELS:
        raise UserError(f"{path}: no emotion of {', '.join(LABELS)} in its third place")
      clips.append({"set": actor.name, "name": emotion, "file": path})
  prompts = folder / PROMPTED / "prompts.jsonl"
  if prompts.is_file():
    for line in prompts.read_text().splitlines():
      row = json.loads(line)
      clip = {"set": PROMPTED, "name": row["clip_id"], "prompt": row["prompt"]}
      clips.append(clip | {"file": folder / PROMPTED / row["landmarks"]})
  if not clips:
    raise UserError(f"{folder}: no {ACTORS}/ and no {PROMPTED}/; name another folder")
  return clips


def fit(
  clips: Sequence[dict], face: FaceModel, work: pathlib.Path, how: str = NEUTRAL
) -> list[FaceMotion]:
  """The clips' motions; those that an earlier call has left in `work` are read.

  Args:
    how: ALONE, PERSON or NEUTRAL.
  """
  work = work / f"fits-{face.name}-{face.version}-{fit_landmarks.VERSION}-{how}"
  work.mkdir(parents=True, exist_ok=True)
  path = lambda clip: work / f"{clip['set']}-{clip['name']}.npz"
  missing = [clip for clip in clips if not path(clip).is_file()]
  bar = tqdm.tqdm(total=len(missing), desc="fitting", unit="clip", disable=not missing)
  for name, some in itertools.groupby(missing, key=lambda clip: clip["set"]):
    person = None
    if name != PROMPTED and how != ALONE:
      bar.set_postfix_str(f"{name}: who it is")
      actor = [clip for clip in clips if clip["set"] == name]
      person = _person(actor, face, how == NEUTRAL)
    for clip in some:
      bar.set_postfix_str(f"{name} {clip['name']}")
      track = landmarks.read_landmarks(clip["file"])
      made, _ = fit_landmarks.fit_landmarks(face, **track, person=person)
      motion.save_motion(path(clip), made)
      bar.update()
  bar.close()
  return [motion.load_npz(path(clip)) for clip in clips]


def _person(clips, face, with_neutral: bool):
  tracks = [landmarks.read_landmarks(clip["file"]) for clip in clips]
  resting = [
    slice(0, len(track["detected"]))
    if with_neutral and clip["name"] == "neutral"
    else None
    for clip, track in zip(clips, tracks, strict=True)
  ]
  return fit_person.fit_person(face, tracks, resting)
