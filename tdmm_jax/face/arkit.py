"""ARKit's 52 blend shapes and face motions, both ways.

Each shape is defined on the default head as a mixture of action units, jaw, lids and
gaze. ARKit's weights to a motion is then a linear map, but for shapes that only mean
something together (`_together`): MouthClose closes what JawOpen opened, and a lid stops
where it meets the other. The way back is a fit: per frame the weights in [0, 1] whose
summed displacements come nearest to the face's, because a pseudo-inverse would ask for
negative smiles.

Shape letters: T frames, A 52 shapes, U action units, N points of the face compared.

Source of the names and their order: Apple's ARFaceAnchor.BlendShapeLocation, in the
order of Live Link Face's CSV.
"""

import dataclasses
import functools

import numpy as np
import scipy  # parts of it are imported when they are used

from tdmm_jax.errors import UserError
from tdmm_jax.face import action_units, head_file, load_model, motion
from tdmm_jax.face import face_model as face_model_lib
from tdmm_jax.face.face_model import FaceModel
from tdmm_jax.face.motion import FaceMotion
from tdmm_jax.face.turns import transform

SHAPES: tuple[str, ...] = (
  *(
    f"Eye{what}{side}"
    for side in ("Left", "Right")
    for what in (
      "Blink",
      "LookDown",
      "LookIn",
      "LookOut",
      "LookUp",
      "Squint",
      "Wide",
    )
  ),
  *("JawForward", "JawRight", "JawLeft", "JawOpen"),
  *("MouthClose", "MouthFunnel", "MouthPucker", "MouthRight", "MouthLeft"),
  *("MouthSmileLeft", "MouthSmileRight", "MouthFrownLeft", "MouthFrownRight"),
  *("MouthDimpleLeft", "MouthDimpleRight", "MouthStretchLeft", "MouthStretchRight"),
  *("MouthRollLower", "MouthRollUpper", "MouthShrugLower", "MouthShrugUpper"),
  *("MouthPressLeft", "MouthPressRight", "MouthLowerDownLeft", "MouthLowerDownRight"),
  *("MouthUpperUpLeft", "MouthUpperUpRight", "BrowDownLeft", "BrowDownRight"),
  *("BrowInnerUp", "BrowOuterUpLeft", "BrowOuterUpRight", "CheekPuff"),
  *("CheekSquintLeft", "CheekSquintRight", "NoseSneerLeft", "NoseSneerRight"),
  "TongueOut",
)
_JAW_OPEN, _MOUTH_CLOSE = SHAPES.index("JawOpen"), SHAPES.index("MouthClose")
JAW_OPEN_RAD = 0.40  # jaw_pose x at JawOpen 1
LOOK_RAD = 0.60  # an eye's turn at EyeLook... 1
# How much of JawOpen the lips close by themselves where MouthClose asks for it. With
# the jaw further down their corners would stay open, so beyond it the jaw closes.
_LIPS_BRIDGE = 0.045
# How far a lid at EyeSquint 1 has gone to meet the other, as a share of a blink.
_SQUINT_CLOSES = 0.22
# Shape -> action units at weight 1; `#` stands for the side.
_BY_SIDE = {
  "EyeSquint": {"lid_tightener_#": 1.0},
  "EyeWide": {"upper_lid_raiser_#": 1.0},
  "Jaw": {"jaw_sideways_#": 1.0},
  "MouthSmile": {"lip_corner_puller_#": 1.0},
  "MouthFrown": {"lip_corner_depressor_#": 1.0},
  "MouthDimple": {"dimpler_#": 1.0},
  "MouthStretch": {"lip_stretcher_#": 1.0},
  "MouthPress": {"lip_pressor": 0.5},
  "MouthLowerDown": {"lower_lip_depressor_#": 1.0},
  "MouthUpperUp": {"upper_lip_raiser_#": 1.0},
  "BrowDown": {"brow_lowerer_#": 1.0},
  "BrowOuterUp": {"outer_brow_raiser_#": 1.0},
  "CheekSquint": {"cheek_raiser_#": 1.0},
  "NoseSneer": {"nose_wrinkler_#": 1.0},
}
_WHOLE = {
  "JawForward": {"jaw_thrust": 1.0},
  "MouthClose": {"lips_toward": 3.5},  # up to _LIPS_BRIDGE; see _together
  "MouthFunnel": {"lip_funneler": 1.0},
  "MouthPucker": {"lip_pucker": 1.0},
  "MouthLeft": {"mouth_left": 1.0},
  "MouthRight": {"mouth_right": 1.0},
  "MouthRollLower": {"lower_lip_press": 1.0},
  "MouthRollUpper": {"upper_lip_press": 1.0},
  "MouthShrugLower": {"chin_raiser": 1.0},
  "MouthShrugUpper": {"upper_lip_raiser_l": 0.4, "upper_lip_raiser_r": 0.4},
  "BrowInnerUp": {"inner_brow_raiser_l": 1.0, "inner_brow_raiser_r": 1.0},
  "CheekPuff": {"cheek_puff_l": 1.0, "cheek_puff_r": 1.0},
}
# Where the face does not tell, the smaller weights: of the mean diagonal of the fit.
_RIDGE = 1e-4
# Of QuickFit: the jaw's turns that are tabulated, and one that stands for those aside.
_HINGE_RAD = np.linspace(-0.1, 0.6, 15)
_SIDEWAYS_RAD = 0.1


