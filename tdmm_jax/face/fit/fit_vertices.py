"""Fits a face model to its own topology's vertices: a mesh sequence becomes a motion.

For users of vertex-based systems. One identity is fitted to a few frames spread over
the clip, then every frame's coefficients and rotations by damped Gauss-Newton on some
thousand vertices; the error is measured on all of them.

Shape letters: T frames, V vertices, C vertices compared, E expression and S identity
coefficients, P = E + 20 unknowns a frame.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face import motion
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.fit import solver
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform
from tdmm_jax.runs import kept_programs

_COMPARED = 1000  # vertices; of regions that move finely, more than their share
_SIGMA_M = 0.0005  # of a vertex: errors well above it count less than squared
_IDENTITY_FRAMES, _CHUNK = 8, 16
_STEPS = 15  # at most
_CONVERGED = 1e-4  # relative drop of the cost that ends the steps
_WIDTHS = {
  "eyelids": 2,
  "jaw_pose": 3,
  "eye_pose": 6,
  "neck_pose": 3,
  "head_pose": 3,
  "translation": 3,
}
# Weak: only what vertices do not tell, such as the jaw's twist, is decided by these.
_SIGMAS = {
  "expression": 3.0,
  "eyelids": 1.0,
  "jaw_pose": 0.5,
  "eye_pose": 0.5,
  "neck_pose": 0.3,
  "head_pose": 3.0,
  "translation": 10.0,
}


def fit_vertices(
  face: FaceModel,
  vertices_TV3,
  fps: float = 25.0,
  identity: bool = True,
) -> tuple[FaceMotion, dict[str, float]]:
  """Finds the motion that has these vertices.

  Args:
    face: the model whose topology the vertices have, in its vertex order.
    vertices_TV3: float[T, V, 3], m, y up.
    fps: frames per second.
    identity: fit one identity; otherwise the mean head is taken.

  Returns:
    FaceMotion at `fps`, and `error_mm`, `error_max_mm`: distances over all vertices.

  Raises:
    UserError: another number of vertices, values that are not finite, or a size that
      is not a head's in metres.
  """
  vertices_TV3 = _check(face, vertices_TV3)
  ids = _compared(face)
  small = face_model_lib.vertex_subset(face, ids)
  target_TC3 = vertices_TV3[:, ids]
  shape_S = np.zeros(face.num_shape, np.float32)
  if identity and face.num_shape:
    chosen = np.unique(
      np.linspace(0, len(target_TC3) - 1, _IDENTITY_FRAMES).astype(int)
    )
    chosen = np.resize(chosen, _IDENTITY_FRAMES)
    _, shape_S = _solve(small, target_TC3[chosen], shape_S, free_shape=True)
  fitted = []
  for start in range(0, len(target_TC3), _CHUNK):
    part = target_TC3[start : start + _CHUNK]
    padded = np.concatenate([part, np.repeat(part[-1:], _CHUNK - len(part), axis=0)])
    frames, _ = _solve(small, padded, shape_S, free_shape=False)
    fitted.append(frames[: len(part)])
  tracks = _split(np.concatenate(fitted), face.num_expression)
  made = motion.zeros(len(vertices_TV3), face.name, face.num_expression)
  made = motion.validate(
    made.replace(**tracks, shape=shape_S, fps=float(fps)), "fitted motion"
  )
  again_TV3 = face_model_lib.motion_vertices(face, made)
  error_TV = np.linalg.norm(again_TV3 - vertices_TV3, axis=-1) * 1e3
  return made, {
    "error_mm": float(error_TV.mean()),
    "error_max_mm": error_TV.max().item(),
  }


def _check(face, vertices_TV3) -> np.ndarray:
  vertices_TV3 = np.asarray(vertices_TV3, np.float32)
  if vertices_TV3.ndim != 3 or vertices_TV3.shape[1:] != (face.num_vertices, 3):
    raise UserError(
      f"vertices of shape {list(vertices_TV3.shape)} do not fit {face.name}, which has "
      f"{face.num_vertices}; give meshes of its topology, or its model file"
    )
  if not len(vertices_TV3) or not np.isfinite(vertices_TV3).all():
    raise UserError("vertices: none, or some that are NaN or infinite; export again")
  size = lambda points: float(np.linalg.norm(np.ptp(points, axis=0)))
  ratio = size(vertices_TV3[0]) / size(np.asarray(face.v_template))
  if not 0.5 < ratio < 2.0:
    raise UserError(
      f"vertices: {ratio:.3g} times the size of {face.name} in metres; say the unit "
      "with scale (0.001 for millimetres)"
    )
  return vertices_TV3


def _compared(face) -> np.ndarray:
  """Vertex ids: the lips, and a fixed random choice of face, eyeballs and the rest."""
  rng = np.random.default_rng(0)
  pick = lambda ids, count: rng.permutation(np.asarray(ids))[:count]
  parts = [pick(np.arange(face.num_vertices), _COMPARED // 2)]
  for name, count in (("lips", 120), ("eyeballs", 120), ("face", 300)):
    if name in face.regions:
      parts.append(pick(face.regions[name], count))
  return np.unique(np.concatenate(parts))


def _split(frames_TP, num_expression) -> dict:
  """A frame's vector by the names of its parts."""
  places = np.cumsum([num_expression, *_WIDTHS.values()])[:-1]
  axis = frames_TP.ndim - 1
  parts = (jnp if isinstance(frames_TP, jax.Array) else np).split(
    frames_TP, places, axis=axis
  )
  return dict(zip(("expression", *_WIDTHS), parts, strict=True))


