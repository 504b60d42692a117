"""One id space for text pieces and motion tokens.

Layout (DESIGN section 3): 0 pad, 1 eos, 2 unk, SentencePiece pieces, extra ids, task
sentinels, <som>, <eom>, motion tokens last. Offsets are stored with the checkpoint and
read back, never recomputed.

A pretrained T5Gemma has another special id: 2 is bos there, which starts what the
encoder reads, and 3 is unk.

With a pretrained text encoder (config.text_encoder) the encoder's text is WordPieces,
whose ids lie behind the embedding table: nothing is ever written in them.
"""

import dataclasses
import io
import json

import numpy as np
import sentencepiece
from etils import epath

from tdmm_jax import files
from tdmm_jax.errors import UserError
from tdmm_jax.language import json_pieces
from tdmm_jax.language import wordpieces as wordpieces_lib

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
TASKS = (
  "l2m",
  "m2l",
  "qa",
  "continuation",
  "inbetween",
  "unconditional",
  "denoising",
  "span_corruption",
)
PIECES_FILE = "spiece.model"  # or json_pieces.FILE
_NOT_OFFSETS = ("pieces", "model_proto", "wordpieces")
TABLE_MULTIPLE = 128  # the embedding table is padded to whole TPU tiles


@dataclasses.dataclass(frozen=True)
class Vocab:
  """Text pieces and motion tokens; `pieces` turns text into the former.

  `model_proto` is what the pieces are in their file.
  """

  pieces: sentencepiece.SentencePieceProcessor | json_pieces.JsonPieces
  model_proto: bytes
  num_pieces: int
  num_extra_ids: int
  task_offset: int
  som_id: int
  eom_id: int
  motion_offset: int
  num_codes: int
  tasks: tuple[str, ...] = TASKS  # those that have a sentinel, in its order
  unk_id: int = UNK_ID
  bos_id: int = 0  # what the encoder's tokens start with; 0: with nothing special
  word_offset: int = 0  # the first id of a WordPiece; 0: there are none
  # Whether a prompt is followed by what the lexicon reads in it (config.read_acts).
  read_acts: bool = False
  wordpieces: wordpieces_lib.WordPieces | None = None

  @property
  def table_size(self) -> int:
    """Rows of the embedding table, padded to a multiple of 128."""
    size = self.motion_offset + self.num_codes
    return -(-size // TABLE_MULTIPLE) * TABLE_MULTIPLE

  @property
  def first_new_row(self) -> int:
    """The table's first row that a pretrained model, if there is one, does not know."""
    return self.num_pieces if self.bos_id else self.task_offset

  def encode_text(self, text: str) -> list[int]:
    """Pieces of the text, without eos. Text that spells `<motion_5>` is text."""
    return self.pieces.encode(text)

  def encode_input(self, *spans: str) -> list[int]:
    """Ids of a text as the encoder is given it, without eos.

    Args:
      spans: the text's parts; where there are WordPieces each is a text of its own,
        [CLS] pieces [SEP], which a text encoder reads alone.
    """
    if self.wordpieces is None:
      return self.encode_text("".join(spans))
    return [
      self.word_offset + word for span in spans for word in self.wordpieces.encode(span)
    ]

  def with_wordpieces(self, wordpieces: wordpieces_lib.WordPieces) -> "Vocab":
    """The same ids, and those of WordPieces behind the table."""
    return dataclasses.replace(self, word_offset=self.table_size, wordpieces=wordpieces)

  def text_row(self, text: str, length: int) -> np.ndarray:
    """int32[length]: the text's pieces, cut where the row ends, eos and padding."""
    row = np.zeros(length, np.int32)
    pieces = [*self.encode_text(text)[: length - 1], EOS_ID]
    row[: len(pieces)] = pieces
    return row

  def decode_text(self, ids) -> str:
    """Text of the piece ids up to the first eos, in one line; other ids are dropped.

    Byte pieces can spell line breaks and terminal codes: they become spaces.
    """
    kept = []
    for token in ids:
      if token == EOS_ID:
        break
      if self.unk_id < token < self.num_pieces:
        kept.append(int(token))
    text = self.pieces.decode(kept)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())

  def task_id(self, task: str) -> int:
    return self.task_offset + self.tasks.index(task)

  def extra_id(self, index: int) -> int:
    """<extra_id_INDEX>; T5 counts its sentinels down from the last."""
    if not 0 <= index < self.num_extra_ids:
      raise ValueError(f"<extra_id_{index}>: there are {self.num_extra_ids}")
    return self.num_pieces + self.num_extra_ids - 1 - index

  def motion_to_ids(self, codes) -> np.ndarray:
    return np.asarray(codes, np.int32) + self.motion_offset

  def ids_to_motion(self, ids) -> np.ndarray:
    codes = np.asarray(ids, np.int32) - self.motion_offset
    if codes.size and (codes.min() < 0 or codes.max() >= self.num_codes):
      raise ValueError("ids outside the motion tokens")
    return codes

  def offsets(self) -> dict:
    """All but the pieces, for JSON."""
    names = [field.name for field in dataclasses.fields(self)]
    return {n: getattr(self, n) for n in names if n not in _NOT_OFFSETS}

  @property
  def pieces_file(self) -> str:
    is_json = isinstance(self.pieces, json_pieces.JsonPieces)
    return json_pieces.FILE if is_json else PIECES_FILE

  def save(self, directory) -> None:
    """Writes the pieces, vocab.json (offsets) and wordpieces.json, if there are."""
    directory = epath.Path(directory)
    files.write_bytes(directory / self.pieces_file, self.model_proto)
    files.write_json(directory / "vocab.json", self.offsets())
    if self.wordpieces is not None:
      self.wordpieces.save(directory)