@dataclasses.dataclass(frozen=True)
class ArkitCurves:
  """A clip of ARKit weights.

  Attributes:
    weights_TA: float32[T, 52], 0 .. 1, in the order of SHAPES.
    head_T3: float32[T, 3], rad: yaw (> 0 to the subject's left), pitch (> 0 down),
      roll (> 0 towards the subject's right shoulder), applied roll first.
    eyes_T6: float32[T, 6], rad: yaw, pitch, roll of the left, then the right eye.
    fps: frames per second.
    valid_T: bool[T] or None, all seen; false where the recording has a gap.
  """

  weights_TA: np.ndarray
  head_T3: np.ndarray
  eyes_T6: np.ndarray
  fps: float
  valid_T: np.ndarray | None = None


def _actions_of(shape: str) -> dict[str, float]:
  if shape in _WHOLE:
    return _WHOLE[shape]
  for side in ("Left", "Right"):
    if shape.endswith(side) and shape.removesuffix(side) in _BY_SIDE:
      actions = _BY_SIDE[shape.removesuffix(side)]
      return {k.replace("#", side[0].lower()): v for k, v in actions.items()}
  return {}


@functools.cache
def shape_parameters() -> dict[str, np.ndarray]:
  """Each shape's parameters on the default head at weight 1.

  Returns:
    expression [A, E], jaw_pose [A, 3], eyelids [A, 2], eye_pose [A, 6]. TongueOut is
    zero: the face model has no parameter for it. MouthClose's only hold up to the
    part of JawOpen that lips can close, see `_together`.
  """
  activations = np.zeros((len(SHAPES), len(action_units.ACTION_UNITS)))
  for row, shape in enumerate(SHAPES):
    for name, weight in _actions_of(shape).items():
      activations[row, action_units.ACTION_UNITS.index(name)] = weight
  jaw, lids = np.zeros((len(SHAPES), 3)), np.zeros((len(SHAPES), 2))
  eyes = np.zeros((len(SHAPES), 6))
  jaw[_JAW_OPEN, 0] = JAW_OPEN_RAD
  for i, (side, inward) in enumerate((("Left", -1.0), ("Right", 1.0))):
    lids[SHAPES.index(f"EyeBlink{side}"), i] = 1.0
    for what, axis, sign in (
      ("Down", 0, 1.0),
      ("Up", 0, -1.0),
      ("In", 1, inward),
      ("Out", 1, -inward),
    ):
      eyes[SHAPES.index(f"EyeLook{what}{side}"), 3 * i + axis] = sign * LOOK_RAD
  return {
    "expression": action_units.activations_to_expression(activations),
    "jaw_pose": jaw.astype(np.float32),
    "eyelids": lids.astype(np.float32),
    "eye_pose": eyes.astype(np.float32),
  }


