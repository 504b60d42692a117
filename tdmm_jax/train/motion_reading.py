"""A language model's fixed reading of its motion tokens (layers.TokenContext).

Around a frame the tokens decode to a motion, nearly linearly in the vectors that the
tokenizer's decoder is given. That map, found by least squares, stays as it is while the
model trains: a model that has to find it loses what moves rarely and little, the eyes
above all.

Shape letters: B motions, T frames, K codes, C a context's width inside, N a window of
vectors, F a context's features, P motion vector.
"""

import jax.numpy as jnp
import numpy as np

from tdmm_jax.models import layers


def readings(model, codec, codes: list[np.ndarray], rng_seed: int) -> dict:
  """The fixed parameters of those motion contexts that the T5 has.

  A code's vector is the one that the tokenizer's decoder is given, in its main
  directions. The features are the numbers of the decoded motion, each with both signs,
  for a GELU follows, then random mixtures of them; all of unit spread.

  Args:
    model: the T5.
    codec: the MotionCodec whose codes the motion tokens are.
    codes: int[T] of a few motions, enough for least squares.
    rng_seed: of the mixtures.

  Returns:
    {"encoder_context" or "decoder_context": {"vectors": float[K, C], "reading":
    float[N, F]}}.
  """
  reach = {
    "encoder_context": (model.motion_context, model.motion_context),
    "decoder_context": (model.motion_history, 0),
  }
  given_one = lambda ends: model.motion_reading and ends[0] > 0
  reach = {name: ends for name, ends in reach.items() if given_one(ends)}
  if not reach:
    return {}
  vectors_KC = _main_directions(codec.code_vectors(), layers.TokenContext.token_dim)
  motions_TP = np.concatenate(codec.decode_vectors(codes))
  motions_TP = (motions_TP - motions_TP.mean(0)) / (motions_TP.std(0) + 1e-3)
  features_PF = _features(motions_TP.shape[1], model.mlp_dim, rng_seed)
  length = max(len(c) for c in codes)
  codes_BT = np.stack(
    [np.pad(c, (0, length - len(c)), constant_values=-1) for c in codes]
  )
  mask_BT = codes_BT >= 0
  vectors_BTC = vectors_KC[codes_BT] * mask_BT[..., None]
  unused = model.vocab_size - model.motion_offset - len(vectors_KC)
  found = {}
  for name, (before, after) in reach.items():
    around_BTN = layers.window(vectors_BTC, before, after=after)
    around_TN = np.asarray(around_BTN)[mask_BT]
    reading_NF = _least_squares(around_TN, motions_TP) @ features_PF
    reading_NF /= (around_TN @ reading_NF).std(0) + 1e-6
    table_KC = np.pad(vectors_KC, ((0, unused), (0, 0)))
    found[name] = {"vectors": table_KC, "reading": reading_NF}
  return found


def given(variables: dict, found: dict) -> dict:
  """Boxed variables of the T5 with what `readings` found in place."""
  params = dict(variables["params"])
  for name, arrays in found.items():
    params[name] = dict(params[name])
    for key, array in arrays.items():
      boxed = params[name][key]
      array = jnp.asarray(array, boxed.unbox().dtype)
      params[name][key] = boxed.replace_boxed(array)
  return {**variables, "params": params}


def _main_directions(vectors_KN: np.ndarray, width: int) -> np.ndarray:
  """float[K, C]: the vectors in `width` main directions; zeros where N is less."""
  directions_CN = np.linalg.svd(vectors_KN, full_matrices=False)[2][:width]
  vectors_KC = vectors_KN @ directions_CN.T
  return np.pad(vectors_KC, ((0, 0), (0, width - vectors_KC.shape[1])))


def _features(size: int, count: int, rng_seed: int) -> np.ndarray:
  """float[P, F]: each number, each with the other sign, then random mixtures."""
  signed_PF = np.concatenate([np.eye(size), -np.eye(size)], axis=1)[:, :count]
  rng = np.random.default_rng(rng_seed)
  mixed_PF = rng.normal(size=(size, count - signed_PF.shape[1]))
  return np.concatenate([signed_PF, mixed_PF], axis=1)


def _least_squares(inputs_TN, targets_TP) -> np.ndarray:
  inputs_TN = np.asarray(inputs_TN, np.float64)
  ridge_NN = 1e-3 * len(inputs_TN) * np.eye(inputs_TN.shape[1])
  gram_NN = inputs_TN.T @ inputs_TN + ridge_NN
  return np.linalg.solve(gram_NN, inputs_TN.T @ targets_TP)