def load(directory) -> Vocab:
  """Reads what `Vocab.save` wrote."""
  directory = epath.Path(directory)
  path = directory / json_pieces.FILE
  if not path.exists():
    path = directory / PIECES_FILE
  try:
    proto = path.read_bytes()
    offsets = json.loads((directory / "vocab.json").read_text())
  except FileNotFoundError as error:
    raise UserError(
      f"{error.filename}: missing; train the language model into this run first"
    ) from error
  pieces = read_pieces(path.name, proto)
  # Runs of before there were more tasks do not say which they have.
  offsets["tasks"] = tuple(offsets.get("tasks", TASKS[:2]))
  vocab = Vocab(pieces=pieces, model_proto=proto, **offsets)
  if not vocab.word_offset:
    return vocab
  return dataclasses.replace(vocab, wordpieces=wordpieces_lib.load(directory))


def read_pieces(name: str, content: bytes):
  """Pieces of a file of this name: json_pieces.FILE, or a SentencePiece model.

  Raises:
    UserError: it is damaged.
  """
  if name == json_pieces.FILE:
    return json_pieces.JsonPieces(content.decode("utf-8", "replace"))
  try:
    return sentencepiece.SentencePieceProcessor(model_proto=content)
  except RuntimeError as error:
    raise UserError(
      f"{name}: not a SentencePiece model; fetch the one of the same checkpoint"
    ) from error


def imported(
  model_proto: bytes, num_rows: int, num_extra_ids: int, num_codes: int
) -> Vocab:
  """The id space of a pretrained T5, whose ids stay, with the new ids behind its rows.

  Args:
    model_proto: its SentencePiece model, serialised.
    num_rows: rows of its tables; those behind pieces and sentinels are padding.
    num_extra_ids: its sentinels.
    num_codes: size of the motion codebook.

  Raises:
    UserError: the pieces are not those of the tables.
  """
  pieces = read_pieces(PIECES_FILE, model_proto)
  special = (pieces.pad_id(), pieces.eos_id(), pieces.unk_id())
  if special != (PAD_ID, EOS_ID, UNK_ID):
    raise UserError(
      f"spiece.model: pad, eos and unk are {special}, a T5's are "
      f"{(PAD_ID, EOS_ID, UNK_ID)}; fetch the one of the same checkpoint"
    )
  used = pieces.vocab_size() + num_extra_ids
  if not 0 <= num_rows - used < TABLE_MULTIPLE:
    raise UserError(
      f"spiece.model: {pieces.vocab_size()} pieces and {num_extra_ids} sentinels "
      f"(config.num_extra_ids) do not fit weights of {num_rows} rows; fetch the "
      "spiece.model of the same checkpoint"
    )
  offsets = layout(pieces.vocab_size(), num_extra_ids, num_codes, num_rows)
  return Vocab(pieces=pieces, model_proto=model_proto, **offsets)


