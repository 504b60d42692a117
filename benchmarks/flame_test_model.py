"""A model file in FLAME's format that anyone may have: the default head, rewritten.

FLAME's own file is licensed. This one has its keys, shapes and joints, and the default
head's vertices, skinning and lids. Its first 50 expression directions are the head's;
50 more are random mixtures of them at a quarter of their size, so that all of FLAME's
100 move the face. What a coefficient of a real performance meant in FLAME it does not
mean here.
"""

import pathlib
import pickle

import numpy as np
from scipy import sparse

from tdmm_jax.face.files import flame_model
from tdmm_jax.face.head import build, rig

_KINTREE = np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]])  # of generic_model.pkl


def write(folder) -> pathlib.Path:
  """Writes flame2023.pkl and its eyelids into a folder; the path of the model."""
  folder, head = pathlib.Path(folder), build.build_default_head()
  shapedirs = np.asarray(head.shapedirs)
  width = flame_model.NUM_SHAPE - head.num_shape
  content = {
    "v_template": np.asarray(head.v_template),
    "shapedirs": np.concatenate(
      [np.pad(shapedirs, ((0, 0), (0, 0), (0, width))), _expressions(head)], axis=2
    ),
    "posedirs": np.moveaxis(np.asarray(head.posedirs), 0, -1),
    "J_regressor": sparse.csc_matrix(rig.joint_regressor(build.anatomy())),
    "weights": np.asarray(head.lbs_weights),
    "kintree_table": _KINTREE,
    "f": head.faces.astype(np.uint32),
    "bs_style": "lbs",
  }
  for side, name in enumerate(("l_eyelid.npy", "r_eyelid.npy")):
    np.save(folder / name, np.asarray(head.eyelid_dirs)[:, :, side])
  path = folder / "flame2023.pkl"
  path.write_bytes(pickle.dumps(content, protocol=2))
  return path


def _expressions(head) -> np.ndarray:
  """float32[V, 3, 100], m per unit coefficient."""
  own = np.asarray(head.exprdirs)
  more = flame_model.NUM_EXPRESSION - head.num_expression
  rng = np.random.default_rng(0)
  mixing = rng.normal(size=(head.num_expression, more)) / head.num_expression**0.5
  return np.concatenate([own, own @ np.float32(mixing / 4)], axis=2)
