"""Pictures for an evaluation: generated faces beside the truth, and captions.

Always the same few validation clips, so that progress is visible.
"""

from typing import NamedTuple

import numpy as np
from etils import epath

from tdmm_jax import vocab as vocab_lib
from tdmm_jax.codec import motion_codec
from tdmm_jax.data import records
from tdmm_jax.face import face_model as face_lib
from tdmm_jax.face import load_model, motion_vector
from tdmm_jax.generate import face
from tdmm_jax.models import t5
from tdmm_jax.render import contact_sheet, scene, video
from tdmm_jax.runs import train_state

_PIXELS = 160
_MAX_FRAMES = 100
_FPS = 25.0


class Example(NamedTuple):
  """One clip: what was asked, what was made, what was true."""

  name: str
  text: str  # markdown
  frames_THW3: np.ndarray  # uint8, truth left, made right
  sheet_HW3: np.ndarray  # uint8


class Showcase:
  """Renders what the current model makes of the first `num` validation clips."""

  def __init__(self, config, workdir):
    self._clips = records.load_clips(config.records_dir, "valid", config.eval_media)
    self._config, self._workdir = config, epath.Path(workdir)
    self._is_lm = config.objective == "language_model"
    if self._is_lm:
      self._codec = motion_codec.load(config.tokenizer_dir)
      self._vocab = vocab_lib.load(workdir)
      self._model = t5.build_t5(config, self._vocab)
      self._face = self._codec.face
    else:
      self._face = load_model.load_face_model(config.face_model)

  def examples(self, params, collections) -> list[Example]:
    """Args: the model's, as arrays of this process."""
    show = self._generated if self._is_lm else self._reconstructed
    return show(train_state.eval_params(params, collections), collections)

  def write(self, logger, step: int, params, collections) -> None:
    """Writes a picture, a moving picture and a text of each example to the logger."""
    for number, example in enumerate(self.examples(params, collections)):
      logger.write_image(step, f"faces_{number}/truth_above_made", example.sheet_HW3)
      logger.write_video(
        step, f"faces_{number}/truth_left_made_right", example.frames_THW3, _FPS
      )
      logger.write_text(step, {f"captions/{number}_{example.name}": example.text})

  def _reconstructed(self, params, collections) -> list[Example]:
    variables = {"params": params, **collections}
    codec = motion_codec.MotionCodec(self._config, variables, self._face, "training")
    vectors = [clip["vectors"][:_MAX_FRAMES] for clip in self._clips]
    decoded = codec.decode_vectors(codec.encode_vectors(vectors))
    return [
      self._example(clip, truth, made, f"Reconstruction of: {clip['prompt']}")
      for clip, truth, made in zip(self._clips, vectors, decoded, strict=True)
    ]

  def _generated(self, params, collections) -> list[Example]:
    params = t5.whole(params, collections)
    run = face.Face.assemble(
      self._config, self._codec, self._vocab, self._model, params
    )
    limit = min(_MAX_FRAMES, self._config.max_frames)
    vectors = [clip["vectors"][:limit] for clip in self._clips]
    frames = [len(vector) for vector in vectors]
    prompts = [self._fitting(clip["prompt"]) for clip in self._clips]
    codes = run.generate_codes(prompts, [n / _FPS for n in frames], seed=0)
    captions = run.describe_codes(self._codec.encode_vectors(vectors))
    made = self._codec.decode_vectors(codes)
    return [
      self._example(
        clip,
        truth,
        vector,
        f"**Prompt:** {clip['prompt']}\n\n**Described, from the true motion:** {said}"
        f"\n\n**True caption:** {clip['captions'][0]}",
      )
      for clip, truth, vector, said in zip(
        self._clips, vectors, made, captions, strict=True
      )
    ]

  def _fitting(self, prompt: str) -> str:
    """The prompt, truncated to the model's limit."""
    words = prompt.split()
    while (
      len(self._vocab.encode_input(" ".join(words))) > self._config.max_prompt_pieces
    ):
      words.pop()
    return " ".join(words)

  def _render(self, vectors_TP) -> np.ndarray:
    motion = motion_vector.to_motion(np.asarray(vectors_TP), self._face.name)
    vertices = np.asarray(face_lib.motion_vertices(self._face, motion))
    return scene.render_frames(self._face, vertices, (_PIXELS, _PIXELS), workers=1)

  def _example(self, clip, truth_TP, made_TP, text: str) -> Example:
    truth, made = self._render(truth_TP), self._render(made_TP)
    sheet = contact_sheet.picture(
      made, clip["prompt"], 6, "made", {"truth": truth}, 120
    )
    frames = np.stack(list(video.beside([truth, made], _PIXELS)))
    return Example(clip["clip_id"], text, frames, sheet)
