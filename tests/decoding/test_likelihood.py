"""What a text is likely, against teacher forcing."""

import jax
import numpy as np
from test_sample import MODEL, parameters, prompts

from tdmm_jax.decoding import likelihood


def test_log_probabilities_are_those_of_teacher_forcing():
  prompt = prompts(1)
  texts = np.array([[5, 6, 7, 8], [9, 3, 0, 0], [2, 0, 0, 0]], np.int32)
  found = likelihood.log_probabilities(MODEL, parameters(), prompt, texts)
  shifted = np.pad(texts, ((0, 0), (1, 0)))[:, :-1]
  repeated = np.repeat(prompt, len(texts), 0)
  inputs = (repeated, shifted, repeated > 0, np.ones_like(shifted))
  logits = MODEL.apply({"params": parameters()}, *inputs)
  each = np.take_along_axis(
    np.asarray(jax.nn.log_softmax(logits)), texts[..., None], -1
  )
  wanted = (each[..., 0] * (texts > 0)).sum(-1)
  np.testing.assert_allclose(found, wanted, rtol=1e-4)
