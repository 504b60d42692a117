"""`tdmm fit`: meshes, ARKit curves, landmarks or a video become a motion."""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import arkit, head_file, motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.files import arkit_csv
from tdmm_jax.face.fit import fit_landmarks, fit_person, fit_vertices, landmarks
from tdmm_jax.face.motion import FaceMotion

MESHES = (".obj", ".ply")
VIDEOS = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif")
_NO_TRACKER = "the tracker is not installed; `make track` does it"
_UNTRACKED = {  # data_prep.track's reasons, for people
  "no_face": "no face is seen in it",
  "undecodable": "it cannot be read as a video",
  "bad_landmarks": "the face is not seen well enough",
  "cut_short": "it was cut short",
  "timeout": "it takes too long to decode",
  "died": "tracking it ran out of memory",
}


def fit_source(
  sources: Sequence[str | os.PathLike],
  face: FaceModel,
  face_model: str = head_file.DEFAULT,
  fps: float | None = None,
  scale: float = 1.0,
  identity: bool = True,
  neutral: str | None = None,
  person: Sequence[str | os.PathLike] = (),
) -> tuple[FaceMotion, str]:
  """Fits a motion to meshes, ARKit curves, landmarks or a video.

  Args:
    sources: a folder of meshes, mesh files in their order, one .npz or .npy of
      vertices [T, V, 3], an ARKit .csv, an .npz of mediapipe landmarks, or one video.
    face: the model to fit.
    face_model: its name or file, for the tracker's process.
    fps: of meshes (25 if not given), or of a CSV that does not tell.
    scale: metres per unit of the meshes.
    identity: fit the meshes' identity.
    neutral: of landmarks: frames "A-B" (A to B - 1) of the clip in which the face
      rests, or another landmark file of the same person, at rest.
    person: more landmark files of the same person.

  Returns:
    FaceMotion at 25 fps, and a sentence on how well it fits.

  Raises:
    UserError: there is nothing to fit, or a file is broken.
  """
  first = pathlib.Path(sources[0])
  suffix = first.suffix.lower()
  if not first.exists():
    raise UserError(f"{first}: no such file or folder; check the name")
  if suffix == ".npz" and "landmarks_px" in motion.read_arrays(first):
    return _fit_landmarks(first, face, neutral, person)
  if neutral is not None or person:
    raise UserError(
      f"{first}: a neutral face and clips of one person go with landmark files; "
      "`python -m data_prep.track VIDEO --out DIR` leaves them in DIR/landmarks"
    )
  if suffix == ".csv":
    if face.name != head_file.DEFAULT:
      raise UserError(f"{first}: ARKit curves are read on {head_file.DEFAULT} only")
    made = arkit.to_motion(arkit_csv.read_csv(first, fps))
    return motion.resample(made), "ARKit's shapes as defined on the default head"
  if suffix in VIDEOS:
    made = track_video(first, face_model)
    return made, "tracked with mediapipe, fitted to its landmarks"
  vertices = _read_vertices([pathlib.Path(source) for source in sources], face) * scale
  made, error = fit_vertices.fit_vertices(
    face, vertices, 25.0 if fps is None else fps, identity
  )
  return motion.resample(made), (
    f"vertices are off by {error['error_mm']:.3f} mm in the mean, "
    f"{error['error_max_mm']:.3f} mm at most"
  )


def _fit_landmarks(path, face, neutral, person) -> tuple[FaceMotion, str]:
  """A landmark file's motion, and how sure the fit is."""
  read = landmarks.read_landmarks
  track = read(path)
  frames, others = None, [read(other) for other in person]
  resting = [None] * len(others)
  if neutral is not None:
    if (match := re.fullmatch(r"(\d+)-(\d+)", neutral)) is not None:
      frames = slice(int(match[1]), int(match[2]))
      length = len(track["detected"])
      if not frames.start < frames.stop <= length:
        raise UserError(
          f"{path}: no neutral frames {neutral} in its {length} frames; give A-B with "
          "A below B, within the clip"
        )
    else:
      others.append(read(neutral))
      resting.append(slice(0, len(others[-1]["detected"])))
  known = fit_person.fit_person(face, [track, *others], [frames, *resting])
  made, found = fit_landmarks.fit_landmarks(face, **track, neutral=frames, person=known)
  said = (
    f"landmarks are off by {found['landmark_error']:.4f} of the outer-canthi distance"
  )
  if found["held"]:
    held = ", ".join(
      f"{unit} {level:.2f} ± {deviation:.2f}"
      for unit, (level, deviation) in list(found["held"].items())[:3]
    )
    said += f"; the face never rests in these ({held})"
    said += (
      "" if found["rest_known"] else ", or it is made so: name neutral frames to know"
    )
  return made, said


