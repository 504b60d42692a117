"""The commands of `tdmm` about motion tokens: encode, decode, codebook.

They need a run's tokenizer and no language model.
"""

import pathlib

from tdmm_jax import files
from tdmm_jax.cli import options, terminal
from tdmm_jax.errors import UserError
from tdmm_jax.runs import locate


def add_commands(add) -> None:
  """Adds `encode`, `decode` and `codebook`; add: see `main`."""
  encode = add("encode", _encode, "Turn a motion into tokens, one a frame.")
  options.add_motion(encode, help="any known layout")
  encode.add_argument(
    "-o", "--output", default="tokens.json", help="default: tokens.json"
  )
  decode = add("decode", _decode, "Turn tokens back into a motion.")
  decode.add_argument("tokens", metavar="TOKENS", help="what encode wrote")
  decode.add_argument(
    "-o", "--output", default="motion.npz", help="motion.npz, clip.mp4, face.glb, ..."
  )
  codebook = add(
    "codebook", _codebook, "Write a page with each code's face, use and neighbours."
  )
  codebook.add_argument(
    "-o", "--output", default="codes.html", help="default: codes.html"
  )
  codebook.add_argument(
    "--records",
    help="record directory whose codes are counted (default: RUN/records, if there)",
  )
  codebook.add_argument("--split", choices=("train", "valid", "test"), default="valid")
  codebook.add_argument(
    "--max_codes", type=int, default=2000, help="show at most this many (default: 2000)"
  )
  for command in (encode, decode, codebook):
    options.add_run(command)
    options.add_json(command)


def _codec(args):
  """The run's directory and its tokenizer."""
  from tdmm_jax.codec import motion_codec

  directory = locate.find(args.run)
  if not files.is_folder(directory):
    raise UserError(
      f"{directory}: no such run directory; make one with `make train`, or name "
      "another --run"
    )
  return directory, motion_codec.load(directory / locate.TOKENIZER)


def _encode(args) -> None:
  options.check_suffix(args.output, ".json", "a file of tokens")
  from tdmm_jax.codec import token_files

  motion = options.read_motion(args)
  _, codec = _codec(args)
  (codes,) = codec.encode([motion], args.motion)
  token_files.save(args.output, codec, codes)
  content = {"tokenizer": codec.version, "tokens": codes.tolist()}
  terminal.wrote(args, motion=args.motion, **content)


def _decode(args) -> None:
  from tdmm_jax.codec import token_files
  from tdmm_jax.export import save

  _, codec = _codec(args)
  codes = token_files.load(args.tokens, codec)
  (motion,) = codec.decode([codes])
  save.save(motion, args.output, codec.face)
  terminal.wrote(args, frames=motion.num_frames, fps=25)


def _codebook(args) -> None:
  options.check_suffix(args.output, ".html", "the page of a codebook")
  if args.max_codes < 1:
    raise UserError(f"--max_codes {args.max_codes}: out of range; show at least 1")
  from tdmm_jax.codec import codebook as codebook_view
  from tdmm_jax.data import records
  from tdmm_jax.render import codebook_page

  run_dir, codec = _codec(args)
  default = run_dir / "records"
  directory = args.records or (default if files.is_folder(default) else None)
  codes = None
  if directory is not None:
    stored = records.versions(directory)
    if (stored["face_model"], stored["head"]) != (codec.face.name, codec.face.version):
      raise UserError(
        f"{directory}: records of '{stored['face_model']}' version {stored['head']}, "
        f"but the tokenizer is of '{codec.face.name}' version {codec.face.version}; "
        "name records of that face with --records"
      )
    clips = records.load_clips(directory, args.split)
    if not clips:
      raise UserError(f"{directory}: no {args.split} clips; choose another --split")
    codes = codec.encode_vectors([clip["vectors"] for clip in clips])
  book = codebook_view.study(codec, codes, args.max_codes)
  with terminal.progress(len(book.codes), "faces", args.quiet) as bar:
    codebook_page.write(pathlib.Path(args.output), codec, book, bar.update)
  terminal.wrote(args, **book.summary)