def to_motion(curves: ArkitCurves) -> FaceMotion:
  """The motion of the default head that ARKit's weights describe, at the curves' rate.

  Gaze comes from the EyeLook weights; head rotation from yaw, pitch and roll.
  """
  weights_TA = _together(curves.weights_TA)
  tracks = {name: weights_TA @ rows for name, rows in shape_parameters().items()}
  head = transform.Rotation.from_euler("YXZ", curves.head_T3).as_rotvec()
  result = motion.zeros(len(curves.weights_TA)).replace(
    **tracks, head_pose=head, fps=curves.fps
  )
  if curves.valid_T is not None:
    result = result.replace(valid=curves.valid_T)
  return motion.validate(result, "ARKit curves")


def _together(weights_TA) -> np.ndarray:
  """The weights [T, A] with those changed that another one limits.

  MouthClose closes no more than JawOpen opened: first by the lips, then by the jaw. A
  blink closes what a squint leaves open. Added up, lids and lips would pass through one
  another.
  """
  weights_TA = np.array(weights_TA)
  close_T = weights_TA[:, [_MOUTH_CLOSE, _JAW_OPEN]].min(axis=1)
  lips_T = np.minimum(close_T, _LIPS_BRIDGE)
  weights_TA[:, _MOUTH_CLOSE] = lips_T
  weights_TA[:, _JAW_OPEN] -= close_T - lips_T
  for side in ("Left", "Right"):
    blink, squint = SHAPES.index(f"EyeBlink{side}"), SHAPES.index(f"EyeSquint{side}")
    left_open = 1.0 - _SQUINT_CLOSES * weights_TA[:, squint]
    weights_TA[:, blink] = np.minimum(weights_TA[:, blink], left_open)
  return weights_TA


def from_motion(
  face: FaceModel, clip: FaceMotion
) -> tuple[ArkitCurves, dict[str, float]]:
  """Fits ARKit's weights to a motion, frame by frame.

  On the default head the face region's vertices are compared, area-weighted; on another
  model the mediapipe landmarks that both have, scaled by the distance of the eyes.

  Args:
    face: the motion's own face model.
    clip: T frames.

  Returns:
    the curves, and `residual_mm` (mean distance of the points compared),
    `residual_max_mm`, and `motion_mm`, the same mean for all weights 0.

  Raises:
    UserError: the motion is of another model, or the model has too few landmarks.
  """
  points, (shapes_AN3, weight_N) = _points_of(face), _shape_displacements(face)
  fits = [
    _fit(face, piece, points, shapes_AN3, weight_N) for piece in motion.pieces(clip)
  ]
  fitted_TA, distance_T, most_T, moved_T = map(np.concatenate, zip(*fits))
  return _curves(clip, fitted_TA), {
    "residual_mm": float(distance_T.mean() * 1e3),
    "residual_max_mm": float(most_T.max() * 1e3),
    "motion_mm": float(moved_T.mean() * 1e3),
  }


