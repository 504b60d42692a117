"""Continuation and in-between keep what is given, and agree with `Face`."""

import numpy as np
import pytest

from tdmm_jax.data import records
from tdmm_jax.errors import UserError
from tdmm_jax.evaluation import completion


@pytest.mark.parametrize(
  "task, wanted", [("continuation", 1 / 2), ("inbetween", 1 / 3)]
)
@pytest.mark.parametrize("frames", [1, 2, 7, 90, 128])
@pytest.mark.parametrize("phases", [1, 8])
def test_spans_lie_inside_and_begin_with_the_first_phase(task, wanted, frames, phases):
  start, stop = completion.span(task, frames, phases)
  assert 0 <= start < stop <= frames and start % phases == 0
  if task == "continuation":
    assert stop == frames
  if frames == 128:
    assert abs(stop - start - wanted * frames) <= 8


@pytest.mark.slow
def test_what_is_given_stays_and_the_rest_is_drawn_like_an_edit(loaded_run, tiny_run):
  clips = records.load_clips(tiny_run / "records", "test")[:3]
  codes = loaded_run.codec.encode_vectors([clip["vectors"] for clip in clips])
  phases = loaded_run.codec.num_phases
  spans = [completion.span("inbetween", len(c), phases) for c in codes]
  drawn = completion.draw(loaded_run, clips, codes, spans, seed=0)
  again = completion.draw(loaded_run, clips, codes, spans, seed=0)
  other = completion.draw(loaded_run, clips, codes, spans, seed=1)
  changed = 0
  for c, d, a, o, (start, stop) in zip(codes, drawn, again, other, spans):
    np.testing.assert_array_equal(d, a)
    kept = np.ones(len(c), bool)
    kept[start:stop] = False
    np.testing.assert_array_equal(d[kept], c[kept])
    np.testing.assert_array_equal(o[kept], c[kept])
    changed += (d[start:stop] != o[start:stop]).sum()
  assert changed > 0
  loaded_run_most = loaded_run.config.max_frames
  with pytest.raises(UserError, match="this run sees"):
    long = [np.zeros(loaded_run_most + 1, np.int32)]
    completion.draw(loaded_run, clips[:1], long, [(0, 4)], seed=0)
