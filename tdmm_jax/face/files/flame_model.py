"""FLAME's own files on the user's disk: the model, and what lies beside it.

| file | gives | without it |
|---|---|---|
| generic_model.pkl, flame2023.pkl | the model | - |
| FLAME_masks.pkl | regions | none; the error comes when one is asked for |
| mediapipe_landmark_embedding.npz | 105 landmarks | none; fitting says so |
| l_eyelid.npy, r_eyelid.npy | eyelids | the lids stay open (logged) |

The files are licensed: the project neither carries nor copies them.
"""

import logging
import os

import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model, motion
from tdmm_jax.face.files import safe_pickle

NUM_SHAPE, NUM_EXPRESSION = 300, 100  # how FLAME's `shapedirs` is divided
_LOG = logging.getLogger(__name__)


def load_flame(path, num_expression: int = 50, num_shape: int = NUM_SHAPE):
  """Reads a FLAME model file and the files beside it.

  Args:
    path: generic_model.pkl or flame2023.pkl. The file's name decides the basis, because
      the contents do not show it: "2023" in it means flame2023; "2020" or generic_model
      means flame2020.
    num_expression: coefficients kept, at most 100.
    num_shape: identity coefficients kept, at most 300.

  Returns:
    FaceModel.

  Raises:
    UserError: no such file, an unsafe or damaged pickle, or not a FLAME model.
  """
  path = os.fspath(path)
  name = _basis_name(path)
  if not (0 < num_expression <= NUM_EXPRESSION and 0 <= num_shape <= NUM_SHAPE):
    raise UserError(
      f"{path}: {num_expression} expression and {num_shape} identity coefficients "
      f"asked for; FLAME has {NUM_EXPRESSION} and {NUM_SHAPE}"
    )
  arrays = _read_model(path)
  dirs = arrays["shapedirs"]
  folder = os.path.dirname(path)
  num_vertices = len(arrays["v_template"])
  ids, triangles, barycentric = _read_landmarks(folder, arrays["f"])
  return face_model.from_arrays(
    v_template=arrays["v_template"],
    shapedirs=dirs[:, :, :num_shape],
    exprdirs=dirs[:, :, NUM_SHAPE : NUM_SHAPE + num_expression],
    eyelid_dirs=_read_eyelids(folder, num_vertices),
    posedirs=np.moveaxis(arrays["posedirs"], -1, 0),
    lbs_weights=arrays["weights"],
    J_regressor=arrays["J_regressor"],
    faces=arrays["f"],
    regions=_read_regions(folder, num_vertices),
    landmark_ids=ids,
    landmark_triangles=triangles,
    landmark_barycentric=barycentric,
    name=name,
  )


def _basis_name(path) -> str:
  stem = os.path.basename(path).lower()
  if "2023" in stem:
    return "flame2023"
  if "2020" in stem or stem.startswith("generic_model"):
    return "flame2020"
  raise UserError(
    f"{path}: neither generic_model.pkl nor flame2023.pkl; name the file so, for its "
    "contents do not tell which FLAME it is"
  )


