"""Attention whose scores never leave a TPU's fast memory (a Pallas kernel).

Written out, the scores [B, H, L, M] of every layer cross the main memory some ten times
in a train step, and on a fast chip that takes longer than all matrix products. Here one
program holds the scores of one head of one example, and the backward pass computes them
again. Elsewhere than on a TPU the same formulas run as plain JAX.

512 x 512 scores fit the fast memory of every TPU named in docs/performance.md; the
compiler refuses what does not.

Shape letters: B batch, L query tokens, M key tokens, H heads, K head width.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

NEG_INF = -1e9


def _product(a, b, contract_a: int, contract_b: int):
  dims = (((contract_a,), (contract_b,)), ((), ()))
  return jax.lax.dot_general(a, b, dims, preferred_element_type=jnp.float32)


def _weights(query_LK, key_MK, segments_L1, segments_1M, bias_LM, causal: bool):
  """Softmax of one head's scores, float32[L, M]."""
  scores_LM = _product(query_LK, key_MK, 1, 1)
  if bias_LM is not None:
    scores_LM += bias_LM
  allowed_LM = (segments_L1 == segments_1M) & (segments_1M > 0)
  scores_LM += jnp.where(allowed_LM, 0.0, NEG_INF)
  if causal:
    row, column = (
      jax.lax.broadcasted_iota(jnp.int32, scores_LM.shape, i) for i in (0, 1)
    )
    scores_LM += jnp.where(row >= column, 0.0, NEG_INF)
  weights_LM = jnp.exp(scores_LM - jnp.max(scores_LM, axis=1, keepdims=True))
  return weights_LM / jnp.sum(weights_LM, axis=1, keepdims=True)


def _head(causal: bool, query_LK, key_MK, value_MK, segments_L1, segments_1M, bias_LM):
  """One head of one example: [L, K]."""
  weights_LM = _weights(query_LK, key_MK, segments_L1, segments_1M, bias_LM, causal)
  return _product(weights_LM.astype(value_MK.dtype), value_MK, 1, 0).astype(
    value_MK.dtype
  )


def _head_gradients(
  causal: bool, query_LK, key_MK, value_MK, segments_L1, segments_1M, bias_LM, out_LK
):
  """Gradients of query, key, value and bias, given that of `_head`'s result."""
  dtype = value_MK.dtype
  weights_LM = _weights(query_LK, key_MK, segments_L1, segments_1M, bias_LM, causal)
  d_value_MK = _product(weights_LM.astype(dtype), out_LK, 0, 0)
  d_weights_LM = _product(out_LK, value_MK, 1, 1)
  mean_L1 = jnp.sum(d_weights_LM * weights_LM, axis=1, keepdims=True)
  d_scores_LM = weights_LM * (d_weights_LM - mean_L1)
  d_query_LK = _product(d_scores_LM.astype(dtype), key_MK, 1, 0)
  d_key_MK = _product(d_scores_LM.astype(dtype), query_LK, 0, 0)
  gradients = (d_query_LK, d_key_MK, d_value_MK)
  return (*(x.astype(dtype) for x in gradients), d_scores_LM)


# ------------------------------------------------------------------ as plain JAX


def _plain(head, inputs, *more):
  """`head` of every head and example; what it returns, led by [B, H]."""
  query, key, value, segments_BL1, segments_B1M, bias_HLM = inputs
  bias_axis = None if bias_HLM is None else 0
  rest = (0,) * len(more)
  heads = jax.vmap(head, in_axes=(0, 0, 0, None, None, bias_axis, *rest))
  examples = jax.vmap(heads, in_axes=(0, 0, 0, 0, 0, None, *rest))
  return examples(query, key, value, segments_BL1, segments_B1M, bias_HLM, *more)


# ------------------------------------------------------------------ as a kernel


def _of_each_head(*shape: int) -> pl.BlockSpec:
  return pl.BlockSpec((None, None, *shape), lambda h, b: (b, h, 0, 0))


def _of_each_example(*shape: int) -> pl.BlockSpec:
  return pl.BlockSpec((None, *shape), lambda h, b: (b, 0, 0))


