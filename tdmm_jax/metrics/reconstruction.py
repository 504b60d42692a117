"""Errors of reconstructed motions over whole corpora: vertices never leave the device.

A metric is (sum, weight), pooled over valid frames; FDD is a mean over clips.

Shape letters: B batch, T frames, V vertices, P motion vector. Vertices are head-fixed,
of identity zero, in mm.
"""

import collections
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import motion_vector
from tdmm_jax.face.turns import transform
from tdmm_jax.metrics import smoothness

_FRAMES = 2_048  # at a time: 150 MB for each copy of 5,000 vertices
_LENGTH_MULTIPLE = 64  # few compiled shapes


def errors(
  face, clips: Sequence[dict], decoded: Sequence[np.ndarray], constant_P
) -> dict[str, float]:
  """Means over clips, of the reconstruction and (`constant_*`) of one frame instead.

  Args:
    face: the FaceModel of the motions.
    clips: dicts of vectors float32[T, P] and valid bool[T].
    decoded: float32[T, P] of each clip.
    constant_P: the mean training frame.

  Returns:
    face_error_mm, fve_mm (unweighted), mve_mm (all vertices), head_error_deg, fdd_mm2,
    fdd_abs_mm, and three lip errors that differ by orders of magnitude, lip_error_mm
    (MMHead: mean_t max_v ‖p−g‖), lip_lve_sq_mm2 (CodeTalker: mean_t max_v ‖p−g‖²) and
    lip_lve_rms_mm (ARTalk: its root); each also with the prefix constant_. And
    jitter_ratio.
  """
  sums = collections.defaultdict(lambda: np.zeros(2))
  constant_P = np.asarray(constant_P, np.float32)
  still_BTP = constant_P[None, None]
  for p_BTP, g_BTP, valid_BT in _batches(clips, decoded):
    batch_sums = _batch_errors(face, p_BTP, still_BTP, g_BTP, valid_BT)
    for name, pair in jax.device_get(batch_sums).items():
      sums[name] += np.asarray(pair, np.float64)
  for clip, p_TP in zip(clips, decoded, strict=True):
    valid_T = np.asarray(clip["valid"], bool)
    if not valid_T.any():
      continue
    g_T3 = clip["vectors"][:, -3:]
    still_T3 = np.broadcast_to(constant_P[-3:], g_T3.shape)
    for prefix, head_T3 in (("", p_TP[:, -3:]), ("constant_", still_T3)):
      angle = head_error_deg(head_T3, g_T3, valid_T)
      sums[f"{prefix}head_error_deg"] += np.array([angle, 1.0]) * valid_T.sum()
  means = {name: float(total / max(n, 1e-9)) for name, (total, n) in sums.items()}
  for prefix in ("", "constant_"):
    means[f"{prefix}lip_lve_rms_mm"] = means[f"{prefix}lip_lve_sq_mm2"] ** 0.5
  means["jitter_ratio"] = means.pop("jitter") / means.pop("truth_jitter")
  return means


