"""Face landmarks of videos by mediapipe; run by `data_prep.track` in .venv-track.

Of the project it imports `tdmm_jax/render/film.py` alone, which needs nothing else of
it: mediapipe needs another numpy, so this file runs in an environment of its own
(requirements-track.txt) and hands over files.

Reads jobs as JSON lines from standard input, `{"video": PATH, "out": PATH}`, and
answers each with one JSON line on standard output: `{"out", "frames", "detected"}` or
`{"out", "error", "reason"}`. `out` is an npz, written under a temporary name and
renamed. Its frames are at an even pace, whatever pace the video's are at:

  landmarks_px float32[T, 478, 3]: x, y in pixels of the upright picture, z in the same
    scale; or NaN.
  detected bool[T]: false also where the video has no frame for longer than
    `film.GAP_S`; fps; width, height: of the upright picture.
  faces_at int32[K], faces int32[K]: frames that a second, wider detector looked at, and
    how many faces it found there.
"""

import json
import os
import pathlib
import secrets
import sys

import numpy as np
from mediapipe.python.solutions import face_detection, face_mesh

sys.path.append(os.fspath(pathlib.Path(__file__).parents[1] / "tdmm_jax" / "render"))
import film

NUM_POINTS = 478
COUNT_EVERY = 8  # frames between two counts of faces
MAX_FRAMES = 15_000  # ten minutes; more is not a clip


class CutShortError(ValueError):
  """The video ends before it should: half a download."""


def landmarks(path) -> dict:
  """Tracks one video.

  Raises:
    ValueError: cannot be decoded, has no frames, is cut short, or is no clip.
  """
  source = film.Film(path)
  points, faces_at, faces = [], [], []
  # One face, tracked: the landmarks of one frame start from those of the frame before.
  with (
    face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as mesh,
    face_detection.FaceDetection(model_selection=1) as detector,
  ):
    for _, frame in source:
      height, width = frame.shape[:2]
      if len(points) % COUNT_EVERY == 0:
        faces_at.append(len(points))
        faces.append(len(detector.process(frame).detections or ()))
      found = mesh.process(frame).multi_face_landmarks
      here = np.full((NUM_POINTS, 3), np.nan, np.float32)
      if found:
        here[:] = [(p.x * width, p.y * height, p.z * width) for p in found[0].landmark]
      points.append(here)
      if len(points) > MAX_FRAMES:
        raise ValueError(f"is longer than {MAX_FRAMES} frames; cut it into clips")
  if source.cut_short:
    raise CutShortError(
      f"is cut short: {source.missing_s:.1f} s of it are missing; download it again"
    )
  points, times_s = np.stack(points), source.times_s
  fps, even_s, gap = film.pace(times_s, source.rate)
  placed, detected = film.at_times(
    points, np.isfinite(points[:, 0, 0]), times_s, even_s, gap
  )
  faces_at = np.round(times_s[faces_at] * fps)
  return {
    "landmarks_px": placed,
    "detected": detected,
    "fps": np.float32(fps),
    "width": np.int32(width),
    "height": np.int32(height),
    "faces_at": np.int32(faces_at),
    "faces": np.int32(faces),
  }


def write(path, arrays) -> None:
  # As `tdmm_jax.files` names them, which this environment does not have.
  temporary = os.path.join(os.path.dirname(path), f".tmp-{secrets.token_hex(6)}.npz")
  try:
    with open(temporary, "wb") as stream:
      np.savez_compressed(stream, **arrays)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.unlink(temporary)


def main() -> None:
  answers = os.fdopen(os.dup(1), "w")  # mediapipe and FFmpeg may write to stdout
  os.dup2(2, 1)
  for line in sys.stdin:
    job = json.loads(line)
    answer = {"out": job["out"]}
    try:
      arrays = landmarks(job["video"])
    except Exception as error:  # one video's fault must not end the others' work
      answer["error"] = str(error) or type(error).__name__
      cut = isinstance(error, CutShortError)
      answer["reason"] = "cut_short" if cut else "undecodable"
    else:
      answer["frames"] = len(arrays["detected"])
      answer["detected"] = int(arrays["detected"].sum())
      try:
        write(job["out"], arrays)
      except OSError as error:
        answer["error"] = f"cannot be written ({error.strerror})"
        answer["fatal"] = True  # a full disk will not take the next one either
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  main()
