"""What each facial action unit does to the default head.

Each action is a displacement field in centimetres at activation 1 (strong, yet
natural), after Ekman, Friesen and Hager 2002, "Facial Action Coding System". One-sided
actions are described for the subject's left and mirrored.

Shape letters: V vertices.
"""

import numpy as np

from tdmm_jax.face.head import curves, rig
from tdmm_jax.face.head.anatomy import (
  Anatomy,
  bump,
  left_side,
  slide_on_eyeballs,
  smooth_step,
)


class _Sculptor:
  """Adds soft pushes to a field; `upper` and `lower` limit them to one lip's side."""

  def __init__(self, anatomy: Anatomy):
    self.anatomy = anatomy
    self.points = anatomy.points
    self.free = anatomy.gain
    self.brow = anatomy.gain * (1.0 - anatomy.lid)
    self.upper = anatomy.gain * (1.0 - anatomy.lower)
    self.lower = anatomy.gain * anatomy.lower
    self.left = left_side(anatomy.points)
    self.red = _red_lip(anatomy)

  def push(self, center, radii, move, mask=None, mirror=False):
    """A Gaussian push of the left side (and its mirror image, if asked)."""
    mask = self.free if mask is None else mask
    weight = bump(self.points, center, radii) * mask
    field = weight[:, None] * np.asarray(move, float)
    if mirror:
      field = field + self.anatomy.mirrored(field)
    return field

  def fold(self, depth, first=0.0, last=1.0):
    """The nasolabial fold: a groove beside the mouth and the cheek's roll over it."""
    ala, end = np.array([1.75, -4.2]), np.array([3.5, -7.2])
    axis = (end - ala) / np.linalg.norm(end - ala)
    offset = self.points[:, :2] - ala
    along = offset @ axis / np.linalg.norm(end - ala)
    across = offset @ np.array([-axis[1], axis[0]])  # positive on the cheek
    across = across - 0.25 * np.sin(np.pi * np.clip(along, 0, 1))
    roll = np.exp(-(((across - 0.55) / 0.5) ** 2))
    roll = roll - 0.8 * np.exp(-(((across + 0.1) / 0.3) ** 2))
    window = smooth_step((along - first) / 0.3 + 0.5)
    window = window * smooth_step((last - along) / 0.3 + 0.5) * (self.points[:, 2] > 4)
    return np.outer(depth * roll * window * self.brow, [0.25, 0.0, 1.0])

  def one_side(self, *fields):
    """The sum of the fields, on the subject's left only."""
    return sum(fields) * self.left[:, None]


def _red_lip(anatomy):
  """float64[V]: 1 on the vermilion, 0.6 at its border, 0 on the skin around it."""
  red = np.zeros(len(anatomy.points))
  share = np.array([0.0, 0.12, 0.45, 0.8, 1.0, 1.0, 1.0, 0.6, 0.2, 0.0, 0.0])
  on_lip = anatomy.lip_ring >= 0
  red[on_lip] = share[anatomy.lip_ring[on_lip]]
  return red


CORNER = np.append(curves.MOUTH_CORNER, 8.35)


def _brow_actions(s):
  lids = rig.lid_shift
  a = s.anatomy
  return {
    "inner_brow_raiser": s.push(
      (1.3, 2.2, 9.2), (1.25, 1.3, 2.0), (-0.05, 0.95, -0.1), s.brow
    )
    + s.push((1.4, 4.0, 9.0), (1.4, 1.0, 2.0), (0, 0.12, 0.06), s.brow)
    + s.push((2.2, 0.9, 8.3), (0.8, 0.6, 1.3), (0, 0.22, 0.05)),
    "outer_brow_raiser": s.push(
      (4.1, 2.5, 7.9), (1.4, 1.3, 2.2), (0, 0.8, -0.2), s.brow
    )
    + lids(a, 0.04, 0.0),
    "brow_lowerer": s.push(
      (1.7, 2.1, 9.0), (1.7, 1.1, 2.0), (-0.28, -0.6, 0.06), s.brow
    )
    + s.push((0.6, 2.2, 9.5), (0.5, 0.9, 1.5), (0, -0.1, 0.12), s.brow)
    + s.push((2.2, 1.2, 8.4), (1.3, 0.6, 1.5), (0, -0.15, 0.1))
    + lids(a, -0.06, 0.0),
    "upper_lid_raiser": lids(a, 0.24, 0.0),
    "lid_tightener": lids(a, -0.12, 0.2)
    + s.push((3.2, -1.3, 8.0), (1.3, 0.6, 1.5), (0, 0.12, 0.08), s.brow),
    "cheek_raiser": s.push((3.9, -2.4, 7.8), (1.4, 1.2, 2.0), (0, 0.42, 0.25), s.brow)
    + s.push((4.9, 0.2, 6.8), (0.9, 1.1, 1.5), (-0.15, 0.0, 0.05), s.brow)
    + s.push((4.3, 2.2, 7.6), (1.2, 0.8, 1.5), (0, -0.15, 0.0), s.brow)
    + lids(a, -0.08, 0.16),
  }


