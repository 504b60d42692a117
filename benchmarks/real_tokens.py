"""The tokenizer on real motion, which it never saw, and its worst frames.

  python -m benchmarks.real_tokens --run runs/train --real DIR --picture real_tokens.png

DIR holds `open3dfacevid_clips/`, whose landmarks are fitted with the default head, and
`flame_sequence/`. The fitted clips are encoded and decoded, and scored as `tdmm
evaluate` scores a tokenizer; beside it the split given by `--split` of the run's own
records. `--picture` shows the worst frame of each clip, fitted and decoded.

The FLAME performance is a stress test of the way a FLAME user's data takes, without a
claim of quality. A model file in FLAME's format is written (`flame_test_model`: the
default head, for FLAME's own is licensed) and read again; with it all 64 coefficients
pose a mesh in every frame; the meshes are fitted with the default head; and that motion
is encoded. Prints one JSON document.
"""

import argparse
import json
import pathlib
import tempfile

import numpy as np

from benchmarks import flame_test_model
from data_prep import motion_statistics
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.face import face_model, motion_vector
from tdmm_jax.face.files import flame_model, read
from tdmm_jax.face.fit import fit_vertices
from tdmm_jax.metrics import codebook, reconstruction
from tdmm_jax.render import contact_sheet, scene
from tdmm_jax.runs import locate

_SIZE = (192, 192)
_FEW = 16
_SHOWN = (
  ("face_error_mm", "constant_face_error_mm", "head_error_deg")
  + ("constant_head_error_deg", "lip_error_mm", "fdd_mm2", "jitter_ratio")
  + ("codebook_used", "perplexity", "num_frames")
)


def scores(codec, clips: list[dict]) -> tuple[dict, list[np.ndarray]]:
  """(errors, decoded float32[T, P] of each clip); `clips`: those of each, of a few."""
  codes = codec.encode_vectors([clip["vectors"] for clip in clips])
  decoded = codec.decode_vectors(codes)
  constant_P = codec.variables["stats"]["params_mean"]

  def of(some):
    found = reconstruction.errors(
      codec.face, [clips[i] for i in some], [decoded[i] for i in some], constant_P
    )
    used = codebook.usage(np.concatenate([codes[i] for i in some]), codec.num_codes)
    return {key: (found | used)[key] for key in _SHOWN}

  found = of(range(len(clips)))
  if len(clips) <= _FEW:
    found["clips"] = {clip["clip_id"]: of([i]) for i, clip in enumerate(clips)}
  return found, decoded


def _vertices(face, vectors_TP, head_fixed: bool) -> np.ndarray:
  motion = motion_vector.to_motion(vectors_TP, face.name)
  return face_model.motion_vertices(face, motion, head_fixed, identity=False)


def frame_errors_mm(face, clip: dict, decoded_TP) -> np.ndarray:
  """Area-weighted face error of each frame, float[T]; 0 where it was not observed."""
  region = np.asarray(face.regions["face"])
  share_V = np.asarray(face.vertex_areas)[region]
  true, made = (
    _vertices(face, x, True)[:, region] for x in (clip["vectors"], decoded_TP)
  )
  error_TV = np.linalg.norm(true - made, axis=-1) * 1000
  return error_TV @ (share_V / share_V.sum()) * clip["valid"]


def draw(codec, clips: list[dict], decoded: list[np.ndarray], path) -> list[dict]:
  """Writes the picture; {"face_error_mm", "clip", "frame"} of a column, worst first."""
  worst = []
  for clip, made_TP in zip(clips, decoded, strict=True):
    error_T = frame_errors_mm(codec.face, clip, made_TP)
    frame = int(error_T.argmax())
    frames = np.stack([clip["vectors"][frame], made_TP[frame]])
    worst.append((float(error_T[frame]), clip["clip_id"], frame, frames))
  worst.sort(key=lambda item: -item[0])
  rows = []
  for row in range(2):
    vectors = np.stack([frames[row] for *_, frames in worst])
    vertices = _vertices(codec.face, vectors, False)
    rows.append(scene.render_frames(codec.face, vertices, _SIZE))
  numbers = ", ".join(f"{error:.2f}" for error, *_ in worst)
  caption = f"The worst frame of each real clip; face error in mm: {numbers}"
  contact_sheet.contact_sheet(
    rows[1], path, caption, len(worst), "decoded", {"fitted": rows[0]}, fps=0
  )
  names = ("face_error_mm", "clip", "frame")
  return [dict(zip(names, item[:3])) for item in worst]


def performance(codec, folder: pathlib.Path) -> list[dict]:
  """The FLAME sequences as clips of the default head; none if there are none.

  Each also has `fit_error_mm`, the mean distance of the fitted vertices to the posed.
  """
  found = []
  with tempfile.TemporaryDirectory() as model_folder:
    model_file = flame_test_model.write(model_folder)
    for path in sorted(folder.glob("*.npz")):
      motion = read.load_motion(path)
      flame = flame_model.load_flame(model_file, motion.num_expression)
      posed = face_model.motion_vertices(flame, motion, identity=False)
      fitted, error = fit_vertices.fit_vertices(
        codec.face, posed, motion.fps, identity=False
      )
      clip = {"vectors": motion_vector.from_motion(fitted), "valid": motion.valid}
      found.append({"clip_id": path.stem, "fit_error_mm": error["error_mm"], **clip})
  return found


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  parser.add_argument("--run")
  parser.add_argument("--records", help="default: the run's")
  parser.add_argument("--real", required=True, help="folder of real data")
  parser.add_argument("--split", default="valid", choices=("valid", "test"))
  parser.add_argument("--clips", type=int, help="at most so many of the split")
  parser.add_argument("--picture", help="PNG of the worst frames")
  args = parser.parse_args()
  directory = locate.find(args.run)
  codec = motion_codec.load(directory / locate.TOKENIZER)
  real = pathlib.Path(args.real)
  names = sorted((real / motion_statistics.CLIPS).glob("*.landmarks.npz"))
  motions = motion_statistics.fitted_clips(real)
  clips = [
    {
      "clip_id": path.name.removesuffix(".landmarks.npz"),
      "vectors": motion_vector.from_motion(motion),
      "valid": motion.valid,
    }
    for path, motion in zip(names, motions, strict=True)
  ]
  found = {}
  found["real"], decoded = scores(codec, clips)
  if args.picture:
    found["worst"] = draw(codec, clips, decoded, args.picture)
  sequences = performance(codec, real / motion_statistics.SEQUENCES)
  if sequences:
    found["flame_sequence"], _ = scores(codec, sequences)
    errors = {clip["clip_id"]: clip["fit_error_mm"] for clip in sequences}
    found["flame_sequence"]["fit_error_mm"] = errors
  held_out = records.load_clips(args.records or directory / "records", args.split)
  found[args.split], _ = scores(codec, held_out[: args.clips])
  print(json.dumps(found, indent=2))


if __name__ == "__main__":
  main()