def _kernel(body, inputs, more, out_specs, out_shape, interpret: bool):
  """Runs `body` for each head and example; a head's bias is read once."""
  query, key, _, _, _, bias_HLM = inputs
  num_examples, num_heads, length, width = query.shape
  keys = key.shape[2]
  one_head = _of_each_head(length, width)
  specs = [one_head, _of_each_head(keys, width), _of_each_head(keys, width)]
  specs += [_of_each_example(length, 1), _of_each_example(1, keys)]
  if bias_HLM is not None:
    specs.append(pl.BlockSpec((None, length, keys), lambda h, b: (h, 0, 0)))
  operands = [x for x in inputs if x is not None]
  return pl.pallas_call(
    body,
    grid=(num_heads, num_examples),
    in_specs=specs + [one_head] * len(more),
    out_specs=out_specs,
    out_shape=out_shape,
    compiler_params=pltpu.CompilerParams(dimension_semantics=("parallel", "arbitrary")),
    interpret=interpret,
  )(*operands, *more)


def _read(refs, has_bias: bool):
  """A program's inputs; those after the bias follow it."""
  values = [ref[...] for ref in refs]
  return values if has_bias else [*values[:5], None, *values[5:]]


def _kernel_forward(causal: bool, *inputs, interpret: bool = False):
  query, has_bias = inputs[0], inputs[5] is not None

  def body(*refs):
    *inputs, out = refs
    out[...] = _head(causal, *_read(inputs, has_bias))

  spec = _of_each_head(*query.shape[2:])
  shape = jax.ShapeDtypeStruct(query.shape, inputs[2].dtype)
  return _kernel(body, inputs, (), spec, shape, interpret)


def _kernel_backward(causal: bool, *inputs_and_out, interpret: bool = False):
  *inputs, out = inputs_and_out
  query, key, value, _, _, bias_HLM = inputs
  has_bias = bias_HLM is not None
  count = 7 if has_bias else 6

  def body(*refs):
    gradients = _head_gradients(causal, *_read(refs[:count], has_bias))
    results = refs[count:]
    for ref, gradient in zip(results[:3], gradients[:3], strict=True):
      ref[...] = gradient
    if has_bias:  # stays in place while the examples of a head pass

      @pl.when(pl.program_id(1) == 0)
      def _():
        results[3][...] = jnp.zeros_like(gradients[3])

      results[3][...] += gradients[3]

  specs = [_of_each_head(*x.shape[2:]) for x in (query, key, value)]
  shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (query, key, value)]
  if has_bias:
    specs.append(pl.BlockSpec((None, *bias_HLM.shape[1:]), lambda h, b: (h, 0, 0)))
    shapes.append(jax.ShapeDtypeStruct(bias_HLM.shape, bias_HLM.dtype))
  return tuple(_kernel(body, inputs, (out,), specs, shapes, interpret))


# ------------------------------------------------------------------ either


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(causal: bool, query, key, value, segments_BL1, segments_B1M, bias_HLM):
  head = functools.partial(_head, causal)
  return jax.lax.platform_dependent(
    query,
    key,
    value,
    segments_BL1,
    segments_B1M,
    bias_HLM,
    tpu=functools.partial(_kernel_forward, causal),
    default=lambda *inputs: _plain(head, inputs),
  )


def _forward(causal, *inputs):
  return _attend(causal, *inputs), inputs


def _backward(causal, inputs, out_BHLK):
  def plain(*inputs_and_out):
    *inputs, out = inputs_and_out
    head = functools.partial(_head_gradients, causal)
    *gradients, d_bias_BHLM = _plain(head, inputs, out)
    d_bias = () if inputs[5] is None else (d_bias_BHLM.sum(0),)
    return (*gradients, *d_bias)

  gradients = jax.lax.platform_dependent(
    *inputs, out_BHLK, tpu=functools.partial(_kernel_backward, causal), default=plain
  )
  d_bias = gradients[3] if inputs[5] is not None else None
  return (*gradients[:3], None, None, d_bias)


_attend.defvjp(_forward, _backward)


def attend(
  query, key, value, query_segments_BL, key_segments_BM, bias_HLM, causal: bool
):
  """softmax(query · keyᵀ + bias) · value, within segments.

  Args:
    query: [B, H, L, K]; `key` and `value` are [B, H, M, K] of the same dtype.
    query_segments_BL, key_segments_BM: int32; 0 is padding, which no token attends to.
    bias_HLM: float32, added to the scores; or None.
    causal: whether a token attends to itself and those before it only.

  Returns:
    [B, H, L, K] in value's dtype. Scores and softmax are float32.
  """
  segments = (query_segments_BL[:, :, None], key_segments_BM[:, None, :])
  return _attend(causal, query, key, value, *segments, bias_HLM)
