"""Pieces of text as a tokenizer.json has them, for those who know SentencePiece.

Gemma's is byte-pair encoding; the `tokenizers` library does the work.
"""

from tdmm_jax.errors import UserError

FILE = "tokenizer.json"


class JsonPieces:
  """The part of sentencepiece.SentencePieceProcessor that a vocabulary needs.

  What a user writes is text, also where it spells "<eos>".
  """

  def __init__(self, serialized: str):
    """Reads a tokenizer.json.

    Raises:
      UserError: it is damaged.
    """
    import tokenizers  # 20 ms, which a run of SentencePieces is spared

    try:
      stored = tokenizers.Tokenizer.from_str(serialized)
    except Exception as error:  # the library raises nothing more special
      raise UserError(f"{FILE}: is damaged ({error}); fetch it again") from error
    self._tokenizer = kept = tokenizers.Tokenizer(stored.model)
    kept.normalizer, kept.pre_tokenizer = stored.normalizer, stored.pre_tokenizer
    kept.decoder = stored.decoder
    # Special tokens are not taken over: they would be found in what users write.
    added = stored.get_added_tokens_decoder()
    kept.add_tokens([token for _, token in sorted(added.items()) if not token.special])

  def encode(self, text: str) -> list[int]:
    return self._tokenizer.encode(text, add_special_tokens=False).ids

  def decode(self, ids: list[int]) -> str:
    return self._tokenizer.decode(ids)

  def vocab_size(self) -> int:
    return self._tokenizer.get_vocab_size()

  def _id(self, token: str) -> int:
    found = self._tokenizer.token_to_id(token)
    return -1 if found is None else found

  def pad_id(self) -> int:
    return self._id("<pad>")

  def eos_id(self) -> int:
    return self._id("<eos>")

  def bos_id(self) -> int:
    return self._id("<bos>")

  def unk_id(self) -> int:
    return self._id("<unk>")
