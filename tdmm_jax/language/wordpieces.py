"""BERT's WordPieces: the ids in which a pretrained text encoder reads.

Source: Devlin et al. 2019, arXiv:1810.04805; the `tokenizers` library does the work.
"""

import functools
import json

from etils import epath

from tdmm_jax import files
from tdmm_jax.errors import UserError

# In a run's directory: the tokenizer, as the library has it, and whose encoder this is.
FILE, NOTICE = "wordpieces.json", "TEXT_ENCODER_NOTICE"
MOST = 512  # ids of a text; BERT has so many positions
_SPECIAL = ("[CLS]", "[SEP]", "[UNK]")


class WordPieces:
  """A tokenizer whose texts are [CLS] pieces [SEP].

  What a user writes is text, also where it spells "[SEP]".

  Attributes:
    serialized: the tokenizer as JSON.
    notice: who made the text encoder and on which terms; may be empty.
  """

  def __init__(self, serialized: str, notice: str = ""):
    self.serialized, self.notice = serialized, notice

  @functools.cached_property
  def _tokenizer(self):
    import tokenizers  # 20 ms, which a run without WordPieces is spared

    return tokenizers.Tokenizer.from_str(self.serialized)

  @functools.cached_property
  def num_pieces(self) -> int:
    return self._tokenizer.get_vocab_size()

  @functools.cached_property
  def cls_id(self) -> int:
    return self._tokenizer.token_to_id("[CLS]")

  def encode(self, text: str, most: int = MOST) -> list[int]:
    """[CLS], the text's pieces, [SEP]. Longer texts are truncated to `most` ids."""
    ids = self._tokenizer.encode(text, add_special_tokens=False).ids
    return [self.cls_id, *ids[: most - 2], self._tokenizer.token_to_id("[SEP]")]

  def save(self, directory) -> None:
    for name, text in ((FILE, self.serialized), (NOTICE, self.notice)):
      if text:
        files.write_text(epath.Path(directory) / name, text)


def load(directory) -> WordPieces:
  """Reads what `WordPieces.save` wrote."""
  path = epath.Path(directory) / FILE
  try:
    return WordPieces(path.read_text(), _text(path.with_name(NOTICE)))
  except FileNotFoundError as error:
    raise UserError(
      f"{path}: missing; train the language model into this run again"
    ) from error


def find(directory) -> WordPieces:
  """The tokenizer of a BERT in Hugging Face's layout.

  Raises:
    UserError: neither tokenizer.json nor vocab.txt there, or not of WordPieces.
  """
  import tokenizers
  from tokenizers import models, normalizers, pre_tokenizers

  directory = epath.Path(directory)
  path, listing = directory / "tokenizer.json", directory / "vocab.txt"
  if path.exists():
    try:
      stored = tokenizers.Tokenizer.from_str(path.read_text())
    except Exception as error:  # the library raises nothing more special
      raise UserError(f"{path}: is damaged ({error}); fetch it again") from error
    if not isinstance(stored.model, models.WordPiece):
      raise UserError(f"{path}: not a tokenizer of WordPieces; give a BERT's")
    # Its special tokens are not taken over: they would be found in what users write.
    kept = tokenizers.Tokenizer(stored.model)
    kept.normalizer, kept.pre_tokenizer = stored.normalizer, stored.pre_tokenizer
  elif listing.exists():
    words = listing.read_text().splitlines()
    about = directory / "tokenizer_config.json"
    about = json.loads(about.read_text()) if about.exists() else {}
    vocab = {word: number for number, word in enumerate(words)}
    kept = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    lower = about.get("do_lower_case", True)
    kept.normalizer = normalizers.BertNormalizer(lowercase=lower)
    kept.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
  else:
    raise UserError(
      f"{path}: missing, and no vocab.txt; a text encoder is a folder with "
      "config.json, model.safetensors and tokenizer.json or vocab.txt"
    )
  missing = [token for token in _SPECIAL if kept.token_to_id(token) is None]
  if missing:
    raise UserError(f"{directory}: its vocabulary is without {', '.join(missing)}")
  return WordPieces(kept.to_str(), _text(directory / "NOTICE"))


def _text(path) -> str:
  return path.read_text() if path.exists() else ""
