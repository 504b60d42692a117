"""Facial action units (FACS) of the default head, and how they become expression.

The order of `ACTION_UNITS` is a contract: an activation vector is indexed by it.
Names ending in `_l` / `_r` act on the subject's left / right side (x > 0 / x < 0).
What FACS codes and other parameters carry is not here: jaw opening (AU26, AU27) is
`jaw_pose` x > 0, lid closing (AU43, AU45) is `eyelids`, gaze is `eye_pose` and the
head's movements are `head_pose`.

Shape letters: U action units (50), E expression coefficients (50).
"""

import numpy as np

from tdmm_jax.face import head_file

ACTION_UNITS: tuple[str, ...] = (
  "inner_brow_raiser_l",  # AU1
  "inner_brow_raiser_r",
  "outer_brow_raiser_l",  # AU2
  "outer_brow_raiser_r",
  "brow_lowerer_l",  # AU4
  "brow_lowerer_r",
  "upper_lid_raiser_l",  # AU5
  "upper_lid_raiser_r",
  "cheek_raiser_l",  # AU6
  "cheek_raiser_r",
  "lid_tightener_l",  # AU7
  "lid_tightener_r",
  "nose_wrinkler_l",  # AU9
  "nose_wrinkler_r",
  "upper_lip_raiser_l",  # AU10
  "upper_lip_raiser_r",
  "nasolabial_deepener_l",  # AU11
  "nasolabial_deepener_r",
  "lip_corner_puller_l",  # AU12
  "lip_corner_puller_r",
  "sharp_lip_puller_l",  # AU13
  "sharp_lip_puller_r",
  "dimpler_l",  # AU14
  "dimpler_r",
  "lip_corner_depressor_l",  # AU15
  "lip_corner_depressor_r",
  "lower_lip_depressor_l",  # AU16
  "lower_lip_depressor_r",
  "lip_stretcher_l",  # AU20
  "lip_stretcher_r",
  "cheek_puff_l",  # AU33, AU34
  "cheek_puff_r",
  "jaw_sideways_l",  # AU30, with jaw_pose at rest
  "jaw_sideways_r",
  "mouth_left",  # the whole mouth drawn to the subject's left
  "mouth_right",
  "chin_raiser",  # AU17
  "lip_pucker",  # AU18
  "lip_funneler",  # AU22
  "lip_tightener",  # AU23
  "lip_pressor",  # AU24
  "lips_part",  # AU25
  "lips_toward",  # AU8: lips meet although the jaw is open
  "lip_suck",  # AU28
  "upper_lip_press",  # upper lip rolled down and in
  "lower_lip_press",  # lower lip rolled up and in
  "jaw_thrust",  # AU29
  "cheek_suck",  # AU35
  "nostril_dilator",  # AU38
  "nostril_compressor",  # AU39
)


def activations_to_expression(
  activations: np.ndarray, face_model: str = head_file.DEFAULT
) -> np.ndarray:
  """Expression coefficients of the default head that show these action units.

  Args:
    activations: float[..., U], 0 = at rest, 1 = a strong yet natural action.
    face_model: name of the head of the project's own.

  Returns:
    float32[..., E]; linear in the activations, and the action units' displacement
    fields are reproduced exactly.

  Raises:
    ValueError: if the last axis is not U = 50 long.
  """
  activations = np.asarray(activations)
  if activations.shape[-1] != len(ACTION_UNITS):
    raise ValueError(
      f"activations end in {activations.shape[-1]}; expected {len(ACTION_UNITS)},"
      " one for each name in ACTION_UNITS"
    )
  return (activations @ head_file.activation_matrix(face_model).T).astype(np.float32)
