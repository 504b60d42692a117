"""What a head looks like, vertex by vertex: skin, lips, brows, teeth, eyes.

Shapes: V vertices, N numbers a vertex.
"""

import numpy as np

# Region -> (albedo, gloss); a later row wins where regions share a vertex.
SKIN = (0.46, 0.12)
REGION_LOOKS = {
  "lips": (0.36, 0.22),
  "eyebrows": (0.20, 0.0),
  "inner_mouth": (0.08, 0.05),
  "tongue": (0.26, 0.15),
  "teeth": (0.62, 0.30),
  "eyeballs": (0.80, 0.9),
  "iris": (0.20, 0.9),
  "pupil": (0.02, 0.9),
}


def find_irises(head_V3: np.ndarray, eyeball_ids: np.ndarray) -> dict[str, np.ndarray]:
  """Iris and pupil of eyeballs that are not told apart (FLAME's), by the angle to +z.

  Without them a head has no gaze. The neutral head looks straight ahead.
  """
  balls_N3 = head_V3[eyeball_ids]
  left = balls_N3[:, 0] > balls_N3[:, 0].mean()
  angle_N = np.empty(len(eyeball_ids))
  for side in (left, ~left):
    out_N3 = balls_N3[side] - (balls_N3[side].min(0) + balls_N3[side].max(0)) / 2
    length_N = np.linalg.norm(out_N3, axis=1)
    cosine_N = out_N3[:, 2] / np.maximum(length_N, 1e-9)
    angle_N[side] = np.degrees(np.arccos(np.clip(cosine_N, -1, 1)))
  return {"iris": eyeball_ids[angle_N < 27], "pupil": eyeball_ids[angle_N < 11]}


def by_region(face_model, skin, looks: dict[str, tuple]) -> np.ndarray:
  """float32[V, N]: what each vertex looks like, from the model's regions.

  Args:
    face_model: anything with `v_template` and `regions`.
    skin: N numbers, where no region says otherwise.
    looks: region -> N numbers; a later one wins where two share a vertex.
  """
  head_V3 = np.asarray(face_model.v_template, np.float32)
  regions = dict(face_model.regions or {})
  if "eyeballs" in regions and "iris" not in regions and len(regions["eyeballs"]):
    regions.update(find_irises(head_V3, np.asarray(regions["eyeballs"])))
  looks_VN = np.tile(np.array(skin, np.float32), (head_V3.shape[0], 1))
  for name, look in looks.items():
    if name in regions:
      looks_VN[np.asarray(regions[name], np.int64)] = look
  return looks_VN


def vertex_looks(face_model) -> np.ndarray:
  """Albedo and gloss of each vertex, float32[V, 2]."""
  return by_region(face_model, SKIN, REGION_LOOKS)
