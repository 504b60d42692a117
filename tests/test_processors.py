"""The released checkpoint means the same on processors that round otherwise."""

import json
import platform
import subprocess
import sys

import numpy as np
import pytest
import tiny

import tdmm_jax
from tdmm_jax.runs import locate, packed

RELEASED = (locate.RELEASE_DIR / packed.CHECKSUMS).exists()
pytestmark = [
  pytest.mark.skipif(not RELEASED, reason="the checkout carries no checkpoint"),
  pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="names kinds of x86"
  ),
]
SPEAK = """
import json, sys
import numpy as np
import tdmm_jax
face = tdmm_jax.load("release")
motion = tdmm_jax.load_motion(sys.argv[1])
made = face.generate("A woman smiles broadly.", seconds=1.0, seed=0)
print(json.dumps({
  "head": face.codec.face.version, "tokenizer": face.codec.version,
  "codes": face.encode(motion).tolist(), "caption": face.describe(motion),
  "frames": made.num_frames, "finite": bool(np.isfinite(made.expression).all()),
}))
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory):
  """What this processor says, and the motion it says it of."""
  face = tdmm_jax.load("release")
  motion = face.generate("He looks angry.", seconds=2.0, seed=1)
  path = tmp_path_factory.mktemp("processors") / "motion.npz"
  motion.save(path)
  return path, {
    "head": face.codec.face.version,
    "tokenizer": face.codec.version,
    "codes": face.encode(motion),
    "caption": face.describe(motion),
  }


@pytest.mark.slow
@pytest.mark.parametrize("core", ["Nehalem", "Sandybridge", "Haswell"])
def test_the_release_runs_without_avx512(here, core):
  """NumPy as on most laptops, and OpenBLAS as on three kinds of processor."""
  path, expected = here
  env = tiny.users_environment() | {
    "NPY_DISABLE_CPU_FEATURES": "X86_V4",
    "OPENBLAS_CORETYPE": core,
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": str(tiny.REPO),
  }
  run = subprocess.run(
    [sys.executable, "-W", "ignore", "-c", SPEAK, str(path)],
    capture_output=True,
    text=True,
    env=env,
  )
  assert run.returncode == 0, run.stderr
  told = json.loads(run.stdout.splitlines()[-1])
  for name in ("head", "tokenizer", "caption"):
    assert told[name] == expected[name]
  assert np.mean(np.array(told["codes"]) == expected["codes"]) > 0.95  # ties may fall
  assert told["frames"] == 25 and told["finite"]
