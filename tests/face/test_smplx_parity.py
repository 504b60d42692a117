"""Our forward map against `smplx.lbs.lbs`, in the peers' own environment."""

import pathlib
import subprocess

import numpy as np
import pytest
import random_head

from tdmm_jax.face import face_model

PEER = pathlib.Path(__file__).parents[2] / ".venv-peers" / "bin" / "python"
PEER_SCRIPT = """
import sys
import numpy as np, torch
from smplx.lbs import lbs
given = np.load(sys.argv[1])
t = {name: torch.from_numpy(given[name]) for name in given.files}
vertices, joints = lbs(
  t["betas"], t["pose"], t["v_template"], t["shapedirs"], t["posedirs"],
  t["J_regressor"], t["parents"], t["lbs_weights"])
np.savez(sys.argv[2], vertices=vertices.numpy())
"""


def peer_vertices(arrays, pose, folder):
  """smplx's vertices: betas are identity then expression, eyelids it has none."""
  # smplx adds no translation itself: the caller of `lbs` does, so we do.
  turns = [pose[name] for name in ("head_pose", "neck_pose", "jaw_pose", "eye_pose")]
  dirs = np.concatenate([arrays["shapedirs"], arrays["exprdirs"]], axis=2)
  float32 = lambda array: np.ascontiguousarray(array, np.float32)
  np.savez(
    folder / "in.npz",
    betas=np.concatenate([pose["shape"], pose["expression"]], axis=1),
    pose=np.concatenate(turns, axis=1),
    v_template=float32(arrays["v_template"]),
    shapedirs=float32(dirs),
    posedirs=float32(arrays["posedirs"].reshape(36, -1)),
    J_regressor=float32(arrays["J_regressor"]),
    parents=np.array(face_model.PARENTS),
    lbs_weights=float32(arrays["lbs_weights"]),
  )
  command = [PEER, "-c", PEER_SCRIPT, folder / "in.npz", folder / "out.npz"]
  subprocess.run(command, check=True, timeout=300)
  return np.load(folder / "out.npz")["vertices"] + pose["translation"][:, None]


@pytest.mark.skipif(not PEER.exists(), reason="no .venv-peers (make test builds it)")
def test_vertices_equal_smplx_on_a_model_of_flames_shapes(tmp_path):
  arrays = random_head.random_arrays(5023, 300, 100)
  model = face_model.from_arrays(**arrays)
  pose = random_head.random_pose(model, (7,))
  pose["eyelids"] = np.zeros_like(pose["eyelids"])
  pose["head_pose"][0] = 0.0  # the singular angle is one of the cases
  theirs = peer_vertices(arrays, pose, tmp_path)
  ours = np.asarray(face_model.posed_vertices(model, **pose))
  assert np.abs(theirs).max() > 0.1
  assert np.abs(ours - theirs).max() <= 1e-5  # m