def imported_gemma(
  name: str, content: bytes, num_rows: int, num_extra_ids: int, num_codes: int
) -> Vocab:
  """The id space of a pretrained T5Gemma: its ids stay, all others lie behind them.

  It has no sentinels: those are new, too.

  Args:
    name, content: of the file with its pieces, see `read_pieces`.
    num_rows: rows of its tables.
    num_extra_ids: sentinels that it is to have.
    num_codes: size of the motion codebook.

  Raises:
    UserError: the pieces are not those of the tables.
  """
  pieces = read_pieces(name, content)
  special = (pieces.pad_id(), pieces.eos_id(), pieces.bos_id(), pieces.unk_id())
  if special[:2] != (PAD_ID, EOS_ID) or min(special) < 0:
    raise UserError(
      f"{name}: pad, eos, bos and unk are {special}, a T5Gemma's are (0, 1, 2, 3); "
      "fetch the one of the same checkpoint"
    )
  if pieces.vocab_size() != num_rows:
    raise UserError(
      f"{name}: {pieces.vocab_size()} pieces do not fit weights of {num_rows} rows; "
      "fetch the one of the same checkpoint"
    )
  return Vocab(
    pieces=pieces,
    model_proto=content,
    **layout(num_rows, num_extra_ids, num_codes),
    bos_id=pieces.bos_id(),
    unk_id=pieces.unk_id(),
  )


def layout(
  num_pieces: int, num_extra_ids: int, num_codes: int, first_new: int | None = None
) -> dict[str, int]:
  """Where each kind of id starts: the fields of Vocab that are numbers.

  `first_new`: the first id behind pieces and sentinels, where a table has padding.
  """
  task_offset = num_pieces + num_extra_ids if first_new is None else first_new
  som_id = task_offset + len(TASKS)
  return {
    "num_pieces": num_pieces,
    "num_extra_ids": num_extra_ids,
    "task_offset": task_offset,
    "som_id": som_id,
    "eom_id": som_id + 1,
    "motion_offset": som_id + 2,
    "num_codes": num_codes,
  }


def train(
  texts, num_codes: int, num_pieces: int, num_extra_ids: int = 100, whole=()
) -> Vocab:
  """Trains SentencePiece (unigram) on the texts and lays out the id space.

  Args:
    texts: iterable of str, the corpus' captions, prompts and instructions.
    num_codes: size of the motion codebook.
    num_pieces: wanted number of pieces; fewer where the texts do not fill it.
    num_extra_ids: sentinels for span corruption.
    whole: words that are one piece each, wherever they stand.
  """
  model = io.BytesIO()
  sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(texts),
    model_writer=model,
    vocab_size=num_pieces,
    model_type="unigram",
    hard_vocab_limit=False,
    pad_id=PAD_ID,
    eos_id=EOS_ID,
    unk_id=UNK_ID,
    bos_id=-1,
    user_defined_symbols=list(whole),
    character_coverage=1.0,
    byte_fallback=True,  # any text a user types has pieces
    num_threads=1,  # the same model whatever the machine
    minloglevel=2,
  )
  proto = model.getvalue()
  pieces = sentencepiece.SentencePieceProcessor(model_proto=proto)
  offsets = layout(pieces.vocab_size(), num_extra_ids, num_codes)
  return Vocab(pieces=pieces, model_proto=proto, **offsets)
