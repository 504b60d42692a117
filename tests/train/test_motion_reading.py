"""What a language model is told of its tokens is what they decode to, and stays."""

import numpy as np

import tdmm_jax
from tdmm_jax.data import records
from tdmm_jax.models import layers
from tdmm_jax.train import motion_reading


def codes_of(run, tiny_run, split):
  clips = records.load_clips(tiny_run / "records", split)
  return run.codec.encode_vectors([clip["vectors"] for clip in clips])


def test_a_trained_run_has_the_readings_of_its_tokenizer(tiny_run):
  run = tdmm_jax.load(tiny_run)
  codes = codes_of(run, tiny_run, "train")
  found = motion_reading.readings(run.model, run.codec, codes, run.config.seed)
  assert set(found) == {"encoder_context", "decoder_context"}
  for name, arrays in found.items():
    for key in layers.FIXED:
      np.testing.assert_allclose(run.params[name][key], arrays[key], atol=1e-4)


def test_readings_are_of_the_decoded_motion(tiny_run):
  run = tdmm_jax.load(tiny_run)
  train = codes_of(run, tiny_run, "train")
  found = motion_reading.readings(run.model, run.codec, train, 0)["encoder_context"]
  unseen = codes_of(run, tiny_run, "valid")
  motions = np.concatenate(run.codec.decode_vectors(unseen))
  radius = run.model.motion_context
  read = np.concatenate(
    [
      layers.window(found["vectors"][c][None], radius)[0] @ found["reading"]
      for c in unseen
    ]
  )
  moves = motions.std(0) > 0.02
  assert moves.sum() > 10
  size = min(len(moves), read.shape[1])
  match = [
    np.corrcoef(read[:, i], motions[:, i])[0, 1] for i in np.flatnonzero(moves[:size])
  ]
  assert np.median(match) > 0.7, match


def test_a_t5_without_contexts_is_told_nothing(tiny_run):
  run = tdmm_jax.load(tiny_run)
  for without in (
    {"motion_context": 0, "motion_history": 0},
    {"motion_reading": False},
  ):
    plain = run.model.clone(**without)
    assert motion_reading.readings(plain, run.codec, [np.arange(8)], 0) == {}
