"""The studio's motions as files that its pages read, in one temporary folder.

Shape letters: T frames, V vertices.
"""

import collections
import dataclasses
import json
import pathlib
import re
import secrets
import threading
import zipfile

import numpy as np

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.render import looks

MAX_CLIPS = 64  # about 3 MB each on disk; the oldest goes first
_NEUTRAL_SPAN = {"°": 6.0, "mm": 2.0, "": 1.0}  # a still face draws a flat line


@dataclasses.dataclass(frozen=True)
class Clip:
  """One motion, with its folder.

  Attributes:
    id: unguessable; the folder's name.
    motion: FaceMotion.
    title: what was asked for.
    caption: what the model reads in it.
    tokens: int[T]; empty if the motion has none.
    folder: holds clip.json and clip.bin for the viewer, and files to download.
  """

  id: str
  motion: motion_lib.FaceMotion
  title: str
  caption: str
  tokens: np.ndarray
  folder: pathlib.Path

  def path(self, suffix: str) -> pathlib.Path:
    """The path of a file to download, named after the motion: she_smiles_1f3c.npz"""
    words = re.sub(r"[^a-z0-9]+", "_", self.title.lower())[:40].strip("_") or "motion"
    return self.folder / f"{words}_{self.id[:4]}{suffix}"

  def files(self) -> list[pathlib.Path]:
    """Those that were written."""
    return sorted(self.folder.glob(f"{self.path('').name}.*"))

  def save_npz(self) -> str:
    """Writes the motion as npz; its path."""
    self.motion.save(self.path(".npz"))
    return str(self.path(".npz"))


class Shelf:
  """Keeps the newest clips. Safe to use from several threads."""

  def __init__(self, folder, face: face_lib.FaceModel, num_codes: int):
    self.folder, self.face = pathlib.Path(folder), face
    self.num_codes = num_codes
    self.clips: collections.OrderedDict[str, Clip] = collections.OrderedDict()
    self.kept: list[str] = []  # ids of clips that are never dropped
    self.lock = threading.Lock()
    self.folder.mkdir(parents=True, exist_ok=True)
    (self.folder / "head.bin").write_bytes(head_bytes(face))

  def put(self, motion, title: str, caption: str, tokens=()) -> Clip:
    """Writes what the viewer needs and keeps the clip; drops the oldest."""
    clip_id = secrets.token_hex(16)
    folder = self.folder / clip_id
    folder.mkdir()
    clip = Clip(clip_id, motion, title, caption, np.asarray(tokens, int), folder)
    vertices = face_lib.motion_vertices(self.face, motion)
    low, high = vertices.min((0, 1)), vertices.max((0, 1))
    step = np.maximum(high - low, 1e-6) / 65535  # micrometres
    points = np.round((vertices - low) / step).astype("<u2")
    (folder / "clip.bin").write_bytes(points.tobytes())
    about = {
      "title": title,
      "caption": caption,
      "fps": motion.fps,
      "frames": motion.num_frames,
      "low": low.tolist(),
      "step": step.tolist(),
      "tokens": clip.tokens.tolist(),
      "num_codes": self.num_codes,
      "curves": curves(self.face, motion),
    }
    (folder / "clip.json").write_text(json.dumps(about))
    with self.lock:
      self.clips[clip_id] = clip
      for kept in self.kept:
        self.clips.move_to_end(kept)
      old = [
        self.clips.popitem(last=False)[1] for _ in range(len(self.clips) - MAX_CLIPS)
      ]
    for gone in old:
      for path in gone.folder.iterdir():
        path.unlink()
      gone.folder.rmdir()
    return clip

  def get(self, clip_id: str) -> Clip | None:
    """The clip, or None if it is unknown or was dropped."""
    with self.lock:
      return self.clips.get(clip_id)


def head_bytes(face: face_lib.FaceModel) -> bytes:
  """What all clips share: uint32 V, F; float32 albedo[V]; uint32 faces[F, 3]."""
  faces = np.asarray(face.faces, "<u4")
  albedo = looks.vertex_looks(face)[:, 0].astype("<f4")
  sizes = np.array([len(albedo), len(faces)], "<u4")
  return sizes.tobytes() + albedo.tobytes() + faces.tobytes()


def curves(face: face_lib.FaceModel, motion) -> list[dict]:
  """The curves to show over time: [{name, unit, low, high, values[T]}]."""
  still = motion_lib.zeros(1, motion.face_model, motion.num_expression)
  at = lambda m: face_lib.motion_vertices(face, m, head_fixed=True, identity=False)
  region = np.asarray(face.regions["face"])
  moved = at(motion)[:, region] - at(still)[:, region]
  head = np.degrees(motion_lib.world_head_rotation(motion))
  rows = (
    ("expression", "mm", 1e3 * np.linalg.norm(moved, axis=-1).mean(-1)),
    ("jaw", "°", np.degrees(motion.jaw_pose[:, 0])),
    ("eyelids", "", motion.eyelids.mean(-1)),
    ("head nod", "°", head[:, 0]),
    ("head turn", "°", head[:, 1]),
    ("head tilt", "°", head[:, 2]),
  )
  found = []
  for name, unit, values in rows:
    low, high = float(values.min()), float(values.max())
    if unit == "":
      low, high = 0.0, 1.0
    elif high - low < _NEUTRAL_SPAN[unit]:
      middle = (low + high) / 2
      low, high = (middle + side * _NEUTRAL_SPAN[unit] / 2 for side in (-1, 1))
    rounded = [round(float(value), 3) for value in values]
    found.append(
      {"name": name, "unit": unit, "low": low, "high": high, "values": rounded}
    )
  return found


def pack(clips: list[Clip], path: pathlib.Path) -> pathlib.Path:
  """All files of clips in one zip, and what was asked, read and written in each."""
  with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
    for clip in clips:
      text = {"asked": clip.title, "read_back": clip.caption}
      text["tokens"] = clip.tokens.tolist()
      archive.writestr(clip.path(".json").name, json.dumps(text, indent=2))
      for file in clip.files():
        archive.write(file, file.name)
  return path