def _nose_and_lip_actions(s):
  fold = (2.4, -4.7, 8.6)
  return {
    "nose_wrinkler": s.push((1.0, -2.4, 9.4), (0.8, 1.5, 1.6), (0, 0.35, 0.12), s.upper)
    + s.push((1.3, -3.9, 9.6), (0.6, 0.7, 1.2), (0.06, 0.38, 0.0), s.upper)
    + s.push((1.2, 1.8, 9.2), (1.0, 0.9, 1.6), (-0.14, -0.42, 0.05), s.brow)
    + s.push((1.7, -6.2, 9.1), (1.0, 0.8, 1.5), (0, 0.25, 0.05), s.upper)
    + s.push((2.6, -1.8, 8.3), (0.9, 0.8, 1.4), (-0.05, 0.25, 0.12), s.brow)
    + s.fold(0.2, last=0.45)
    + rig.lid_shift(s.anatomy, 0.0, 0.1),
    "upper_lip_raiser": s.push(
      (1.3, -6.4, 9.3), (1.0, 0.9, 1.6), (0.05, 0.6, 0.1), s.upper
    )
    + s.push(fold, (0.9, 1.1, 1.5), (0.1, 0.35, 0.2), s.upper)
    + s.push((1.35, -4.1, 9.5), (0.6, 0.6, 1.2), (0.08, 0.18, 0.0), s.upper)
    + s.fold(0.16, last=0.7),
    "nasolabial_deepener": s.push(fold, (0.7, 1.2, 1.4), (0.22, 0.3, 0.18), s.upper)
    + s.fold(0.28, last=0.8)
    + s.push((2.0, -6.6, 9.0), (0.7, 0.6, 1.4), (0.12, 0.22, 0.0), s.upper),
    "lip_corner_puller": s.push(CORNER, (1.2, 1.15, 2.2), (0.75, 0.85, -0.65))
    + s.push((1.3, -7.0, 9.0), (1.0, 1.1, 1.8), (0.18, 0.1, -0.12))
    + s.push((3.7, -3.9, 7.9), (1.2, 1.1, 2.0), (0.12, 0.42, 0.42), s.brow)
    + s.fold(0.17)
    + rig.lid_shift(s.anatomy, 0.0, 0.06),
    "sharp_lip_puller": s.push(CORNER, (0.8, 1.0, 2.0), (0.12, 0.9, -0.25))
    + s.push((3.1, -5.2, 8.3), (0.9, 0.9, 1.6), (0.1, 0.2, 0.35)),
    "dimpler": s.push(CORNER, (0.9, 0.8, 2.0), (0.45, 0.12, -0.55))
    + s.push((3.5, -6.8, 7.7), (0.6, 0.9, 1.4), (0.0, 0.0, 0.25))
    + s.push((3.0, -6.9, 8.0), (0.4, 0.55, 1.2), (-0.05, 0.0, -0.22)),
    "lip_corner_depressor": s.push(CORNER, (1.0, 1.0, 2.0), (0.12, -0.85, -0.2))
    + s.push((1.4, -7.4, 9.0), (0.9, 0.8, 1.6), (0.08, -0.18, 0.0), s.lower)
    + s.push((2.7, -9.0, 7.9), (0.8, 0.8, 1.5), (0.05, -0.15, 0.25)),
    "lower_lip_depressor": s.push(
      (1.2, -7.5, 9.2), (0.95, 0.9, 1.7), (0.12, -0.62, 0.05), s.lower
    )
    + s.push((1.4, -9.2, 8.6), (1.0, 0.8, 1.6), (0.08, -0.2, 0.15), s.lower),
    "lip_stretcher": s.push(CORNER, (1.3, 1.0, 2.2), (0.85, -0.25, -0.6))
    + s.push((1.3, -7.0, 9.0), (1.0, 0.9, 1.8), (0.22, 0.0, -0.2))
    + s.push((4.0, -8.2, 6.0), (1.2, 1.6, 2.0), (0.2, 0.0, 0.1)),
    "cheek_puff": s.push((4.0, -6.0, 6.9), (1.4, 1.4, 2.0), (0.75, 0.0, 0.65))
    + s.push((2.0, -5.6, 9.0), (0.9, 0.5, 1.5), (0.05, 0.0, 0.25), s.upper),
    "jaw_sideways": _jaw_share(s)[:, None] * [0.65, 0, 0]
    + s.push((0, -7.0, 9.3), (2.2, 1.2, 2.5), (0.25, 0, 0), s.upper)
    + s.push(CORNER, (0.9, 0.9, 1.8), (0.1, 0.1, -0.15)),
    "mouth": s.push((0, -7.0, 9.3), (2.4, 1.2, 2.5), (0.95, 0.0, 0.0))
    + s.push(CORNER, (0.9, 0.9, 1.8), (0.25, 0.22, -0.4))
    + s.push((3.6, -5.2, 7.9), (1.0, 1.2, 1.8), (0.15, 0.12, 0.3)),
  }


