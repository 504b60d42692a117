"""The benchmark of the input pipeline: what its numbers are of. No time is asserted."""

import json

import pytest

from benchmarks import pipeline as benchmark
from tdmm_jax.data import pipeline

WORDS = ["--config", "configs/lm_demo.py", "--clips", "60", "--batch_size", "8"]


@pytest.fixture
def small(monkeypatch):
  """Lanes of two rows, and a vocabulary that so few texts have."""
  monkeypatch.setattr(pipeline, "_LANE_ROWS", 2)
  monkeypatch.setattr(pipeline, "_LANES_FROM", 8)
  monkeypatch.setattr(pipeline, "_CHUNK_CLIPS_OF_LANES", 8)
  get_config = benchmark.runpy.run_path("configs/lm_demo.py")["get_config"]

  def config():
    made = get_config()
    made.num_pieces, made.encoder_length, made.decoder_length = 400, 512, 512
    return made

  monkeypatch.setattr(benchmark.runpy, "run_path", lambda _: {"get_config": config})


@pytest.mark.slow
@pytest.mark.parametrize("one_lane", [False, True])
def test_work_is_counted_by_a_clock_of_rows_and_draws(
  one_lane, small, monkeypatch, capsys
):
  """A clock that counts the chunks that are drawn: with lanes, hosts share them."""
  draws = [0.0]
  drawn = pipeline.PackedTasks._drawn

  def counted(self, chunk, attempt):
    draws[0] += 1.0
    return drawn(self, chunk, attempt)

  monkeypatch.setattr(pipeline.PackedTasks, "_drawn", counted)
  # A chunk never asks for a second draw, or the count would depend on luck.
  monkeypatch.setattr(
    pipeline.packing, "with_num_rows", lambda rows, n: ((rows * n)[:n], [])
  )
  monkeypatch.setattr(pipeline, "_ATTEMPTS", 1)
  monkeypatch.setattr(benchmark.time, "process_time", lambda: draws[0])
  assert benchmark.main(WORDS + ["--one_lane"] * one_lane) == 0
  found = json.loads(capsys.readouterr().out)
  assert found["lanes"] == (1 if one_lane else 4)
  steps = max(found["rows_per_chunk"] // (8 if one_lane else 2), 1)
  for hosts, row in found["hosts"].items():
    chunks = 1 if one_lane else 4 // int(hosts)
    assert row["input_s_a_step"] * steps == pytest.approx(chunks)
    assert row["tokens_per_s"] == pytest.approx(
      row["batches_per_s"] * (8 // int(hosts)) * (512 + 512)
    )
  # A batch may lie in two chunks, wherever it is.
  assert found["resume_s"]["0"] == 1.0 and found["resume_s"]["90000"] <= 2.0