def _read_model(path) -> dict[str, np.ndarray]:
  content = safe_pickle.load(path)
  if not isinstance(content, dict):
    raise UserError(f"{path}: not a FLAME model; give generic_model.pkl")
  vertices = np.shape(content.get("v_template", ()))[:1]
  V = vertices[0] if vertices else 0
  shapes = {
    "v_template": (V, 3),
    "shapedirs": (V, 3, NUM_SHAPE + NUM_EXPRESSION),
    "posedirs": (V, 3, face_model.NUM_POSE_FEATURES),
    "J_regressor": (5, V),
    "weights": (V, 5),
    "kintree_table": (2, 5),
    "f": (len(content["f"]) if np.ndim(content.get("f")) else 0, 3),
  }
  for key, shape in shapes.items():
    if key not in content:
      raise UserError(
        f"{path}: not a FLAME model, lacks '{key}'; give generic_model.pkl"
      )
    content[key] = array = np.asarray(content[key])
    if array.shape != shape or array.dtype.kind not in "fiu":
      raise UserError(
        f"{path}: '{key}' has shape {list(array.shape)}, FLAME's is {list(shape)}; "
        "give FLAME's generic_model.pkl"
      )
    if not np.isfinite(array).all():
      raise UserError(f"{path}: '{key}' has NaNs; download the file again")
  parents = content["kintree_table"][0].astype(np.int64)
  if tuple(parents[1:]) != face_model.PARENTS[1:]:
    raise UserError(f"{path}: joints {parents.tolist()} are not FLAME's; another model")
  if content["f"].size and not 0 <= content["f"].min() <= content["f"].max() < V:
    raise UserError(f"{path}: 'f' names vertices that are not there; download it again")
  if np.abs(content["weights"].sum(axis=1) - 1).max() > 1e-3:
    raise UserError(f"{path}: 'weights' do not sum to 1; download the file again")
  return {key: content[key] for key in shapes}


def _read_regions(folder, num_vertices) -> dict[str, np.ndarray]:
  path = os.path.join(folder, "FLAME_masks.pkl")
  if not os.path.exists(path):
    return {}
  masks = safe_pickle.load(path)
  needed = ("lips", "face", "eye_region", "forehead", "left_eyeball", "right_eyeball")
  if not isinstance(masks, dict) or any(name not in masks for name in needed):
    raise UserError(f"{path}: not FLAME's masks; download the file again")
  regions = {str(name): np.unique(ids) for name, ids in masks.items()}
  for name, ids in regions.items():
    if ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= num_vertices:
      raise UserError(
        f"{path}: region '{name}' names vertices the model of {num_vertices} lacks; "
        "take masks and model from the same FLAME"
      )
  regions["upper_face"] = np.union1d(regions["eye_region"], regions["forehead"])
  regions["eyeballs"] = np.union1d(regions["left_eyeball"], regions["right_eyeball"])
  return regions


def _read_landmarks(folder, faces):
  """mediapipe ids [L], triangles [L, 3] and barycentric weights [L, 3]."""
  path = os.path.join(folder, "mediapipe_landmark_embedding.npz")
  if not os.path.exists(path):
    return np.zeros(0, int), np.zeros((0, 3), int), np.zeros((0, 3))
  try:
    archive = motion.read_arrays(path)
    ids = archive["landmark_indices"]
    triangles = faces[archive["lmk_face_idx"]]
    barycentric = archive["lmk_b_coords"]
    if barycentric.shape != triangles.shape or ids.shape != triangles.shape[:1]:
      raise ValueError("lengths differ")
    if ids.min() < 0 or ids.max() >= 478 or not np.isfinite(barycentric).all():
      raise ValueError("not mediapipe's numbers")
  except Exception as error:  # a file of other things raises many kinds
    raise UserError(
      f"{path}: is damaged or does not fit the model ({type(error).__name__}); "
      "download it again"
    ) from error
  return ids, triangles, barycentric


def _read_eyelids(folder, num_vertices) -> np.ndarray:
  """Offsets at closed, float[V, 3, 2]."""
  dirs = np.zeros((num_vertices, 3, 2))
  for side, file in enumerate(("l_eyelid.npy", "r_eyelid.npy")):
    path = os.path.join(folder, file)
    if not os.path.exists(path):
      _LOG.warning("%s: not there; this eyelid will stay open", path)
      continue
    try:
      with open(path, "rb") as stream:
        offsets = motion.read_array(stream, os.path.getsize(path))
      dirs[:, :, side] = offsets
    except Exception as error:
      raise UserError(
        f"{path}: is damaged or not [{num_vertices}, 3]; download it again"
      ) from error
    if not np.isfinite(offsets).all():
      raise UserError(f"{path}: has NaNs; download it again")
  return dirs
