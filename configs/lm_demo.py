"""Language model of `make train`: both directions, small enough for two CPU cores.

Run: python -m tdmm_jax.train --config configs/lm_demo.py --workdir DIR \\
       --config.tokenizer_dir DIR
"""

import ml_collections

from configs import common


def get_config() -> ml_collections.ConfigDict:
  config = common.get_config()
  config.objective = "language_model"
  config.tokenizer_dir = "runs/train/tokenizer"
  # A folder in Hugging Face's format (config.json, *.safetensors, spiece.model; gs://,
  # too) that training starts from; its sizes take the place of config.model's. A T5, a
  # FLAN-T5, or a T5Gemma (with tokenizer.model or tokenizer.json) ...
  config.init_from = ""
  config.t5gemma_sizes = ml_collections.ConfigDict()  # ... which fills this
  # Or an earlier language model of this project (RUN/lm, or tdmm_jax/release/lm), of
  # the same tokenizer and text encoder, for new data or a new config.
  config.start_from = ""
  # Low-rank adaptation of what training starts from (docs/training.md): its stacks stay
  # as they are, and their kernels learn a change of this rank; 0: all is trained.
  lora = config.lora = ml_collections.ConfigDict()
  lora.rank = 0
  lora.alpha = 16.0  # the change counts alpha / rank times
  # Which kernels: of attention, by name, and "mlp", all of the feed-forward blocks.
  lora.kernels = ("query", "key", "value", "out", "mlp")
  # Who reads the text given: the T5 itself, in SentencePieces, or a pretrained BERT,
  # whose vectors of words the T5 is given: "minilm", which `python -m
  # data_prep.text_encoder` fetches, or "hf:FOLDER" in Hugging Face's layout.
  config.text_encoder = "sentencepiece"
  config.text_encoder_sizes = ml_collections.ConfigDict()  # filled from its weights
  # Its learning rate, as a share of the others'; 0: it stays as it is.
  config.text_encoder_rate = 0.0
  # What a motion's decoder hears of its prompt: a vector for each word, or "pooled",
  # their mean alone (the baseline of T2M-GPT; configs/lm_demo_pooled.py).
  config.conditioning = "words"
  config.batch_size = 8
  config.total_steps = 3_000
  # Needs fewer updates than AdamW.
  config.optimizer = "muon"
  config.save_every = 250
  config.learning_rate = 2.5e-3
  config.tensorboard = False

  config.num_pieces = 1_500
  config.num_extra_ids = 64  # of T5's 100, so that the table has 2,048 rows
  config.vocab_texts = 20_000
  # One row holds one example of each direction at least.
  config.encoder_length = 256
  config.decoder_length = 160
  config.max_frames = 128
  config.max_prompt_pieces = 96
  config.max_caption_pieces = 64
  # Examples of each clip in an epoch, by task (docs/training.md).
  rates = config.task_rates = ml_collections.ConfigDict()
  rates.l2m = 1.0
  # Above 1 costs Language2Motion (docs/lab_notebook.md).
  rates.m2l = 1.0
  rates.qa = 0.15  # questions, for `tdmm describe --question`
  rates.continuation = 0.0
  rates.inbetween = 0.0
  rates.unconditional = 0.0
  rates.denoising = 0.0
  rates.span_corruption = 0.0
  config.l2m_weight = 2.0  # of the loss, where motion is written ...
  config.m2l_weight = 2.0  # ... and where text is: a quarter of the tokens
  config.z_loss = 1e-4
  # Share of the motion tokens, at most, that are hidden from the decoder's input, so
  # that it also listens to the prompt, not only to its own past (T2M-GPT's trick).
  config.history_dropout = 0.6
  config.prompt_dropout = 0.1  # for classifier-free guidance ...
  config.guidance = 2.0  # ... whose default scale this is
  config.reword = 0.0  # share of L2M's prompts in words that captions do not use
  # Share of L2M's prompts, and of questions, in which words that say nothing about the
  # face are changed, so that an unknown turn of phrase does not mislead the model.
  config.disturb = 0.5
  # Whether the acts that the lexicon reads in a prompt follow it in fixed terms
  # (wording.terms), which have one word for left, for twice, for slowly, and times ...
  config.read_acts = True
  # ... but for this share, where words alone must do; as many again have no times, and
  # as many have them in the decoder's cues alone (model.motion_cues).
  config.acts_dropout = 0.1
  # Share of L2M's motions of which the encoder is told the last frames, so that an edit
  # leads into what comes after it (docs/training.md).
  config.told_ending = 0.0
  config.acts_weight = 0.5  # of the loss of config.model.act_reading
  config.content_weight = 4.0  # of a caption's words that say something about the face

  model = config.model = ml_collections.ConfigDict()
  model.emb_dim = 128
  model.num_heads = 4
  model.head_dim = 32
  model.mlp_dim = 256
  model.num_encoder_layers = 3
  model.num_decoder_layers = 3
  model.text_context = 4  # tokens to each side that a piece of text is read with ...
  model.motion_context = 8  # ... and that a motion token is read with ...
  model.motion_history = 8  # ... and tokens before that one is written after
  # Both are told what the tokens around decode to (train/motion_reading.py), ...
  model.motion_reading = True
  model.motion_places = True  # ... and where in its motion a token is
  # Cues of a row, at most (language/cues.py): each place of a motion that is written is
  # told the acts that are on there, as config.read_acts reads them; 0: it is not.
  model.motion_cues = 80
  # Whether, where there are cues, the encoder of a motion is asked in training which
  # acts are on at each place of it.
  model.act_reading = True
  model.dropout_rate = 0.0
  model.mlp_activation = "gated-gelu"  # or "relu", T5.0's
  model.logits_via_embedding = False
  model.embedding_stddev = 1.0
  model.dtype = "float32"  # of the layers; parameters and logits are always float32
  model.scan_layers = False  # one compiled layer for all: for deep models
  model.fused_attention = False  # for TPUs: scores stay in fast memory
  model.remat = "none"  # kept for the backward pass: everything, or "dots", or "full"
  return config
