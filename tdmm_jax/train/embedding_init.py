"""Where the language model's embeddings start.

A pretrained T5 knows that "furious" and "angry" are similar. A small model trained from
nothing for minutes cannot find that out, so pieces of words with one meaning start near
each other (by the lexicon), and so do motion tokens that decode alike (by the
tokenizer). A pretrained model keeps its old rows; only its new motion tokens are placed
so. Every row is trained from there on.

Shape letters: V rows, D width, K codes, N features.
"""

import jax.numpy as jnp
import numpy as np

from tdmm_jax.language import lexicon

_NOISE = 0.4  # share of a row that is its own, of a piece of text ...
_MOTION_NOISE = 0.1  # ... and of a motion token, of which the tokenizer knows all


def row_features(vocab, codec) -> list[tuple[np.ndarray, np.ndarray, float]]:
  """(ids int[V], features float[V, N], noise) of text pieces and of motion tokens.

  Args:
    vocab: the Vocab.
    codec: the MotionCodec whose codes the motion tokens are.
  """
  motion_ids = vocab.motion_offset + np.arange(codec.num_codes)
  return [
    (*_text_features(vocab), _NOISE),
    (motion_ids, _motion_features(codec), _MOTION_NOISE),
  ]


def content_weights(vocab, weight: float):
  """float32[V]: `weight` for pieces of words with a meaning, 1 for all others.

  Most of a caption is its wording; what it says of the face is in a few words.
  """
  ids, features_VN = _text_features(vocab)
  weights_V = np.ones(vocab.table_size, np.float32)
  weights_V[ids] += (weight - 1) * np.minimum(features_VN.max(axis=1), 1)
  return jnp.asarray(weights_V)


def start_embeddings(variables: dict, groups: list, rng_seed: int) -> dict:
  """Rewrites rows of `token_embedder` and `logits_dense`, at the scale they have.

  Args:
    variables: boxed, from T5's init.
    groups: see `row_features`.
    rng_seed: seed of the random projections.
  """
  params = dict(variables["params"])

  def rewrite(boxed, axis: int, seed: int):
    table = boxed.unbox()
    rng = np.random.default_rng(seed)
    for ids, features_VN, noise in groups:
      rows_VD = _project(features_VN, noise, table.shape[1 - axis], rng) * table.std()
      where = (ids, slice(None)) if axis == 0 else (slice(None), ids)
      table = table.at[where].set(rows_VD if axis == 0 else rows_VD.T)
    return boxed.replace_boxed(table)

  embedding = params["token_embedder"]["embedding"]
  params["token_embedder"] = {"embedding": rewrite(embedding, 0, 2 * rng_seed)}
  if "logits_dense" in params:
    kernel = params["logits_dense"]["kernel"]
    params["logits_dense"] = {"kernel": rewrite(kernel, 1, 2 * rng_seed + 1)}
  return {**variables, "params": params}


def with_new_rows(params: dict, num_rows: int, groups: list, rng_seed: int) -> dict:
  """A pretrained model's parameters with new rows behind those of its tables.

  A new row is drawn at the mean and spread that the old rows have, width by width.

  Args:
    params: of models.t5.T5 or models.t5gemma.T5Gemma, in numpy.
    num_rows: rows there are to be.
    groups: see `row_features`; of new rows only.
    rng_seed: seed of what is drawn.
  """
  params = dict(params)

  def grown(old_VD, seed: int):
    rng = np.random.default_rng(seed)
    count = num_rows - len(old_VD)
    new_VD = rng.normal(size=(count, old_VD.shape[1]))
    for ids, features_VN, noise in groups:
      new_rows_VD = _project(features_VN, noise, old_VD.shape[1], rng)
      new_VD[ids - len(old_VD)] = new_rows_VD
    new_VD = old_VD.mean(0) + old_VD.std(0) * new_VD
    return np.concatenate([old_VD, new_VD.astype(np.float32)])

  for name in {"token_embedder", "encoder_embedder"} & params.keys():
    table_VD = params[name]["embedding"]
    params[name] = {"embedding": grown(table_VD, 2 * rng_seed)}
  if "logits_dense" in params:
    kernel_DV = params["logits_dense"]["kernel"]
    params["logits_dense"] = {"kernel": grown(kernel_DV.T, 2 * rng_seed + 1).T}
  return params


def _project(features_VN: np.ndarray, noise: float, width: int, rng) -> np.ndarray:
  """Random projection to unit variance, with so much of the row's own in it."""
  rows_VD = features_VN @ rng.normal(size=(features_VN.shape[1], width))
  rows_VD /= rows_VD.std() + 1e-9
  noise_VD = rng.normal(size=rows_VD.shape)
  mixed_VD = np.sqrt(1 - noise**2) * rows_VD + noise * noise_VD
  return jnp.asarray(mixed_VD, jnp.float32)


def _text_features(vocab) -> tuple[np.ndarray, np.ndarray]:
  """(ids int[V], meanings float[V, N]) of the pieces that carry meaning."""
  names: dict[str, int] = {}
  sums: dict[int, dict[int, float]] = {}
  counts: dict[int, int] = {}
  for form, meanings in lexicon.concepts():
    ids = vocab.encode_text(f" {form}")  # Gemma's pieces tell it from a text's start
    for token in ids:
      row = sums.setdefault(token, {})
      counts[token] = counts.get(token, 0) + len(ids)
      for meaning in meanings:
        column = names.setdefault(meaning, len(names))
        row[column] = row.get(column, 0.0) + 1.0
  ids = np.array(sorted(sums))
  features = np.zeros((len(ids), len(names)))
  for i, token in enumerate(ids):
    for column, value in sums[token].items():
      # A piece of many words means little of each.
      features[i, column] = value / counts[token]
  return ids, features


def _motion_features(codec) -> np.ndarray:
  """float[K, N]: what the tokenizer's decoder is given for a code, and waves of it."""
  x_KN = codec.code_vectors()
  used_KN = x_KN != 0  # latents of other phases stay silent
  return np.concatenate([x_KN, np.sin(3 * x_KN), np.cos(3 * x_KN) * used_KN], axis=-1)