def _start(model, target_TC3) -> np.ndarray:
  """The head's rotation and place by Procrustes; everything else at rest."""
  template_C3 = np.asarray(model.v_template, np.float64)
  root = np.asarray(model.joint_template, np.float64)[0]
  frames = np.zeros((len(target_TC3), model.num_expression + sum(_WIDTHS.values())))
  middle = template_C3.mean(axis=0)
  for t, points in enumerate(np.asarray(target_TC3, np.float64)):
    turn, _ = transform.Rotation.align_vectors(
      points - points.mean(axis=0), template_C3 - middle
    )
    frames[t, -6:-3] = turn.as_rotvec()
    frames[t, -3:] = points.mean(axis=0) - root - turn.apply(middle - root)
  return frames.astype(np.float32)


def _prior(model) -> solver.Prior:
  widths = {"expression": model.num_expression, **_WIDTHS}
  total = sum(widths.values())
  precision = np.concatenate([np.full(w, _SIGMAS[n] ** -2) for n, w in widths.items()])
  zero = jnp.zeros(total, jnp.float32)
  return solver.Prior(
    frame_P=jnp.asarray(precision, jnp.float32),
    frame_PP=jnp.zeros((total, total), jnp.float32),
    linear_P=zero,
    acceleration_P=None,
    shape_S=jnp.full(model.num_shape, 0.2, jnp.float32),
    lower_P=zero - 100.0,
    upper_P=zero + 100.0,
  )


def _solve(model, target_TC3, shape_S, free_shape):
  """Frames [T, P] and identity [S] for an even number of frames."""
  if not free_shape:
    model, shape_S = _with_identity(model, shape_S), np.zeros(1, np.float32)
  state = solver.State(
    jnp.asarray(_start(model, target_TC3)),
    jnp.asarray(shape_S),
    jnp.float32(1e-3),
    jnp.float32(jnp.inf),
  )
  target, prior = jnp.asarray(target_TC3), _prior(model)
  for _ in range(_STEPS):
    before = float(state.cost)
    state = _step(model, state, target, jnp.float32(free_shape), prior)
    after = float(state.cost)
    if after < before and before - after < _CONVERGED * before:
      break
  return np.asarray(state.frames_TP), np.asarray(state.shape_S)


def _with_identity(model, shape_S) -> FaceModel:
  """The model of this one person: one identity coefficient, which moves nothing."""
  model = face_model_lib.with_identity(model, jnp.asarray(shape_S, jnp.float32))
  return dataclasses.replace(
    model,
    basis=jnp.pad(model.basis, ((0, 1), (0, 0))),
    joint_shapedirs=jnp.zeros((*model.joint_template.shape, 1), jnp.float32),
  )


@kept_programs.jit
def _step(model, state, target_TC3, free_shape, prior):
  P = state.frames_TP.shape[1]

  def place(vector, target_C3):
    parts = _split(vector[:P], model.num_expression)
    points = face_model_lib.posed_vertices(model, **parts, shape=vector[P:])
    return ((points - target_C3) / _SIGMA_M).reshape(-1)

  def stacked(frames, shape):
    return jnp.concatenate([frames, jnp.tile(shape, (len(frames), 1))], axis=1)

  def predict(frames, shape):
    return jax.vmap(place)(stacked(frames, shape), target_TC3)

  def differentiate(frames, shape):
    return jax.vmap(jax.jacfwd(place))(stacked(frames, shape), target_TC3)

  weights = jnp.ones((len(target_TC3), 3 * target_TC3.shape[1]), jnp.float32)
  free_P = jnp.ones(P, jnp.float32)
  return solver.step(predict, differentiate, state, weights, free_P, free_shape, prior)
