"""open3dfacevid: tracked motions and their prompts for users of `tfds build`.

`python -m data_prep.build --motions` writes the same records faster, in parallel,
resumably and without TensorFlow; this builder is the form TFDS users know.
"""

import dataclasses

import tensorflow_datasets as tfds

from data_prep import build_motions, manifest, prompts, records
from tdmm_jax.errors import UserError
from tdmm_jax.language import lexicon


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
  """A basis of motion: its face model and how many coefficients the tracker gives."""

  num_expression: int = 50
  num_shape: int = 64


class Builder(tfds.core.GeneratorBasedBuilder):
  """DatasetBuilder of a manual folder: prompts.jsonl (or clips.jsonl) and motions."""

  VERSION = tfds.core.Version(records.OPEN3DFACEVID.version)
  RELEASE_NOTES = {"2.0.0": "Attributes are acts.", "1.0.0": "Initial release."}
  BUILDER_CONFIGS = [
    Config(name="default_v2", description="The project's own tracker and head."),
    Config(name="default_v1", description="The same, of earlier releases."),
    Config(name="flame2020", description="SMIRK on FLAME 2020.", num_shape=300),
    Config(name="flame2023", description="A tracker on FLAME 2023.", num_shape=300),
  ]
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    "Put prompts.jsonl and motions/ here, or the output of data_prep.quality; for "
    "FLAME also its model file, as face_model.pkl."
  )

  def _info(self) -> tfds.core.DatasetInfo:
    config = self.builder_config
    return self.dataset_info_from_configs(
      features=records.features(config.num_expression, config.num_shape, True),
      disable_shuffling=True,
    )

  def _split_generators(self, dl_manager):
    folder = dl_manager.manual_dir
    own = folder / "clips.jsonl"
    rows = manifest.read(own if own.exists() else folder / "prompts.jsonl")
    motions = folder if own.exists() else folder / "motions"
    plan, dropped, form = build_motions.pair(rows, motions, "", "")
    if dropped:
      raise UserError(f"clip '{dropped[0]['clip_id']}': {dropped[0]['reason']}")
    config = self.builder_config
    wanted = (config.name, config.num_expression, config.num_shape)
    if form != wanted:
      raise UserError(f"{motions}: motions of {form}, the config is for {wanted}")
    model_file = folder / "face_model.pkl"
    version = build_motions.head_version(
      form[0], str(model_file) if model_file.exists() else None
    )
    versions = {"head": version, "simulator": "none", "lexicon": lexicon.VERSION}
    clips = build_motions.TrackedClips(form[1], form[2], versions)
    by_split = {
      split: [row for row in plan if row["split"] == split] for split in prompts.SPLITS
    }
    return {
      split: self._generate_examples(mine, clips)
      for split, mine in by_split.items()
      if mine
    }

  def _generate_examples(self, rows, clips):
    for row in rows:
      yield row["clip_id"], clips(row)
