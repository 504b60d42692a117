"""Damped Gauss-Newton over a whole clip: per-frame unknowns and one identity.

The normal equations have a known form, and are solved exactly: frames couple only with
the two before and after (the acceleration prior), and with the identity. Two frames
make one block, so the frames' part is block-tridiagonal; the identity is eliminated by
its Schur complement.

Shape letters: T frames (even), P unknowns per frame, S identity coefficients, R
residuals per frame, N = T / 2 blocks of M = 2 P unknowns.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, cholesky, solve_triangular

from tdmm_jax.runs import kept_programs


class Prior(NamedTuple):
  """Priors: Gaussian ones as precisions (1 / sigma^2; an infinite sigma is 0).

  Attributes:
    frame_P: on each unknown of each frame, around 0.
    frame_PP: on pairs of unknowns of one frame, symmetric, around 0.
    linear_P: rates of exponential priors, which press unknowns onto a lower bound of 0.
    acceleration_P: on second differences over frames; None where frames stand alone.
    shape_S: on identity, around 0.
    lower_P, upper_P: bounds.
  """

  frame_P: jax.Array
  frame_PP: jax.Array
  linear_P: jax.Array
  acceleration_P: jax.Array | None
  shape_S: jax.Array
  lower_P: jax.Array
  upper_P: jax.Array


class State(NamedTuple):
  frames_TP: jax.Array
  shape_S: jax.Array
  damping: jax.Array
  cost: jax.Array


kept_programs.knows(State)


def robust(residuals_TR):
  """Pseudo-Huber cost per residual; quadratic below 1, linear far above."""
  return 2.0 * (jnp.sqrt(1.0 + residuals_TR**2) - 1.0)


def cost(residuals_TR, weights_TR, frames_TP, shape_S, prior: Prior):
  """Negative log posterior, up to a factor of 2 and a constant."""
  total = jnp.sum(weights_TR * robust(residuals_TR))
  if prior.acceleration_P is not None:
    acceleration = jnp.diff(frames_TP, n=2, axis=0)
    total += jnp.sum(prior.acceleration_P * acceleration**2)
  return (
    total
    + jnp.sum(prior.frame_P * frames_TP**2)
    + jnp.sum(prior.linear_P * frames_TP)
    + jnp.einsum("tp,pq,tq->", frames_TP, prior.frame_PP, frames_TP)
    + jnp.sum(prior.shape_S * shape_S**2)
  )


def step(
  predict, differentiate, state: State, weights_TR, free_P, free_shape, prior: Prior
) -> State:
  """One damped, projected Gauss-Newton step; kept only where it lowers the cost.

  An unknown at a bound that the cost presses it against stays there in this step.

  Args:
    predict: (frames_TP, shape_S) -> residuals [T, R] in units of the noise's sigma.
    differentiate: (frames_TP, shape_S) -> their Jacobian [T, R, P + S].
    state: where we are.
    weights_TR: 0 leaves a residual out.
    free_P: 1 for unknowns to solve for, 0 for frozen ones; [P] or [T, P].
    free_shape: 1 or 0, the same for the identity.
    prior: see `Prior`.
  """
  T, P = state.frames_TP.shape
  S = state.shape_S.shape[0]
  residuals = predict(state.frames_TP, state.shape_S)
  jacobian = differentiate(state.frames_TP, state.shape_S)
  # Iteratively reweighted: the pseudo-Huber cost's own weight.
  root = jnp.sqrt(weights_TR / jnp.sqrt(1.0 + residuals**2))
  jacobian = jacobian * root[..., None]
  matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
  gradient = matmul((residuals * root)[:, None], jacobian)[:, 0]
  frames_gradient = (
    gradient[:, :P]
    + prior.frame_P * state.frames_TP
    + 0.5 * prior.linear_P
    + state.frames_TP @ prior.frame_PP
  )
  if prior.acceleration_P is not None:
    turning = _second_difference_adjoint(state.frames_TP)
    frames_gradient += prior.acceleration_P * turning
  held = (state.frames_TP <= prior.lower_P) & (frames_gradient > 0.0)
  held |= (state.frames_TP >= prior.upper_P) & (frames_gradient < 0.0)
  free_TP = jnp.broadcast_to(free_P, (T, P)) * (1.0 - held)
  frames_gradient = frames_gradient * free_TP
  free = jnp.concatenate([free_TP, jnp.full((T, S), free_shape)], axis=1)
  hessian = matmul(jnp.swapaxes(jacobian, 1, 2), jacobian)
  hessian = hessian * free[:, :, None] * free[:, None]

  pairs = free_TP[:, :, None] * prior.frame_PP * free_TP[:, None]
  frames_hessian = hessian[:, :P, :P] + pairs
  scale = jnp.einsum("tpp->p", frames_hessian) / T + prior.frame_P
  diagonal = prior.frame_P * free_TP + state.damping * scale + (1.0 - free_TP) + 1e-6
  frames_hessian = frames_hessian + diagonal[..., None] * jnp.eye(P)
  shape_hessian = hessian[:, P:, P:].sum(0)
  shape_diagonal = prior.shape_S + state.damping * jnp.diag(shape_hessian) + 1e-6
  shape_hessian = shape_hessian + jnp.diag(shape_diagonal)
  shape_gradient = gradient[:, P:].sum(0) + prior.shape_S * state.shape_S
  shape_gradient = shape_gradient * free_shape

  frames_step, shape_step = _solve(
    frames_hessian,
    hessian[:, :P, P:],
    shape_hessian,
    prior.acceleration_P,
    free_TP,
    frames_gradient,
    shape_gradient,
  )
  frames = state.frames_TP - free_TP * frames_step
  frames = jnp.clip(frames, prior.lower_P, prior.upper_P)
  shape = state.shape_S - free_shape * shape_step
  residuals = predict(frames, shape)
  new_cost = cost(residuals, weights_TR, frames, shape, prior)
  better = new_cost < state.cost
  keep = lambda new, old: jnp.where(better, new, old)
  damping = jnp.clip(state.damping * jnp.where(better, 0.3, 10.0), 1e-5, 1e3)
  return State(
    keep(frames, state.frames_TP),
    keep(shape, state.shape_S),
    damping,
    keep(new_cost, state.cost),
  )


def _second_difference_adjoint(frames_TP):
  """D^T D x of second differences D over the first axis."""
  acceleration = jnp.diff(frames_TP, n=2, axis=0)
  padded = jnp.pad(acceleration, ((2, 2), (0, 0)))
  return jnp.diff(padded, n=2, axis=0)


def _solve(
  frames_TPP,
  coupling_TPS,
  shape_SS,
  acceleration_P,
  free_TP,
  gradient_TP,
  gradient_S,
):
  """Solves the arrow-shaped, banded normal equations exactly.

  Unknowns that are not free (0) do not couple with the frames beside them.
  """
  right = jnp.concatenate([coupling_TPS, gradient_TP[..., None]], axis=2)
  if acceleration_P is None:
    solved = cho_solve((cholesky(frames_TPP, lower=True), True), right)
  else:
    solved = _solve_banded(frames_TPP, acceleration_P * free_TP, free_TP, right)
  inverse_coupling, inverse_gradient = solved[..., :-1], solved[..., -1]
  contract = lambda x: jnp.einsum("tps,tp...->s...", coupling_TPS, x)
  schur = shape_SS - contract(inverse_coupling)
  shape = jnp.linalg.solve(schur, gradient_S - contract(inverse_gradient))
  return inverse_gradient - inverse_coupling @ shape, shape


def _solve_banded(frames_TPP, acceleration_TP, free_TP, right_TPK):
  """The frames' part alone, where each is bound to the two before and after it."""
  T, P = free_TP.shape
  N, M = T // 2, 2 * P
  diag = lambda rows: rows[..., None] * jnp.eye(P)
  # D^T D: 6 on the diagonal, -4 beside it, 1 two away; less at the ends.
  count = jnp.full(T, 6.0).at[jnp.array([0, T - 1])].set(1.0)
  count = count.at[jnp.array([1, T - 2])].set(5.0)
  near = jnp.full(T - 1, -4.0).at[jnp.array([0, T - 2])].set(-2.0)
  near_TP = near[:, None] * acceleration_TP[:-1] * free_TP[1:]
  two_TP = acceleration_TP[:-2] * free_TP[2:]
  own = frames_TPP + diag(count[:, None] * acceleration_TP)
  own = own.reshape(N, 2, P, P)
  inside = diag(near_TP[::2])
  diagonal = jnp.concatenate(
    [
      jnp.concatenate([own[:, 0], inside], axis=2),
      jnp.concatenate([inside, own[:, 1]], axis=2),
    ],
    axis=1,
  )
  # Block n to block n + 1: frames (2n, 2n+1) x (2n+2, 2n+3).
  across, even, odd = diag(near_TP[1::2]), diag(two_TP[::2]), diag(two_TP[1::2])
  lower = jnp.concatenate(
    [
      jnp.concatenate([even, across], axis=2),
      jnp.concatenate([jnp.zeros_like(odd), odd], axis=2),
    ],
    axis=1,
  )
  lower = jnp.concatenate([jnp.zeros((1, M, M)), lower])
  solved = _solve_tridiagonal(diagonal, lower, right_TPK.reshape(N, M, -1))
  return solved.reshape(T, P, -1)


