"""Errors of reconstructed or generated faces, in mm and degrees (PEERS formulas).

Shape letters: T frames, V vertices. p predicted, g ground truth; head-fixed vertices in
metres in, mm out. Every function averages over valid frames only.
"""

import numpy as np
from scipy.spatial.transform import Rotation

_MM = 1000.0


def face_error_mm(p_TV3, g_TV3, areas_V, valid_T) -> float:
  """Mean over valid frames of the area-weighted mean of ‖p − g‖, mm."""
  distance_TV = np.linalg.norm(p_TV3 - g_TV3, axis=-1)[valid_T] * _MM
  return float(np.mean(distance_TV @ (areas_V / areas_V.sum())))


def head_error_deg(p_T3, g_T3, valid_T) -> float:
  """Mean geodesic angle between head rotations (axis-angle, rad), degrees."""
  delta = Rotation.from_rotvec(p_T3[valid_T]).inv() * Rotation.from_rotvec(
    g_T3[valid_T]
  )
  return float(np.degrees(delta.magnitude()).mean())


def lip_errors(p_TL3, g_TL3, valid_T) -> dict[str, float]:
  """The three lip vertex errors in use; they differ by orders of magnitude.

  Args:
    p_TL3, g_TL3: lip vertices, metres, head-fixed.

  Returns:
    lve_sq_mm2 (CodeTalker): mean_t max_v ‖p−g‖²; lve_l2_mm (MMHead): mean_t max_v
    ‖p−g‖; lve_rms_mm (ARTalk): sqrt of the first.
  """
  worst_T = np.linalg.norm(p_TL3 - g_TL3, axis=-1)[valid_T].max(axis=-1) * _MM
  square = float(np.mean(worst_T**2))
  return {
    "lve_sq_mm2": square,
    "lve_l2_mm": float(np.mean(worst_T)),
    "lve_rms_mm": float(np.sqrt(square)),
  }


def fdd(p_TU3, g_TU3, rest_U3, valid_T) -> dict[str, float]:
  """Upper-face dynamics deviation: does the face move as much as the truth?

  Args:
    p_TU3, g_TU3: upper-face vertices, metres, head-fixed. rest_U3: the template's.

  Returns:
    fdd_mm2 (CodeTalker): mean_v [std_t ‖g−rest‖² − std_t ‖p−rest‖²], above 0 where p
    moves less; fdd_abs_mm (ARTalk): mean_v |std_t Σxyz g − std_t Σxyz p|.
  """
  p, g = ((x[valid_T] - rest_U3) * _MM for x in (p_TU3, g_TU3))
  squares = (g**2).sum(-1).std(0) - (p**2).sum(-1).std(0)
  sums = np.abs(g.sum(-1).std(0) - p.sum(-1).std(0))
  return {"fdd_mm2": float(squares.mean()), "fdd_abs_mm": float(sums.mean())}


def vertex_error_mm(p_TV3, g_TV3, valid_T) -> float:
  """Mean ‖p − g‖ over valid frames and vertices, mm: FVE of the face, MVE of all."""
  return float(np.linalg.norm(p_TV3 - g_TV3, axis=-1)[valid_T].mean() * _MM)


def jitter(x_TV3, valid_T, fps: float = 25.0) -> tuple[float, int]:
  """Third difference: (sum over windows of the mean ‖·‖ · fps³, windows), m/s³.

  Only windows of four valid frames count.
  """
  third = x_TV3[3:] - 3 * x_TV3[2:-1] + 3 * x_TV3[1:-2] - x_TV3[:-3]
  ok = valid_T[3:] & valid_T[2:-1] & valid_T[1:-2] & valid_T[:-3]
  values = np.linalg.norm(third, axis=-1).mean(-1)[ok] * fps**3
  return float(values.sum()), int(ok.sum())