def _batches(clips, decoded):
  """Padded batches of clips of like lengths: decoded, true vectors, valid."""
  both = [
    np.concatenate([p_TP, clip["vectors"]], axis=1, dtype=np.float32)
    for clip, p_TP in zip(clips, decoded, strict=True)
  ]
  valid = [clip["valid"] for clip in clips]
  rows = min(_FRAMES // _LENGTH_MULTIPLE, len(both))
  for batch in motion_vector.batches(both, rows, _LENGTH_MULTIPLE, valid, _FRAMES):
    yield *np.split(batch.values, 2, axis=-1), batch.mask


def head_error_deg(p_T3, g_T3, valid_T) -> float:
  """Mean geodesic angle between head rotations (axis-angle, rad), degrees."""
  p, g = (
    transform.Rotation.from_rotvec(rotations[valid_T]) for rotations in (p_T3, g_T3)
  )
  return float(np.degrees((p.inv() * g).magnitude()).mean())


def _vertices(face, vectors_BTP):
  """float32[B, T, V, 3], mm; lids within their range, as in `to_motion`."""
  fields = motion_vector.split(vectors_BTP)
  fields.pop("head_pose")
  fields["eyelids"] = jnp.clip(fields["eyelids"], 0.0, 1.0)
  return face_lib.head_fixed_vertices(face, **fields) * 1000.0


@jax.jit
def _batch_errors(face, p_BTP, still_BTP, g_BTP, valid_BT) -> dict:
  g_BTV3, p_BTV3 = _vertices(face, g_BTP), _vertices(face, p_BTP)
  still = _vertex_errors(face, _vertices(face, still_BTP), g_BTV3, valid_BT)
  region = face.regions["face"]
  return {
    **_vertex_errors(face, p_BTV3, g_BTV3, valid_BT),
    **{f"constant_{name}": pair for name, pair in still.items()},
    "jitter": smoothness.jitter(p_BTV3[:, :, region], valid_BT),
    "truth_jitter": smoothness.jitter(g_BTV3[:, :, region], valid_BT),
  }


def _vertex_errors(face, p_BTV3, g_BTV3, valid_BT) -> dict:
  region, lips = face.regions["face"], face.regions["lips"]
  share_V = face.vertex_areas[region] / face.vertex_areas[region].sum()
  distance_BTV = jnp.linalg.norm(p_BTV3 - g_BTV3, axis=-1)
  worst_BT = distance_BTV[..., lips].max(-1)
  mean = lambda values_BT: (jnp.sum(values_BT * valid_BT), valid_BT.sum())
  return {
    "face_error_mm": mean(jnp.sum(distance_BTV[..., region] * share_V, -1)),
    "fve_mm": mean(distance_BTV[..., region].mean(-1)),
    "mve_mm": mean(distance_BTV.mean(-1)),
    "lip_error_mm": mean(worst_BT),
    "lip_lve_sq_mm2": mean(worst_BT**2),
    **_dynamics(face, p_BTV3, g_BTV3, valid_BT),
  }


def _dynamics(face, p_BTV3, g_BTV3, valid_BT) -> dict:
  """Upper-face dynamics deviation: does the face move as much as the truth?

  fdd_mm2 (CodeTalker): mean_v [std_t ‖g−rest‖² − std_t ‖p−rest‖²], above 0 where p
  moves less; fdd_abs_mm (ARTalk): mean_v |std_t Σxyz g − std_t Σxyz p|.
  """
  upper = face.regions["upper_face"]
  width = face.num_expression + motion_vector.NUM_POSE
  rest_V3 = _vertices(face, jnp.zeros((1, 1, width)))[0, 0, upper]
  weight_BT = valid_BT / jnp.maximum(valid_BT.sum(-1, keepdims=True), 1.0)

  def std(values_BTV):
    values_BTV = jnp.broadcast_to(values_BTV, (*valid_BT.shape, values_BTV.shape[-1]))
    # Sums, not matrix products: those are of few digits on some devices.
    mean = lambda x_BTV: jnp.sum(x_BTV * weight_BT[..., None], 1)
    centred_BTV = values_BTV - mean(values_BTV)[:, None]
    return jnp.sqrt(mean(centred_BTV**2))

  p, g = p_BTV3[:, :, upper] - rest_V3, g_BTV3[:, :, upper] - rest_V3
  squares_BV = std(jnp.sum(g**2, -1)) - std(jnp.sum(p**2, -1))
  sums_BV = jnp.abs(std(g.sum(-1)) - std(p.sum(-1)))
  counts_B = (valid_BT.sum(-1) > 0).astype(jnp.float32)
  total = lambda values_BV: (jnp.sum(values_BV.mean(-1) * counts_B), counts_B.sum())
  return {"fdd_mm2": total(squares_BV), "fdd_abs_mm": total(sums_BV)}