def _solve_tridiagonal(diagonal_NMM, lower_NMM, right_NMK):
  """Block Cholesky of a symmetric positive block-tridiagonal matrix.

  Args:
    diagonal_NMM: the diagonal blocks.
    lower_NMM: block n couples block n (rows) with block n - 1; the first is unused.
    right_NMK: K right-hand sides.
  """

  def forward(carry, inputs):
    factor_before, solved_before = carry
    diagonal, lower, right = inputs
    # off = lower L^-T of the block before.
    off = solve_triangular(factor_before, lower.T, lower=True).T
    factor = cholesky(diagonal - off @ off.T, lower=True)
    solved = solve_triangular(factor, right - off @ solved_before, lower=True)
    return (factor, solved), (factor, off, solved)

  M, K = right_NMK.shape[1:]
  start = (jnp.eye(M), jnp.zeros((M, K)))
  _, (factors, offs, solved) = jax.lax.scan(
    forward, start, (diagonal_NMM, lower_NMM, right_NMK)
  )

  def backward(after, inputs):
    factor, off_after, right = inputs
    x = solve_triangular(factor, right - off_after.T @ after, lower=True, trans=1)
    return x, x

  offs_after = jnp.concatenate([offs[1:], jnp.zeros((1, M, M))])
  _, x = jax.lax.scan(
    backward, jnp.zeros((M, K)), (factors, offs_after, solved), reverse=True
  )
  return x
