"""Video generators that are libraries: Wan through diffusers, Veo through google-genai.

Both live in an environment of their own (requirements-videos.txt, `make videos`), so
they are imported where they are used.
"""

from collections.abc import Callable
from typing import Any

from tdmm_jax.errors import UserError

_POLL_S = 15.0
_VEO_LIMIT_S = 1800.0


class RefusedError(RuntimeError):
  """The generator does not make this one: its prompt is against the rules, say."""


def wan_maker(settings: dict[str, Any]) -> Callable[[dict[str, Any], str], None]:
  """Wan 2.1 or 2.2 through diffusers' own WanPipeline, loaded once.

  Args:
    settings: model (a name on the Hugging Face hub, or a folder), device, dtype, fps,
      and `call`: keyword arguments of the pipeline's call (num_frames, height, ...).

  Returns:
    (job, path) -> writes the mp4. The same seed gives the same video on one device.
  """
  try:
    import torch
    from diffusers import AutoencoderKLWan, WanPipeline
    from diffusers.utils import export_to_video
  except ImportError as error:
    raise UserError(
      f"diffusers is not here ({error}); run `make videos`, then this command with "
      ".venv-videos/bin/python"
    ) from error
  # The VAE's decoding suffers in bfloat16, says diffusers' page on Wan.
  vae = AutoencoderKLWan.from_pretrained(
    settings["model"], subfolder="vae", torch_dtype=torch.float32
  )
  pipeline = WanPipeline.from_pretrained(
    settings["model"], vae=vae, torch_dtype=getattr(torch, settings["dtype"])
  )
  pipeline.to(settings["device"])
  pipeline.set_progress_bar_config(disable=True)

  def make(job, path):
    generator = torch.Generator("cpu").manual_seed(job["seed"])
    with torch.no_grad():
      result = pipeline(
        prompt=job["wording"], generator=generator, output_type="np", **settings["call"]
      )
    export_to_video(list(result.frames[0]), path, fps=settings["fps"])

  return make


def veo_maker(settings, sleep) -> Callable[[dict[str, Any], str], None]:
  """Veo through Google's own client.

  Args:
    settings: model, `client` (keyword arguments of genai.Client; keys and projects come
      from its environment variables), `config` (of GenerateVideosConfig), `poll_s`.
    sleep: waits between two looks at a job.

  Returns:
    (job, path) -> writes the mp4; raises what the service refuses, in its words.
  """
  try:
    from google import genai
    from google.genai import types
  except ImportError as error:
    raise UserError(
      f"google-genai is not here ({error}); run `make videos`, then this command with "
      ".venv-videos/bin/python"
    ) from error
  try:
    client = genai.Client(**settings.get("client", {}))
  except ValueError as error:  # no key or project in the environment
    raise UserError(f"veo: {error}") from error

  poll_s = settings.get("poll_s", _POLL_S)

  def make(job, path):
    config = types.GenerateVideosConfig(
      number_of_videos=1, seed=job["seed"], **settings.get("config", {})
    )
    operation = client.models.generate_videos(
      model=settings["model"], prompt=job["wording"], config=config
    )
    waited = 0.0
    while not operation.done:
      if waited > _VEO_LIMIT_S:
        raise TimeoutError(f"not done after {waited:.0f} s")
      sleep(poll_s)
      waited += poll_s
      operation = client.operations.get(operation)
    if operation.error:
      raise RuntimeError(operation.error.get("message", str(operation.error)))
    made = operation.response.generated_videos if operation.response else None
    if not made:
      reasons = getattr(operation.response, "rai_media_filtered_reasons", None)
      raise RefusedError(f"no video came back ({reasons or 'no reason given'})")
    video = made[0].video
    if not video.video_bytes:
      client.files.download(file=video)
    with open(path, "wb") as stream:
      stream.write(video.video_bytes)

  return make
