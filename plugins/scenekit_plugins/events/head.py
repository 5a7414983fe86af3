"""The head: slots of time become events, and a decoder describes them.

Letters: K clips, G cells of a frame, S slots of a clip, E events of a clip, M matched slots of all clips, N chosen
ones, P cells of an event, L upper limit of tokens, D width, DD twice that.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from scenekit.keys import EVENTS
from scenekit.model.board import Board
from scenekit.model.head import Core, Head
from scenekit.model.targets import Targets
from scenekit.ops.losses import safe_mean
from scenekit.structures import Captions, Events, ImageBatch
from scenekit_plugins.events.cells import EVENT_CELLS, numbers
from scenekit_plugins.events.config import EventConfig
from scenekit_plugins.events.decoder import AttendingDecoder
from scenekit_plugins.events.matching import NEARLY, matched, span_iou
from scenekit_plugins.events.network import EventNetwork, Sight
from scenekit_plugins.texts.decoder import GeneratedTokens, teacher_forcing
from scenekit_plugins.texts.tokenizer import CaptionTokenizer, of_names

Windows = list[tuple[int, slice]]
"""Clip and frames of each window."""

TOGETHER = 8
"""Windows that the network looks at together, except in training, so that the memory of a long video is bounded."""

TEXTS_TOGETHER = 128
"""Texts that are generated together, for the same reason."""

EARLY = 0.1
"""Part of a step by which a frame may be early."""

Described = tuple[Float[Tensor, "N DD"], Float[Tensor, "N P D"]]
"""Features of events, and the cells that their texts look at."""


class EventHead(Head[tuple[Windows, Sight], list[Events]]):
    """Finds the events of clips, and describes them."""

    def __init__(self, core: Core, config: EventConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = CaptionTokenizer(config.tokenizer.stored or of_names(core.vocabulary))
        self.network = EventNetwork(numbers(core.channels, config.parts), config)
        self.decoder = AttendingDecoder(2 * config.width, config.width, self.tokenizer, config.lstm, config.heads)
        self.axis_names = {f"decoder.{name}": axes for name, axes in self.decoder.axis_names.items()}

    def forward(self, board: Board) -> tuple[Windows, Sight]:
        """Look at all clips, in windows."""
        cells: Float[Tensor, "B G C"] = board[EVENT_CELLS]
        parts = windows(board.images, self.config.window)
        times = frame_times(board.images, cells)
        rows = [part.start + thinned(times[part], self.config.rate) for _, part in parts]
        size = len(rows) if self.training else TOGETHER
        chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
        sights = [self.network([cells[row] for row in chunk], [times[row] for row in chunk]) for chunk in chunks]
        return parts, Sight.cat(sights)

    def loss(self, raw: tuple[Windows, Sight], board: Board, targets: Targets) -> dict[str, Tensor]:
        """Compute the losses of scores, spans and texts; means over slots, events and tokens.

        The targets of a window are the events whose middle it has.
        """
        parts, sight = raw
        times = frame_times(board.images, sight.spans)
        groups = [self.window_events(targets, board.images, number, times[part]) for number, part in parts]
        pairs = [self._pairs(sight, row, events) for row, events in enumerate(groups)]
        score = self._score_loss(sight, groups, pairs, times)
        rows = [
            (row, slot, event)
            for row, pair in enumerate(pairs)
            for slot, event in (() if pair is None else zip(pair[0].tolist(), pair[1].tolist(), strict=True))
        ]
        if not rows:
            nothing = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() * 0.0
            return {"score": score, "span": nothing, "text": nothing}
        clips, slots = torch.tensor([row[:2] for row in rows], device=times.device).unbind(dim=1)
        spans = torch.stack([_events(groups, row).spans[event] for row, _, event in rows]).to(times)
        texts = [_events(groups, row).captions.texts[event] for row, _, event in rows]
        described = self.network.described(sight, clips, sight.slots[clips, slots], spans)
        return {
            "score": score,
            "span": _span_loss(sight.spans[clips, slots], spans),
            "text": self._text_loss(described, texts),
        }

    def _score_loss(
        self,
        sight: Sight,
        groups: Sequence[Events | None],
        pairs: Sequence[tuple[Tensor, Tensor] | None],
        times: Float[Tensor, " B"],
    ) -> Tensor:
        """Compute the cross-entropy of the scores; slots that nearly cover an event of another slot do not count."""
        hit, counted = torch.zeros_like(sight.logits), sight.used.clone()
        for row, (events, pair) in enumerate(zip(groups, pairs, strict=True)):
            if events is None or pair is None:
                counted[row] = False
                continue
            near = span_iou(sight.spans[row].detach(), events.spans.to(times)) >= NEARLY
            counted[row] &= ~near.any(dim=1)
            hit[row, pair[0]], counted[row, pair[0]] = 1.0, True
        return safe_mean(F.binary_cross_entropy_with_logits(sight.logits, hit, reduction="none")[counted])

    def _pairs(self, sight: Sight, row: int, events: Events | None) -> tuple[Tensor, Tensor] | None:
        """Return which slot of a window learns which event."""
        if events is None:
            return None
        used = sight.used[row]
        spans = sight.spans[row][used]
        return matched(sight.logits[row][used], sight.centers[row][used], spans, events.spans.to(spans))

    def window_events(
        self, targets: Targets, images: ImageBatch, clip: int, times: Float[Tensor, " f"]
    ) -> Events | None:
        """Return the events that a window learns: those whose middle it has.

        Args:
            targets: Ground truth of the batch.
            images: Frames of clips.
            clip: The clip.
            times: Seconds of the frames of the window.

        Returns:
            Events in seconds from the first frame of the window; None where the clip is not annotated.
        """
        if not bool(targets.valid[EVENTS][clip]):
            return None
        events: Events = targets[EVENTS][clip]
        whole = images.clips is not None and len(images.clips[clip]) == len(times)
        middle, start, end = events.spans.mean(dim=1), float(times[0]), float(times[-1])
        inside = torch.ones(len(events), dtype=torch.bool) if whole else ((middle >= start) & (middle <= end)).cpu()
        own = events[inside]
        return Events(own.spans - start, own.captions)

    def _text_loss(self, described: Described, texts: Sequence[Sequence[str]]) -> Tensor:
        """Compute the cross-entropy of each token of all references, given the ones before it."""
        encoded = [[tokens for tokens in map(self.tokenizer.encode, group) if tokens] for group in texts]
        places = [place for place, group in enumerate(encoded) for _ in group]
        if not places:
            return described[0].sum() * 0.0 + torch.stack([p.sum() for p in self.decoder.parameters()]).sum() * 0.0
        forced = teacher_forcing(self.tokenizer, [t for group in encoded for t in group], self.config.max_tokens)
        features, cells = described
        start = self.decoder.encode(features[:, :, None, None], cells)[places]
        log_probs = self.decoder(start, forced.inputs.to(features.device))
        target = forced.targets.to(features.device).flatten()
        return safe_mean(F.nll_loss(log_probs.flatten(0, 1)[target >= 0], target[target >= 0], reduction="none"))

    def decode(self, raw: tuple[Windows, Sight], board: Board) -> list[Events]:
        """Choose the events of each clip, and describe them."""
        parts, sight = raw
        times = frame_times(board.images, sight.spans)
        rows, slots = self._chosen(sight)
        spans = sight.spans[rows, slots]
        generated = self._generated(sight, rows, slots, spans)
        starts = torch.stack([times[part.start] for _, part in parts])
        owners = torch.tensor([number for number, _ in parts], device=rows.device)[rows]
        scores, found = sight.logits[rows, slots].sigmoid(), spans + starts[rows][:, None]
        return [
            self._of_clip(board.images, number, (owners == number).nonzero()[:, 0], found, scores, generated)
            for number in range(len(board.images.clips or ()))
        ]

    def _chosen(self, sight: Sight) -> tuple[Int[Tensor, " N"], Int[Tensor, " N"]]:
        """Return window and slot of what scores enough."""
        enough = sight.used & (sight.logits.sigmoid() >= self.config.score_threshold)
        best = sight.logits.masked_fill(~enough, -torch.inf).topk(min(self.config.max_events, enough.shape[1]), dim=1)
        rows, places = best.values.isfinite().nonzero(as_tuple=True)
        return rows, best.indices[rows, places]

    def _generated(
        self, sight: Sight, clips: Int[Tensor, " N"], slots: Int[Tensor, " N"], spans: Float[Tensor, "N 2"]
    ) -> GeneratedTokens:
        """Generate a text for each span from what the network makes of its clip, and the slot."""
        generator = torch.Generator().manual_seed(self.config.search.seed)
        uniform = torch.rand(len(spans), self.config.max_tokens, generator=generator).to(spans.device)
        parts = []
        for rows in torch.split(torch.arange(len(spans), device=spans.device), TEXTS_TOGETHER):
            features = sight.slots[clips[rows], slots[rows]]
            described = self.network.described(sight, clips[rows], features, spans[rows])
            parts.append(self._texts(described, uniform[rows]))
        return GeneratedTokens.cat(parts, self.tokenizer.pad)

    def _texts(self, described: Described, uniform: Float[Tensor, "N L"]) -> GeneratedTokens:
        features, cells = described
        if len(features) == 0:
            empty = features.new_zeros((0, 0))
            return GeneratedTokens(empty.long(), empty)
        encoded = self.decoder.encode(features[:, :, None, None], cells)
        return self.decoder.generate(encoded, self.config.max_tokens, self.config.search, uniform)

    def _of_clip(
        self,
        images: ImageBatch,
        clip: int,
        rows: Int[Tensor, " E"],
        spans: Float[Tensor, "N 2"],
        scores: Float[Tensor, " N"],
        generated: GeneratedTokens,
    ) -> Events:
        """Return the events of a clip by their starts, within it, without those that others nearly cover."""
        assert images.clips is not None
        first, last = images.clips[clip].times[0], images.clips[clip].times[-1]
        clipped = spans[rows].detach().clamp(first, max(last, first))
        kept = kept_rows(clipped, scores[rows], self.config.nms_threshold)
        if not len(kept):
            return Events.empty()
        kept = kept[clipped[kept, 0].argsort(stable=True)]
        captions = self.captions(GeneratedTokens(generated.tokens[rows[kept]], generated.log_probs[rows[kept]]))
        return Events(clipped[kept].float().cpu(), captions, scores[rows[kept]].detach().float().cpu())

    def texts_of(self, sight: Sight, window: int, spans: Float[Tensor, "E 2"]) -> Captions:
        """Describe spans of a window, such as those of another detector of events.

        Args:
            sight: What the network makes of the windows.
            window: The window.
            spans: Start and end, in seconds from the first frame of the window.

        Returns:
            A text for each span.
        """
        used, spans = sight.used[window], spans.to(sight.spans)
        near = span_iou(spans, sight.spans[window]).masked_fill(~used, -torch.inf).argmax(dim=1)
        rows = torch.full_like(near, window)
        return self.captions(self._generated(sight, rows, near, spans))

    def captions(self, generated: GeneratedTokens) -> Captions:
        """Convert tokens to texts.

        Args:
            generated: Generated tokens.

        Returns:
            Texts; scores are geometric means of the tokens' probabilities.
        """
        texts = tuple((self.tokenizer.decode(tokens),) for tokens in generated.tokens.tolist())
        log_probs = generated.log_probs.masked_fill(~generated.text_mask(self.tokenizer.end), torch.nan)
        return Captions(texts, log_probs.detach().nanmean(dim=1).exp().float().cpu())


def windows(images: ImageBatch, seconds: float) -> Windows:
    """Return the frames of each clip, those of a long one in windows that overlap by half.

    Args:
        images: Frames of clips.
        seconds: The length of a window.

    Returns:
        Clip and frames of each window.
    """
    parts: Windows = []
    for number, clip in enumerate(images.clips or ()):
        start, stop = 0, 0
        while stop < len(clip):
            stop = start + 1
            while stop < len(clip) and clip.times[stop] - clip.times[start] <= seconds:
                stop += 1
            parts.append((number, slice(clip.first + start, clip.first + stop)))
            middle = clip.times[start] + seconds / 2
            start = max(start + 1, next((row for row in range(start, stop) if clip.times[row] >= middle), stop))
    return parts


def thinned(times: Float[Tensor, " f"], rate: float) -> Int[Tensor, " N"]:
    """Return which frames the network looks at: the first one in each step of time.

    Args:
        times: Seconds of the frames.
        rate: Steps in a second.

    Returns:
        Rows in order; always the first.
    """
    steps = ((times - times[0]) * rate + EARLY).floor()
    return torch.cat((torch.ones_like(steps[:1], dtype=torch.bool), steps.diff() > 0)).nonzero()[:, 0]


def frame_times(images: ImageBatch, like: Tensor) -> Float[Tensor, " B"]:
    """Return the seconds of each frame; 0 for images of no clip.

    Args:
        images: Frames of clips.
        like: A tensor of the device.

    Returns:
        Times by place in the batch, in single precision.
    """
    times = torch.zeros(len(images), device=like.device)
    for clip in images.clips or ():
        times[clip.places] = torch.tensor(clip.times, device=like.device)
    return times


def kept_rows(spans: Float[Tensor, "E 2"], scores: Float[Tensor, " E"], threshold: float) -> Int[Tensor, " N"]:
    """Return the spans that no better one covers by more than a tIoU.

    Args:
        spans: Start and end in seconds.
        scores: Confidence.
        threshold: The tIoU.

    Returns:
        Rows, best first.
    """
    order = scores.argsort(descending=True, stable=True)
    close, kept = span_iou(spans[order], spans[order]) > threshold, list[int]()
    for row in range(len(order)):
        if not any(bool(close[row, other]) for other in kept):
            kept.append(row)
    return order[torch.tensor(kept, dtype=torch.int64, device=order.device)]


def _events(groups: Sequence[Events | None], row: int) -> Events:
    events = groups[row]
    assert events is not None, "only windows of annotated clips are matched"
    return events


def _span_loss(spans: Float[Tensor, "M 2"], targets: Float[Tensor, "M 2"]) -> Tensor:
    """Compute the mean of what the tIoU lacks, and of the seconds between ends."""
    lacking = 1 - span_iou(spans, targets).diagonal()
    return safe_mean(lacking) + safe_mean(F.smooth_l1_loss(spans, targets, reduction="none", beta=0.2))