class QuickFit:
  """The fit of `from_motion` for frames that are shown as they come.

  What the points compared move by is looked up: it adds up from each coefficient, each
  lid and the jaw, whose turns about its hinge are tabulated. No vertex is computed, and
  only the few numbers that the bounded least squares needs are kept of each part.
  tests/face/test_arkit.py says how far that may be off.

  Shape letters: R numbers that the least squares is reduced to.
  """

  def __init__(self, face: FaceModel):
    """Raises UserError as `from_motion` does."""
    points, (shapes_AN3, weight_N) = _points_of(face), _shape_displacements(face)
    self._problem = _Problem(shapes_AN3, weight_N)
    num_expression = face.num_expression

    def reduced(count, **tracks):
      rows = motion.zeros(count, face.name, num_expression).replace(**tracks)
      return self._problem.reduce(_displacements(face, rows, points))

    eye = lambda n: np.eye(n, dtype=np.float32)
    hinge_N3 = np.zeros((len(_HINGE_RAD), 3), np.float32)
    hinge_N3[:, 0] = _HINGE_RAD
    self._expression_ER = reduced(num_expression, expression=eye(num_expression))
    self._lids_2R = reduced(2, eyelids=eye(2))
    self._hinge_NR = reduced(len(_HINGE_RAD), jaw_pose=hinge_N3)
    sideways_23 = _SIDEWAYS_RAD * eye(3)[1:]
    self._sideways_2R = reduced(2, jaw_pose=sideways_23) / _SIDEWAYS_RAD

  def curves(self, clip: FaceMotion) -> ArkitCurves:
    """The curves of T frames of the face model that this was made for."""
    right_TR = clip.expression @ self._expression_ER + clip.eyelids @ self._lids_2R
    right_TR += clip.jaw_pose[:, 1:] @ self._sideways_2R
    for right_R, angle in zip(right_TR, clip.jaw_pose[:, 0], strict=True):
      at = np.interp(angle, _HINGE_RAD, np.arange(len(_HINGE_RAD)))
      low = min(int(at), len(_HINGE_RAD) - 2)
      below_R, above_R = self._hinge_NR[low : low + 2]
      right_R += below_R + (at - low) * (above_R - below_R)
    return _curves(clip, _with_gaze(self._problem.solve(right_TR), clip.eye_pose))


def _curves(clip: FaceMotion, fitted_TA) -> ArkitCurves:
  # What was fitted as "open and closed again" is as much JawOpen as MouthClose.
  fitted_TA[:, _JAW_OPEN] += fitted_TA[:, _MOUTH_CLOSE]
  fitted_TA = np.minimum(fitted_TA, 1.0)
  eyes_T23 = clip.eye_pose.reshape(-1, 2, 3)
  euler = lambda turns: transform.Rotation.from_rotvec(turns).as_euler("YXZ")
  return ArkitCurves(
    weights_TA=fitted_TA.astype(np.float32),
    head_T3=euler(motion.world_head_rotation(clip)).astype(np.float32),
    eyes_T6=euler(eyes_T23.reshape(-1, 3)).reshape(-1, 6).astype(np.float32),
    fps=clip.fps,
  )


def _with_gaze(fitted_TA, eye_pose_T6) -> np.ndarray:
  for i, row in enumerate(shape_parameters()["eye_pose"]):
    if row.any():  # one shape a direction: its share of the turn, if it is that way
      fitted_TA[:, i] = np.clip(eye_pose_T6 @ row / (row @ row), 0.0, 1.0)
  return fitted_TA


def _displacements(face, clip, points) -> np.ndarray:
  """float[T, N, 3]: how far the points compared have moved from rest, gaze left out."""
  still = clip.replace(eye_pose=np.zeros_like(clip.eye_pose))
  moved_TV3 = face_model_lib.motion_vertices(
    face, still, head_fixed=True, identity=False
  )
  return points(moved_TV3) - points(np.asarray(face.v_template)[None])[0]


def _fit(face, clip, points, shapes_AN3, weight_N):
  """Of each frame: fitted weights, mean and greatest distance, how far the face moved.

  Returns:
    float64[T, A]; then float64[T] three times, m; means are weighted.
  """
  target_TN3 = _displacements(face, clip, points)
  problem = _Problem(shapes_AN3, weight_N)
  fitted_TA = _with_gaze(problem.solve(problem.reduce(target_TN3)), clip.eye_pose)
  distance_TN = np.linalg.norm(
    np.einsum("ta,ank->tnk", fitted_TA, shapes_AN3) - target_TN3, axis=-1
  )
  share_N, moved_TN = weight_N / weight_N.sum(), np.linalg.norm(target_TN3, axis=-1)
  return fitted_TA, distance_TN @ share_N, distance_TN.max(axis=1), moved_TN @ share_N


