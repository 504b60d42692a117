"""The harness of faults: what it calls a fault, and two real commands."""

import sys

import pytest

from benchmarks import faults
from tdmm_jax.face import motion


def ending(code=2, said="tdmm: error: a: no; do that\n", peak_mb=100.0):
  return faults.Ending(code, said, 1.0, peak_mb)


def test_what_counts_as_a_fault(tmp_path):
  judge = lambda *endings, **more: faults.judge("x", endings, **more).faults
  assert judge(ending()) == [] and judge(ending(0, ""), codes=(0,)) == []
  assert judge(ending(1)) and judge(ending(said="Traceback (most ...\ntdmm: error: x"))
  assert judge(ending(said="")) == ["0 lines of error"]
  assert judge(ending(peak_mb=2500.0)) == ["2500 MB"]
  motion.save_motion(tmp_path / "a.npz", motion.zeros(3))
  assert judge(ending(), folder=tmp_path) == []
  (tmp_path / ".tmp-1.mp4").touch()
  (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:99])
  left, half = judge(ending(), folder=tmp_path)
  assert left == ".tmp-1.mp4 is left" and "a.npz is half-written" in half
  assert judge(ending(), whole=[tmp_path / "b.npz"]) == ["b.npz is not there"]


def test_a_full_disk_and_a_hundred_million(tmp_path):
  endings = [faults.command(["generate", "She smiles.", "--num", 10**8])]
  assert faults.judge("x", endings).faults == []
  if sys.platform != "linux":
    pytest.skip("the size of files is bounded by Linux' means")
  source = faults._motion(tmp_path / "long.npz", 100)
  out = tmp_path / "out"
  out.mkdir()
  ask = ["cut", source, "--frames", "0-90", "-o", out / "a.npz"]
  small = faults.command(ask, before=faults._small_disk)
  assert faults.judge("x", [small], folder=out).faults == []
  assert "make room" in small.said and not list(out.iterdir())
  assert (
    faults.judge("x", [faults.command(ask)], (0,), out, [out / "a.npz"]).faults == []
  )
