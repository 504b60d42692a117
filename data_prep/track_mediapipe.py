"""Face landmarks of videos by mediapipe; run by `data_prep.track` in .venv-track.

Imports nothing of the project: mediapipe needs another numpy, so this file runs in an
environment of its own (requirements-track.txt) and hands over files.

Reads jobs as JSON lines from standard input, `{"video": PATH, "out": PATH}`, and
answers each with one JSON line on standard output: `{"out", "frames", "detected"}` or
`{"out", "error"}`. `out` is an npz, written under a temporary name and renamed:

  landmarks_px float32[T, 478, 3]: x, y in pixels, z in the same scale; or NaN.
  detected bool[T]; fps; width, height: of the video.
  faces_at int32[K], faces int32[K]: frames that a second, wider detector looked at, and
    how many faces it found there.
"""

import json
import os
import sys

import cv2
import numpy as np
from mediapipe.python.solutions import face_detection, face_mesh

NUM_POINTS = 478
COUNT_EVERY = 8  # frames between two counts of faces
MAX_FRAMES = 15_000  # ten minutes; more is not a clip


def landmarks(path) -> dict:
  """Tracks one video.

  Raises:
    ValueError: cannot be decoded, has no frames, or is no clip.
  """
  capture = cv2.VideoCapture(path)
  if not capture.isOpened():
    raise ValueError("cannot be decoded as a video")
  fps = capture.get(cv2.CAP_PROP_FPS)
  points, faces_at, faces = [], [], []
  # One face, tracked: the landmarks of one frame start from those of the frame before.
  with (
    face_mesh.FaceMesh(max_num_faces=1, refine_landmarks=True) as mesh,
    face_detection.FaceDetection(model_selection=1) as detector,
  ):
    while True:
      read, frame = capture.read()
      if not read:
        break
      frame = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
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
  if not points:
    raise ValueError("no frame of it can be decoded")
  if not 1 <= fps <= 1000:
    raise ValueError(f"states {fps:g} frames per second")
  points = np.stack(points)
  return {
    "landmarks_px": points,
    "detected": np.isfinite(points[:, 0, 0]),
    "fps": np.float32(fps),
    "width": np.int32(width),
    "height": np.int32(height),
    "faces_at": np.int32(faces_at),
    "faces": np.int32(faces),
  }


def write(path, arrays) -> None:
  # As `tdmm_jax.files` names them, which this environment does not have.
  temporary = os.path.join(os.path.dirname(path), f".tmp-{os.getpid()}.npz")
  try:
    with open(temporary, "wb") as stream:
      np.savez_compressed(stream, **arrays)
    os.replace(temporary, path)
  finally:
    if os.path.exists(temporary):
      os.unlink(temporary)


def main() -> None:
  answers = os.fdopen(os.dup(1), "w")  # mediapipe and OpenCV may write to stdout
  os.dup2(2, 1)
  for line in sys.stdin:
    job = json.loads(line)
    answer = {"out": job["out"]}
    try:
      arrays = landmarks(job["video"])
      write(job["out"], arrays)
      answer["frames"] = len(arrays["detected"])
      answer["detected"] = int(arrays["detected"].sum())
    except ValueError as error:
      answer["error"] = str(error)
    except OSError as error:
      answer["error"] = f"cannot be written ({error.strerror})"
      answer["fatal"] = True  # a full disk will not take the next one either
    print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
  main()
