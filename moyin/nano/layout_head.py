"""An auxiliary loss of the generator: predict the image's layout before its first token.

Hidden states of the caption and of the mark with which the image begins must tell where text is to
be, its colours, and how many characters each word has. Among hundreds of image tokens a sequence
shows each of these once or twice; a caption is a tenth as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from moyin.backend import Tensor, nn, ops
from moyin.models import rope
from moyin.nano.layout_facts import FACTS, VALUES, prefixes
from moyin.train.auxiliary import Auxiliary
from moyin.train.losses import cross_entropy, sum_and_count
from moyin.train.objectives.base import Batch
from moyin.train.objectives.generator import GeneratorForward, Sequences


class LayoutHead(Auxiliary):
    """Linear maps of hidden states at three depths, so that later layers can use what is predicted.

    After a third of the layers, the mark that ends a reference predicts the reference's facts.
    After half, each token id of the caption predicts its ordinals. After two thirds, the mark that
    begins the image predicts its facts.
    """

    def __init__(self, objective: Any, weight: float) -> None:
        """objective: a generator's, with its tokenizer."""
        super().__init__()
        self.weight, self.tokenizer = weight, objective.tokenizer
        config = objective.network.config
        hidden, layers = config.hidden, config.layers
        self.early, self.middle, self.late = -(-layers // 3), -(-layers // 2), -(-2 * layers // 3)
        self.norm = nn.RMSNorm(hidden, config.eps)
        self.facts = nn.Linear(hidden, len(FACTS) * VALUES)
        self.middle_norm = nn.RMSNorm(hidden, config.eps)
        self.early_norm = nn.RMSNorm(hidden, config.eps)
        self.reference_facts = nn.Linear(hidden, len(FACTS) * VALUES)
        self.ordinals = nn.Linear(hidden, 2 * VALUES)

    def batch(self, samples: Sequences, arrays: Batch) -> Batch:
        """All captions of each image; one where images are truncated or edits, which are long,
        are among them."""
        asked = []
        for record, row, reference, caption in zip(
            samples.records, samples.rows, samples.references, samples.captions, strict=True
        ):
            captions = record["captions"]
            one = samples.truncated or samples.edited
            chosen = [caption or captions[0]] if one else captions
            asked += [(c, row, reference) for c in chosen]
        captions, rows, references = map(list, zip(*asked, strict=True))
        return prefixes(self.tokenizer, captions, rows, samples.preview, references)

    def loss(
        self, forward: GeneratorForward, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        losses, shown = self.losses(forward.network, batch, dtype)
        return self.weight * ops.sum(losses), shown

    def losses(
        self, network: Any, batch: dict[str, Tensor], dtype: Any
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Each caption's loss [B]: mean cross-entropy of its facts, of its reference's, and of its
        ordinals. Shows the share of captions whose number of columns and ground are right.

        batch: arrays of `layout_facts.prefixes`.
        """
        counts = sorted({self.early, self.middle, self.late})
        tokens, positions = batch["prefix_tokens"], batch["prefix_positions"]
        states = dict(
            zip(counts, hidden_states(network, tokens, positions, counts, dtype), strict=True)
        )
        b, length, _ = states[self.late].shape
        marks, starts, facts = batch["prefix_marks"], batch["prefix_starts"], batch["layout_facts"]
        predicted = _at(self.facts, self.norm(states[self.late]), marks)
        losses = ops.mean(cross_entropy(predicted, facts), 1)
        edits = starts > 0
        ends = ops.where(edits, starts - 1, starts)
        reference = _at(self.reference_facts, self.early_norm(states[self.early]), ends)
        of_reference = ops.mean(cross_entropy(reference, batch["reference_facts"]), 1)
        losses = losses + of_reference * ops.cast(edits, ops.float32)
        count = self.ordinals(self.middle_norm(states[self.middle]))
        count = ops.reshape(count, (b, length * 2, VALUES))
        counted = cross_entropy(count, ops.reshape(batch["ordinals"], (b, length * 2)))
        place = ops.reshape(ops.arange(length * 2), (1, -1))
        start, stop = (ops.reshape(2 * ends, (-1, 1)) for ends in (starts, marks))
        caption = ops.cast(place >= start, ops.float32) * ops.cast(place < stop, ops.float32)
        ordinals = ops.sum(counted * caption, 1)
        losses = losses + ordinals / ops.cast(2 * (marks - starts), ops.float32)
        shown = {}
        for name in ("columns", "ground"):
            at = FACTS.index(name)
            right = ops.cast(ops.argmax(predicted[:, at], 1) == facts[:, at], ops.float32)
            shown[f"layout_{name}"] = sum_and_count(right, 0 * right + 1)
        return losses, shown


def hidden_states(
    network: Any, tokens_bl: Tensor, positions_3bl: Tensor, counts: Sequence[int], dtype: Any
) -> list[Tensor]:
    """A generator's states [B, L, hidden] after these numbers of layers, in rising order, not
    normed. No layer beyond the last of them is computed."""
    config, states = network.config, []
    x = network.embedding(tokens_bl)
    x = x if dtype is None else ops.cast(x, dtype)
    rotation = rope.table(positions_3bl, config.rotary_sections, config.theta, x.dtype)
    for number, layer in enumerate(list(network.layers)[: max(counts)], 1):
        x = layer(x, rotation, None)
        if number in counts:
            states.append(x)
    return states


def _at(head: Any, states_bld: Tensor, at_b: Tensor) -> Tensor:
    """A head's logits of the facts, from the state at one position of each sample:
    [B, FACTS, VALUES]."""
    b, length, hidden = states_bld.shape
    flat = ops.reshape(states_bld, (b * length, hidden))
    chosen = ops.take(flat, ops.arange(b) * length + at_b, 0)
    return ops.reshape(head(chosen), (b, len(FACTS), VALUES))