def _jaw_share(s):
  """float64[V]: the jaw's skinning weight, teeth included."""
  return rig.skinning_weights(s.anatomy)[:, 2]


def _mouth_actions(s):
  p, a = s.points, s.anatomy
  mouth = bump(p, (0, -7.0, 9.0), (2.4, 1.5, 2.8)) * s.free
  x = p[:, 0]
  contact = curves.lip_contact(x)
  above = (p[:, 1] - contact) * s.free
  narrow = -x * mouth
  zero = np.zeros_like(x)
  field = lambda fx, fy, fz: np.column_stack([fx + zero, fy + zero, fz + zero])
  flat = 1.0 - np.minimum(np.abs(x) / 2.5, 1.0) ** 2  # 1 mid-lip, 0 at the corners
  chin = s.push((0, -9.8, 9.2), (1.5, 1.0, 2.0), (0, 0.45, 0.15), s.lower)
  return {
    "chin_raiser": chin
    + s.push((0, -7.6, 9.5), (1.8, 0.7, 2.0), (0, 0.4, 0.28), s.lower)
    + s.push((0, -6.6, 9.5), (1.8, 0.7, 2.0), (0, 0.22, 0.1), s.upper)
    + s.push(CORNER, (0.8, 0.8, 1.6), (0, -0.15, 0), mirror=True),
    "lip_pucker": field(
      0.58 * narrow, 0.4 * above * s.red, 0.9 * mouth * (0.35 + 0.65 * flat)
    ),
    "lip_funneler": field(
      0.36 * narrow,
      0.42 * mouth * flat * s.red * (1.0 - 2.0 * a.lower),
      0.6 * mouth * (0.4 + 0.6 * s.red),
    ),
    "lip_tightener": field(0.12 * narrow, -0.42 * above * s.red, -0.08 * mouth * s.red),
    "lip_pressor": field(0.0, -0.5 * above * s.red, -0.14 * s.red * mouth)
    + s.push((0, -8.6, 8.9), (1.8, 0.5, 1.6), (0, 0.1, 0.16), s.lower)
    + s.push((0, -5.6, 9.3), (1.8, 0.4, 1.6), (0, -0.05, 0.12), s.upper),
    "lips_part": field(0.0, flat * mouth * (0.2 - 0.6 * a.lower), 0.0),
    "lips_toward": field(
      0.04 * narrow, flat * mouth * (-0.35 + 1.05 * a.lower), 0.12 * mouth
    ),
    "lip_suck": field(0.03 * narrow, -0.75 * above * s.red, -0.5 * s.red * mouth),
    "upper_lip_press": s.upper[:, None]
    * field(
      0.0, -0.75 * above * s.red - 0.12 * s.red * flat * mouth, -0.4 * s.red * mouth
    ),
    "lower_lip_press": s.lower[:, None]
    * field(
      0.0, -0.75 * above * s.red + 0.12 * s.red * flat * mouth, -0.4 * s.red * mouth
    ),
    "jaw_thrust": _jaw_share(s)[:, None] * [0, 0.05, 0.6],
    "cheek_suck": s.push(
      (3.9, -6.2, 7.2), (1.3, 1.4, 2.0), (-0.55, 0, -0.5), mirror=True
    )
    + field(0.12 * narrow, 0.0, 0.2 * mouth),
    "nostril_dilator": s.push(
      (1.5, -4.1, 9.6), (0.5, 0.6, 0.9), (0.28, 0.08, 0.0), mirror=True
    ),
    "nostril_compressor": s.push(
      (1.4, -4.0, 9.8), (0.5, 0.7, 0.9), (-0.25, -0.1, 0.0), mirror=True
    )
    + s.push((0, -3.8, 11.3), (0.6, 0.6, 0.9), (0, -0.1, 0.0)),
  }


BOTH_SIDED = ("jaw_sideways", "mouth")  # reach across the midline


def action_fields(anatomy: Anatomy) -> dict[str, np.ndarray]:
  """float64[V, 3], cm at activation 1, by the names in `action_units.ACTION_UNITS`."""
  s = _Sculptor(anatomy)
  fields = {}
  for name, field in (_brow_actions(s) | _nose_and_lip_actions(s)).items():
    left = field if name in BOTH_SIDED else s.one_side(field)
    left = slide_on_eyeballs(anatomy, left)
    left_name = f"{name}_left" if name == "mouth" else f"{name}_l"
    right_name = f"{name}_right" if name == "mouth" else f"{name}_r"
    fields[left_name], fields[right_name] = left, anatomy.mirrored(left)
  for name, field in _mouth_actions(s).items():
    fields[name] = slide_on_eyeballs(anatomy, 0.5 * (field + anatomy.mirrored(field)))
  return fields
