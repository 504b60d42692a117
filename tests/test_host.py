"""Freed memory is kept: the second block of a size costs no page faults."""

import sys

import pytest
import tiny

CODE = """
import resource, sys
import numpy as np
if sys.argv[1] == "keep":
  from tdmm_jax import host
  assert host.keep_freed()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(12_000_000)  # 96 MB
before = faults()
np.ones(12_000_000)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator alone")
def test_a_freed_block_is_used_again():
  faults = {how: int(tiny.run_python(CODE, how)) for how in ("keep", "leave")}
  assert faults["keep"] < 100 < faults["leave"]
