"""Writes a trained run's language model in Hugging Face's format of T5, or T5Gemma.

  python -m tdmm_jax.export_hf --run run --out exported/

`transformers.T5ForConditionalGeneration.from_pretrained("exported/")` then has the same
logits; of a run that started from a T5Gemma, T5GemmaForConditionalGeneration. Text has
the ids of the tokenizer's file; offsets.json says where the tasks' sentinels and the
motion tokens are.
"""

import argparse
import sys

from etils import epath

from tdmm_jax import errors, files
from tdmm_jax.errors import UserError
from tdmm_jax.generate import face
from tdmm_jax.models import pretrained, pretrained_t5gemma, t5gemma
from tdmm_jax.runs import locate


def export(run: face.Face, directory) -> None:
  """Writes `run`'s language model into the directory; see `write` of pretrained*.py.

  Raises:
    UserError: a model that transformers does not have.
  """
  vocab = run.vocab
  if run.model.pooled_token >= 0:
    raise UserError(
      f"{run.name}: config.conditioning is 'pooled', which transformers' T5 is not; "
      "export a run that was trained with 'words'"
    )
  if run.vocab.wordpieces is not None:
    raise UserError(
      f"{run.name}: config.text_encoder is {run.config.text_encoder!r}, which "
      "transformers' T5 has not; export a run trained with 'sentencepiece'"
    )
  for name in pretrained.OURS:
    if getattr(run.model, name):
      flags = " ".join(f"--config.model.{ours}=0" for ours in pretrained.OURS)
      raise UserError(
        f"{run.name}: config.model.{name} is {getattr(run.model, name)}, which "
        f"transformers' T5 has not; export a run trained with {flags}"
      )
  if isinstance(run.model, t5gemma.T5Gemma):
    pieces = (vocab.pieces_file, vocab.model_proto)
    pretrained_t5gemma.write(directory, run.model, run.params, *pieces)
  else:
    pieces = (vocab.model_proto, vocab.num_extra_ids)
    pretrained.write(directory, run.model, run.params, *pieces)
  files.write_json(epath.Path(directory) / "offsets.json", vocab.offsets())


@errors.entry_point("export_hf")
def main(argv=None) -> None:
  parser = argparse.ArgumentParser(
    prog="python -m tdmm_jax.export_hf", description=__doc__.split("\n")[0]
  )
  parser.add_argument(
    "--run", help="run directory; default: the release, or runs/train"
  )
  parser.add_argument("--out", required=True, help="the folder to write")
  args = parser.parse_args(argv)
  export(face.Face(locate.find(args.run)), args.out)
  print(args.out)


if __name__ == "__main__":
  sys.exit(main())
