"""Our models as GGUF files, which llama.cpp serves and which training can go on from."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from . import llama, tokens
from .common import fail

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
"""Token types of GGUF."""
CHAT = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
"""A model of plain text continues what it is told; there are no turns."""


def write(path: Path, name: str, shape: llama.Shape, weights: llama.Weights, characters: tokens.Characters) -> None:
    """Write a model; the file is there whole or not at all."""
    partial = path.with_name(path.name + ".part")
    out = gguf.GGUFWriter(partial, "llama")
    out.add_name(name)
    out.add_context_length(shape.context)
    out.add_embedding_length(shape.width)
    out.add_block_count(shape.layers)
    out.add_feed_forward_length(shape.hidden)
    out.add_head_count(shape.heads)
    out.add_head_count_kv(shape.heads)
    out.add_rope_dimension_count(llama.HEAD_WIDTH)
    out.add_rope_freq_base(llama.ROTARY_BASE)
    out.add_layer_norm_rms_eps(llama.EPSILON)
    out.add_vocab_size(shape.vocabulary)
    out.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokenizer(out, characters)
    for part in shape.parts():
        out.add_tensor(part, np.ascontiguousarray(weights[part], np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    partial.replace(path)


def _add_tokenizer(out: Any, characters: tokens.Characters) -> None:
    known = len(characters.characters)
    out.add_tokenizer_model("llama")
    out.add_token_list(characters.pieces())
    out.add_token_scores([0.0] * len(characters))
    out.add_token_types([UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * known)
    out.add_unk_token_id(tokens.UNKNOWN)
    out.add_bos_token_id(tokens.BEGIN)
    out.add_eos_token_id(tokens.END)
    out.add_add_bos_token(True)
    out.add_add_space_prefix(False)
    out.add_chat_template(CHAT)


def read(path: Path) -> tuple[llama.Shape, llama.Weights, tokens.Characters]:
    """A model that `write` wrote; ends the job for any other."""
    try:
        reader = gguf.GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
        pieces = fields["tokenizer.ggml.tokens"]
        shape = llama.Shape(
            len(pieces), fields["llama.context_length"], fields["llama.embedding_length"], fields["llama.block_count"]
        )
        tensors = {tensor.name: np.array(tensor.data, np.float32) for tensor in reader.tensors}
        weights = {name: tensors[name].reshape(size) for name, size in shape.parts().items()}
        return shape, weights, tokens.from_pieces(pieces)
    except (KeyError, ValueError, IndexError) as error:
        fail(f"inputs/{path.name} is not a model that was trained here: {error}")
