"""Makes `face/people.npz`: how people's faces differ and move, at mediapipe's points.

    python -m tdmm_jax.face.head.people_table DATA

DATA holds `ict_facekit/ict_facekit_light.npz`, the linear model of light-stage scans of
USC's ICT-FaceKit (MIT), and `mediapipe_canonical/canonical_face_model.obj`, mediapipe's
mean face (Apache-2.0). What is written are figures at 468 points: the mean face, its
principal deviations, and the displacement of each expression shape. The scans' meshes
are not.

Shape letters: V vertices of ICT's face, N mediapipe's points (468).
"""

import pathlib
import sys

import numpy as np
from scipy.interpolate import RBFInterpolator

from tdmm_jax import files

CANTHI_MM = 90.0  # between the outer canthi: the default head's
_NUM_FACE = 9409  # vertices of ICT's face; those behind are head and neck
_NUM_MODES = 60
# mediapipe's number of each of the classic landmarks 17 .. 67, and the chin's
_CLASSIC = (
  *(70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305),
  *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380, 61, 39, 37, 0, 267, 269),
  *(291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
)
_CHIN, _CHIN_CLASSIC = 152, 8
_LOWER_LIP = (
  *(17, 84, 181, 91, 146, 314, 405, 321, 375, 14, 87, 178, 88, 95, 317, 402, 318, 324),
)
_UPPER_LIP = (
  *(0, 37, 39, 40, 185, 267, 269, 270, 409, 13, 82, 81, 80, 191, 312, 311, 310, 415),
)
_UPPER_LID = (157, 158, 159, 160, 161, 173, 246, 384, 385, 386, 387, 388, 398, 466)
_LOWER_LID = (154, 153, 145, 144, 163, 7, 155, 381, 380, 374, 373, 390, 249, 382)
_CANTHI = (33, 263)


def register(neutral_V3, deltas, canonical_N3, classic) -> np.ndarray:
  """int[N]: ICT's vertex at each of mediapipe's points.

  The mean face is bent onto ICT's through the classic landmarks; then the nearest
  vertex counts, of the right lip and the right lid, which their motion tells.

  Args:
    neutral_V3: cm. deltas: shape's name -> float[V, 3], cm.
    canonical_N3: cm. classic: int[68], vertex ids.
  """
  points = np.array([*_CLASSIC, _CHIN])
  vertices = np.array([*classic[17:], classic[_CHIN_CLASSIC]])
  warp = RBFInterpolator(
    canonical_N3[points],
    neutral_V3[vertices],
    kernel="thin_plate_spline",
    smoothing=0.02,
  )
  target_N3 = warp(canonical_N3)
  length = lambda name: np.linalg.norm(deltas[name], axis=-1)
  opens, closes = length("jawOpen"), length("eyeBlink_L") + length("eyeBlink_R")
  across = np.abs(neutral_V3[:, 0]) / abs(neutral_V3[classic[48], 0])
  allowed = {  # cm: half way between the lips, nearer to each other at the corners
    _LOWER_LIP: opens > 1.3 + 0.6 * across**2,
    _UPPER_LIP: opens < 1.3 + 0.9 * across**2,
    _UPPER_LID: closes > 0.25,
    _LOWER_LID: closes < 0.25,
  }
  found = dict(zip(points.tolist(), vertices.tolist(), strict=True))
  for i, target in enumerate(target_N3):
    distance = np.linalg.norm(neutral_V3 - target, axis=-1)
    for group, right in allowed.items():
      if i in group:
        distance = np.where(right, distance, np.inf)
    found.setdefault(i, int(distance.argmin()))
  return np.array([found[i] for i in range(len(canonical_N3))])


def _without_pose(fields_KN3, mean_N3):
  """The fields without what turning, moving and scaling the whole face would do."""
  centred = mean_N3 - mean_N3.mean(0)
  rigid = [np.tile(axis, (len(centred), 1)) for axis in np.eye(3)]
  rigid += [np.cross(axis, centred) for axis in np.eye(3)] + [centred]
  basis, _ = np.linalg.qr(np.reshape(rigid, (7, -1)).T)
  flat = fields_KN3.reshape(len(fields_KN3), -1)
  return (flat - (flat @ basis) @ basis.T).reshape(fields_KN3.shape)


def _canthi(points_N3):
  return np.linalg.norm(points_N3[_CANTHI[0]] - points_N3[_CANTHI[1]])


def table(data: pathlib.Path) -> dict[str, np.ndarray]:
  """The arrays of `people.npz`, see `tdmm_jax.face.people`."""
  ict = np.load(data / "ict_facekit" / "ict_facekit_light.npz")
  lines = (data / "mediapipe_canonical" / "canonical_face_model.obj").read_text()
  rows = [line.split()[1:4] for line in lines.splitlines() if line.startswith("v ")]
  canonical_N3 = np.array(rows, float)
  face = lambda key: ict[key][..., :_NUM_FACE, :].astype(float)
  names = [str(name) for name in ict["expression_names"]]
  deltas = dict(zip(names, face("expression_deltas_cm"), strict=True))
  neutral_V3 = face("neutral_cm")
  vertices = register(neutral_V3, deltas, canonical_N3, ict["multipie68"])
  ict_mm = CANTHI_MM / _canthi(neutral_V3[vertices])
  mean_mm = canonical_N3 * (CANTHI_MM / _canthi(canonical_N3))
  identity = _without_pose(
    face("identity_deltas_cm")[:, vertices] * ict_mm, neutral_V3[vertices] * ict_mm
  )
  _, size, modes = np.linalg.svd(
    identity.reshape(len(identity), -1), full_matrices=False
  )
  share = (size[:_NUM_MODES] ** 2).sum() / (size**2).sum()
  print(f"{_NUM_MODES} modes hold {share:.3f} of the variance")
  modes = (size[:, None] * modes)[:_NUM_MODES].reshape(_NUM_MODES, -1, 3)
  kept = [name for name in names if not name.startswith(("eyeLook", "Pupil"))]
  shapes = np.stack([deltas[name][vertices] for name in kept]) * ict_mm
  return {
    "mean_mm": mean_mm.astype(np.float32),
    "modes_mm": modes.astype(np.float16),
    "shape_names": np.array(kept),
    "shapes_mm": shapes.astype(np.float16),
  }


def main() -> None:
  path = pathlib.Path(__file__).parents[1] / "people.npz"
  made = table(pathlib.Path(sys.argv[1]))
  with files.then_rename(path) as temporary, open(temporary, "wb") as file:
    np.savez_compressed(file, **made)
  print(path)


if __name__ == "__main__":
  main()
