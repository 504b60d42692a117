"""A trained geometry tokenizer, ready to use: FaceMotion in, codes out, and back."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from etils import epath

from tdmm_jax.errors import UserError
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import head_file, load_model, motion_vector
from tdmm_jax.face import motion as motion_lib
from tdmm_jax.face.fit import between_heads
from tdmm_jax.models import conv_vq, motion_tokenizer
from tdmm_jax.runs import checkpoints, kept_programs

_BATCH = 16
_LENGTH_MULTIPLE = 128  # few compiled shapes; padding never changes a token
_WINDOW = 1_024  # frames at a time of a longer motion, so that memory stays bounded


def training_vertices(face, num_vertices: int, lip_weight: float) -> np.ndarray:
  """A fixed, area-weighted sample of the face region's vertices, lips more often.

  Returns:
    int32[num_vertices'] sorted vertex ids, num_vertices' <= num_vertices.
  """
  region = np.asarray(face.regions["face"])
  weight = np.asarray(face.vertex_areas)[region].astype(np.float64)
  weight = weight * np.where(np.isin(region, face.regions["lips"]), lip_weight, 1.0)
  size = min(num_vertices, int((weight > 0).sum()))
  rng = np.random.default_rng(0)
  picked = rng.choice(region, size, replace=False, p=weight / weight.sum())
  return np.sort(picked).astype(np.int32)


def build_model(config: ml_collections.ConfigDict, num_expression: int):
  """The network of a config: a MotionTokenizer ("temporal") or a ConvVQ ("t2m_gpt").

  Raises:
    UserError: `config.model.network` is unknown.
  """
  networks = {
    "temporal": motion_tokenizer.MotionTokenizer,
    "t2m_gpt": conv_vq.ConvVQ,
  }
  model = config.model.to_dict()
  # Hashable, as what programs are kept for has to be.
  model = {k: tuple(v) if isinstance(v, list) else v for k, v in model.items()}
  network = model.pop("network")
  if network not in networks:
    raise UserError(
      f"config.model.network: {network!r}; choose 'temporal' or 't2m_gpt'"
    )
  num_vertices = model.pop("num_vertices")
  model.pop("lip_weight")
  return networks[network](
    **model,
    num_params=num_expression + motion_vector.NUM_POSE,
    num_geometry=num_vertices * 3,
  )


class MotionCodec:
  """Encodes and decodes motions of any length with a trained tokenizer.

  Attributes:
    face: the full FaceModel the coefficients belong to.
    num_codes: codebook size; frame t's code lies in the share of phase
      t mod num_phases.
    version: hash of the trained weights; stored by language models.
  """

  def __init__(self, config, variables: dict, face, version: str):
    self.config, self.face, self.version = config, face, version
    self.variables = variables
    ids = training_vertices(face, config.model.num_vertices, config.model.lip_weight)
    self.subset = face_lib.vertex_subset(face, ids)
    self.model = build_model(config, face.num_expression)
    self.num_phases = self.model.num_phases
    self.num_codes = self.model.num_codes

  @property
  def reach(self) -> int:
    """How many frames to each side a decoded frame depends on."""
    return self.model.reach

  @property
  def std_P(self) -> np.ndarray:
    """Standard deviations of the training set's motion vectors, float32[P]."""
    return np.asarray(self.variables["stats"]["params_std"])

  def code_vectors(self) -> np.ndarray:
    """float32[K, N]: what the decoder is given for each code."""
    codes_K = jnp.arange(self.num_codes)
    vectors_KN = self.model.apply(self.variables, codes_K, method="code_vectors")
    return np.asarray(vectors_KN)

  def encode_window(self, vectors_BTP, mask_BT) -> np.ndarray:
    """Codes int32[B, T]; mask 0 = outside the motion. Frame 0 is of phase 0.

    Exact where all of a frame's `reach` lies in the window or outside the motion.
    """
    given = (self.variables, self.subset, vectors_BTP, mask_BT)
    return np.asarray(_encode(self.model, *given))

  def decode_window(self, codes_BT, mask_BT) -> np.ndarray:
    """Motion vectors float32[B, T, P]; mask 0 = outside the motion.

    Exact where all of a frame's `reach` lies in the window or outside the motion.
    """
    return np.asarray(_decode(self.model, self.variables, codes_BT, mask_BT))

  def encode(
    self, motions: Sequence[motion_lib.FaceMotion], where: str = "motion"
  ) -> list[np.ndarray]:
    """Codes int32[T] of each motion.

    Raises:
      UserError: a motion of a face model that is not shipped and not the run's, or of
        another number of coefficients; `where` is what the message calls it.
    """
    own = [self.adopt(motion, where) for motion in motions]
    return self.encode_vectors([motion_vector.from_motion(motion) for motion in own])

  def adopt(
    self, motion: motion_lib.FaceMotion, where: str = "motion"
  ) -> motion_lib.FaceMotion:
    """The motion in this run's basis, as it is or, with a warning, carried over.

    What is carried over is a motion of another head that the package ships.

    Raises:
      UserError: as `encode`.
    """
    if {motion.face_model, self.face.name} <= set(head_file.NAMES):
      motion = between_heads.adopt(motion, self.face.name, where)
    elif motion.face_model != self.face.name:
      raise UserError(
        f"{where}: its coefficients belong to '{motion.face_model}', this run was "
        f"trained on '{self.face.name}'; carry it over with its model's file "
        "(tdmm retarget, face.fit.retarget), or use a run trained on it"
      )
    if motion.num_expression != self.face.num_expression:
      raise UserError(
        f"{where}: {motion.num_expression} expression coefficients, this run was "
        f"trained with {self.face.num_expression}; export it again with that many"
      )
    return motion

  def encode_vectors(
    self, vectors: Sequence[np.ndarray], say: Callable[[int], None] = lambda count: None
  ) -> list[np.ndarray]:
    """Codes int32[T] of motion vectors float32[T, P].

    `say` is called with the number of frames newly encoded.
    """
    return self._long(self.encode_window, vectors, say)

  def decode_vectors(self, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Motion vectors float32[T, P] of codes int[T]."""
    vectors = self._long(self.decode_window, [self.ended(row) for row in codes])
    return [made[: len(row)] for made, row in zip(vectors, codes, strict=True)]

  def ended(self, codes: np.ndarray) -> np.ndarray:
    """Codes int[T], and after them the last of each phase once more.

    Where a motion just stops, the decoder turns the head by 3 degrees in the last six
    frames: it lacks what each of the codes to come would say. A last pose that is held
    says it. Motions without a code of each phase stay as they are.
    """
    tail = codes[-self.num_phases :]
    return np.concatenate([codes, tail]) if len(tail) == self.num_phases else codes

  def _long(
    self, call, items: Sequence[np.ndarray], say=lambda count: None
  ) -> list[np.ndarray]:
    """`call(values, mask)` of items, cut into pieces that overlap by the reach."""
    cuts = [(i, *cut) for i, x in enumerate(items) for cut in self._pieces(len(x))]
    pieces = [items[i][first:last] for i, first, last, _ in cuts]
    parts: list = [None] * len(cuts)
    for batch in motion_vector.batches(pieces, _BATCH, _LENGTH_MULTIPLE):
      out = call(batch.values, batch.mask)
      for row, number in enumerate(batch.indices):
        parts[number] = out[row][cuts[number][-1]]
      say(sum(len(parts[number]) for number in batch.indices))
    whole: list[list] = [[] for _ in items]
    for (i, *_), part in zip(cuts, parts, strict=True):
      whole[i].append(part)
    return [np.concatenate(parts) for parts in whole]

  def _pieces(self, length: int):
    """(first, last, slice to keep) of each piece of a motion of that many frames.

    A piece starts at a multiple of the phases, for frame t's is t mod num_phases.
    """
    if length <= _WINDOW:
      yield 0, length, slice(0, length)
      return
    margin = -(-self.reach // self.num_phases) * self.num_phases
    step = max((_WINDOW - 2 * margin) // self.num_phases, 1) * self.num_phases
    for start in range(0, length, step):
      first, stop = max(start - margin, 0), min(start + step, length)
      yield first, min(stop + margin, length), slice(start - first, stop - first)

  def decode(self, codes: Sequence[np.ndarray]) -> list[motion_lib.FaceMotion]:
    """FaceMotions of codes, identity and translation zero."""
    return [
      motion_vector.to_motion(vectors, self.face.name)
      for vectors in self.decode_vectors(codes)
    ]


# TPUs round the operands of a float32 product to bfloat16 if they are not told
# otherwise: another code would be nearest than on a CPU or GPU.
PRECISION = "highest"


@functools.partial(kept_programs.jit, static_argnames=("model",))
def _encode(model, variables, subset, vectors_BTP, mask_BT):
  with jax.default_matmul_precision(PRECISION):
    geometry_BTG = face_lib.vector_geometry(subset, vectors_BTP)
    return model.apply(variables, geometry_BTG, vectors_BTP, mask_BT, method="encode")


@functools.partial(kept_programs.jit, static_argnames=("model",))
def _decode(model, variables, codes_BT, mask_BT):
  with jax.default_matmul_precision(PRECISION):
    return model.apply(variables, codes_BT, mask_BT, method="decode")


def load(workdir, face_model: str | None = None) -> MotionCodec:
  """Loads a trained tokenizer.

  Args:
    workdir: where `tdmm_jax.train` trained it.
    face_model: a name of `head_file.NAMES` or the path of a FLAME file; default: the
      config's.

  Raises:
    UserError: nothing trained there, the face model's version differs, or the tokenizer
      has refinements, further codes a frame that an earlier version could train.
  """
  workdir = epath.Path(workdir)
  if not checkpoints.has_checkpoint(workdir):
    raise UserError(
      f"{workdir}: no trained tokenizer here; run `make train` or name another run"
    )
  stored = checkpoints.read_json(workdir / checkpoints.CONFIG_FILE)
  # Tokenizers trained before there was a choice do not name their network.
  stored["config"]["model"].setdefault("network", "temporal")
  if refinements := stored["config"]["model"].pop("num_refinements", 0):
    raise UserError(
      f"{workdir}: num_refinements is {refinements}, which is no longer supported; "
      "train it again"
    )
  config = ml_collections.ConfigDict(stored["config"])
  checkpoints.refuse_old_versions(workdir, stored["versions"])
  face = load_model.load_face_model(face_model or config.face_model)
  if face.version != stored["versions"]["head"]:
    raise UserError(
      f"{workdir}: trained on face model version {stored['versions']['head']}, but "
      f"'{face.name}' is version {face.version} here; train the tokenizer again"
    )
  restored = checkpoints.restore_model(workdir)
  variables = {**restored["collections"], "params": restored["params"]}
  return MotionCodec(config, variables, face, checkpoints.weights_version(restored))