def _points_of(face: FaceModel):
  """The function vertices [T, V, 3] -> points [T, N, 3] that are compared."""
  if face.name in head_file.NAMES:  # one skin
    ids = np.asarray(face.regions["face"])
    return lambda vertices: np.asarray(vertices)[:, ids]
  common = _common_landmarks(face)
  return lambda vertices: np.asarray(face_model_lib.landmarks(face, vertices))[
    :, common[0]
  ]


def _common_landmarks(face: FaceModel):
  """Rows of the landmarks that this model and the default head share."""
  head = load_model.default_head()
  shared, ours, default = np.intersect1d(
    face.landmark_ids, head.landmark_ids, return_indices=True
  )
  if len(shared) < 20:
    raise UserError(
      f"{face.name}: shares {len(shared)} landmarks with the default head, ARKit's fit "
      "needs 20; put mediapipe_landmark_embedding.npz beside the model file"
    )
  return ours, default


def _shape_displacements(face: FaceModel) -> tuple[np.ndarray, np.ndarray]:
  """float[A, N, 3] at weight 1, gaze left out, in this model's metres; weights [N].

  MouthClose's is the one of JawOpen and MouthClose together, which is a face that
  occurs; the fit's weight of it counts for both.
  """
  head = load_model.default_head()
  rows = {k: v.copy() for k, v in shape_parameters().items() if k != "eye_pose"}
  scale_A11 = np.ones((len(SHAPES), 1, 1))
  scale_A11[_MOUTH_CLOSE] = _LIPS_BRIDGE
  for name in rows:
    rows[name][_MOUTH_CLOSE] += rows[name][_JAW_OPEN]
    rows[name][_MOUTH_CLOSE] *= _LIPS_BRIDGE
  rows = motion.zeros(len(SHAPES)).replace(**rows)
  vertices = face_model_lib.motion_vertices(head, rows, head_fixed=True, identity=False)
  moved_AV3 = (vertices - np.asarray(head.v_template)) / scale_A11
  if face.name in head_file.NAMES:
    ids = np.asarray(head.regions["face"])
    return moved_AV3[:, ids].astype(np.float64), np.asarray(head.vertex_areas)[ids]
  ours, default = _common_landmarks(face)
  corners = np.asarray(face_model_lib.landmarks(head, moved_AV3))[:, default]
  spread = lambda model, which: np.linalg.norm(
    np.std(
      np.asarray(face_model_lib.landmarks(model, np.asarray(model.v_template)))[which],
      axis=0,
    )
  )
  scale = spread(face, ours) / spread(head, default)
  return scale * corners.astype(np.float64), np.ones(len(ours))


class _Problem:
  """Least squares with weights in [0, 1].

  It is reduced once to A x A by a Cholesky factor of the normal matrix; each frame is
  then a small bounded least squares.
  """

  def __init__(self, shapes_AN3, weight_N):
    self._root_N1 = np.sqrt(weight_N)[:, None]
    basis = (shapes_AN3 * self._root_N1).reshape(len(shapes_AN3), -1)
    self._used_A = np.abs(basis).max(axis=1) > 0
    self._basis = basis[self._used_A]
    gram = self._basis @ self._basis.T
    gram += _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    self._upper = np.linalg.cholesky(gram).T

  def reduce(self, target_TN3) -> np.ndarray:
    """float64[T, R]: all that the fit needs to know of the displacements; linear."""
    target = (target_TN3 * self._root_N1).reshape(len(target_TN3), -1)
    return np.linalg.solve(self._upper.T, self._basis @ target.T).T

  def solve(self, right_TR) -> np.ndarray:
    """float64[T, A]."""
    fitted = np.zeros((len(right_TR), len(self._used_A)))
    for t, row in enumerate(right_TR):
      # Without the upper bound, which is rarely touched, it is ten times as fast.
      try:
        weights, _ = scipy.optimize.nnls(self._upper, row)
      except RuntimeError:  # too many steps
        weights = np.full(self._used_A.sum(), np.inf)
      if weights.max() > 1.0:
        bounds = (0.0, 1.0)
        weights = scipy.optimize.lsq_linear(self._upper, row, bounds, method="bvls").x
      fitted[t, self._used_A] = weights
    return fitted