def _read_vertices(paths, face) -> np.ndarray:
  """float32[T, V, 3] of one array file, a folder of meshes, or mesh files."""
  first = paths[0]
  if first.suffix.lower() in (".npz", ".npy"):
    return _read_array(first)
  if first.is_dir():
    natural = lambda path: [
      int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)
    ]
    found = [path for path in first.iterdir() if path.suffix.lower() in MESHES]
    paths = sorted(found, key=natural)
  if not paths or any(path.suffix.lower() not in MESHES for path in paths):
    raise UserError(
      f"{first}: nothing to fit; give .obj or .ply meshes or a folder of them, "
      "vertices as .npz, an ARKit .csv, landmarks as .npz, or a video"
    )
  frames = []
  for path in paths:
    points = _read_obj(path) if path.suffix.lower() == ".obj" else _read_ply(path)
    if points.shape != (face.num_vertices, 3):
      raise UserError(
        f"{path}: {len(points)} vertices, but {face.name} has {face.num_vertices}; "
        "only meshes of the face model's own topology can be fitted"
      )
    frames.append(points)
  return np.stack(frames)


def _read_array(path) -> np.ndarray:
  if path.suffix.lower() == ".npz":
    arrays = motion.read_arrays(path)
    found = arrays.get("vertices", arrays.get("verts"))
  else:
    found = motion.read_npy(path, "export it again")
  if found is None or found.ndim not in (2, 3) or found.dtype.kind != "f":
    raise UserError(f"{path}: no array 'vertices' of shape [frames, vertices, 3]")
  return found.reshape(len(found), -1, 3) if found.shape[-1] % 3 == 0 else found


def _read_obj(path) -> np.ndarray:
  """Vertices in the file's order; a mesh library may split them along seams."""
  try:
    lines = path.read_text(errors="replace").splitlines()
    rows = [line.split()[1:4] for line in lines if line.startswith("v ")]
    return np.array(rows, np.float32).reshape(-1, 3)
  except (OSError, ValueError) as error:
    raise UserError(f"{path}: cannot be read as OBJ ({error}); export again") from error


def _read_ply(path) -> np.ndarray:
  try:
    import trimesh
  except ImportError as error:
    raise UserError(
      f"{path}: PLY needs trimesh; pip install 'tdmm-jax[export]'"
    ) from error
  try:
    mesh = trimesh.load(path, process=False, maintain_order=True)
    return np.asarray(mesh.vertices, np.float32)
  except Exception as error:  # trimesh raises whatever its readers meet
    raise UserError(f"{path}: cannot be read as PLY ({error}); export again") from error


def no_tracker() -> str | None:
  """Why no video can be tracked here, in a sentence; None where one can."""
  ask = "from data_prep import track_landmarks; track_landmarks.environment_python()"
  done = subprocess.run([sys.executable, "-c", ask], capture_output=True)
  return None if done.returncode == 0 else f"{_NO_TRACKER}."


def track_video(
  path: str | os.PathLike,
  face_model: str = head_file.DEFAULT,
  timeout_s: float | None = None,
) -> FaceMotion:
  """The motion of the one face in a video, at 25 fps.

  Through data_prep's tracker in a process of its own: this package does not import it.

  Args:
    path: what FFmpeg reads.
    face_model: name or file of the model to fit.
    timeout_s: when to give up.

  Raises:
    UserError: the tracker is not installed, takes too long, or finds no face.
  """
  with tempfile.TemporaryDirectory() as folder:
    command = [sys.executable, "-m", "data_prep.track", str(path), "--out", folder]
    try:
      done = subprocess.run(
        [*command, "--face_model", face_model],
        capture_output=True,
        text=True,
        timeout=timeout_s,
      )
    except subprocess.TimeoutExpired as error:
      raise UserError(
        f"{path}: not tracked within {timeout_s:g} s; cut the video"
      ) from error
    rows = pathlib.Path(folder, "tracks.jsonl")
    if not rows.is_file():  # not so much as tried
      last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no message"]
      if "make track" in last[0]:  # its own words are about its own options
        last = [_NO_TRACKER]
      raise UserError(f"{path}: not tracked ({last[0].strip()})")
    row = json.loads(rows.read_text().splitlines()[0])
    if row["status"] != "tracked":
      why = _UNTRACKED.get(row["reason"], row["reason"])
      raise UserError(
        f"{path}: not tracked ({why}); give a clear video of one face that looks at "
        "the camera"
      )
    return motion.load_npz(pathlib.Path(folder, row["motion"]))
