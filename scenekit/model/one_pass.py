"""The one pass of a board: the stages and heads in the order of the plan.

Letters: N rows of a stream in the whole batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from scenekit.errors import BoardError
from scenekit.hooks import Policy, TaskSpec, naming_plugin
from scenekit.keys import Key, Stream
from scenekit.model.board import Board
from scenekit.model.external_regions import check_kept
from scenekit.model.head import Head, Provider, unlabelled_loss
from scenekit.model.plan import Plan, streams_of
from scenekit.model.region_selection import RegionSelector, Rows, same_rows
from scenekit.model.targets import Targets
from scenekit.model.timing import StepTimer
from scenekit.model.tracing import eagerly, untraced, untraced_itself
from scenekit.model.watch import Watch
from scenekit.structures.regions import Regions
from scenekit.structures.tensors import map_tensors


@dataclass(frozen=True, eq=False)
class _Work:
    """What a head's network gave for some rows, and the view of the board that it saw."""

    name: str
    raw: Any
    view: Board
    rows: Rows


@dataclass(frozen=True, eq=False)
class OnePass:
    """Runs stages and heads on a board.

    Attributes:
        plan: What each step reads and provides.
        stages: The stages by name.
        owners: The record that each stage is from.
        specs: The tasks by name.
        heads: Their heads.
        selector: The board, the targets, and the rows that each head gets.
        timer: Measures the steps.
    """

    plan: Plan
    stages: nn.ModuleDict
    owners: Mapping[str, Any]
    specs: Mapping[str, TaskSpec]
    heads: nn.ModuleDict
    selector: RegionSelector
    timer: StepTimer

    @untraced_itself  # bookkeeping: only networks with fixed shapes are traced
    def run(self, order: Sequence[str], later: Sequence[str] = ()) -> dict[str, Tensor]:
        """Run steps; without targets every task decodes, with them the losses are computed.

        Args:
            order: Names of the steps.
            later: Steps that run after them, on the values of these and of other images, too.

        Returns:
            The losses by "task.loss".
        """
        read_by = {} if self.selector.targets is None else self._read_while_learning([*order, *later])
        losses: dict[str, Tensor] = {}
        targets = Watch()
        targets.add("the targets", self.selector.targets)
        for name in order:
            with self.timer.step(name):
                if name in self.stages:
                    own = self._run_stage(name, self.selector.board, self.selector.targets)
                else:
                    own = self._run_head(name, self.selector, read_by)
            with naming_plugin(self.specs.get(name, self.owners.get(name))):
                self.selector.board.check_unchanged(f"{name!r}")
                targets.check(f"{name!r}")
            losses |= {f"{name}.{loss}": value for loss, value in own.items()}
        return losses

    def run_padded(self, order: Sequence[str], rows: int) -> None:
        """Run steps without targets and with shapes that do not depend on the images, so that torch.export follows.

        Args:
            order: Names of the steps.
            rows: Rows of each stream for each image.
        """
        board = self.selector.board
        for name in order:
            with naming_plugin(self.specs.get(name, self.owners.get(name))):
                if name in self.stages:
                    stage = cast(Provider, self.stages[name])
                    stage.padded(board.view(name, (*stage.requires, *stage.provides), {}), rows)
                else:
                    own = self.selector.inference_regions(self.specs[name], self._follows(name))
                    self._put(self._work(name, board, own), board)

    def _follows(self, name: str) -> tuple[Stream, ...]:
        return streams_of(self.plan.reads(name))

    @untraced_itself
    def _run_stage(self, name: str, board: Board, targets: Targets | None) -> dict[str, Tensor]:
        stage = cast(Provider, self.stages[name])
        with naming_plugin(self.owners.get(name)):
            view = board.view(name, (*stage.requires, *stage.provides), {})
            losses: dict[str, Tensor] = stage(view, targets) if stage.static else eagerly(stage, view, targets)
            for key in stage.provides:
                if isinstance(given := board.given.get(key), Regions):
                    check_kept(name, key, given, board[key])
        return losses

    @untraced
    def _run_head(
        self, name: str, selector: RegionSelector, read_by: Mapping[str, Mapping[Stream, Policy]]
    ) -> dict[str, Tensor]:
        """Decode without targets; with them compute losses, and decode where another task learns from the values."""
        spec, streams = self.specs[name], self._follows(name)
        with naming_plugin(spec):
            if selector.targets is None:
                self._put(self._work(name, selector.board, selector.inference_regions(spec, streams)), selector.board)
                return {}
            work, losses = self._learn(name, selector, selector.targets)
            if name in read_by:
                shown = selector.decoding_regions(spec, streams, read_by[name])
                if work is None or not same_rows(work.rows, shown):
                    work = self._work(name, selector.board, shown)
                self._put(work, selector.board, detached=True)
                selector.board.compute_for_others(spec.provides, partial(self._for_other_rows, name, selector))
            return losses

    def _for_other_rows(
        self, name: str, selector: RegionSelector, key: Key[Any, Any], root: Regions
    ) -> dict[Key[Any, Any], tuple[Any, Regions]]:
        """Decode a head during training for a task that reads it under another policy."""
        spec, stream = self.specs[name], key.of
        assert stream is not None
        for policy in Policy:
            rows = selector.decoding_regions(spec, self._follows(name), {stream: policy})
            if rows[stream].root is root:
                with naming_plugin(spec), torch.no_grad():
                    values = self._decoded(self._work(name, selector.board, rows))
                followed = {key: rows[key.of] for key in values if key.of is not None and key.of in rows}
                return {key: (values[key], own) for key, own in followed.items()}
        return {}

    def _learn(self, name: str, selector: RegionSelector, targets: Targets) -> tuple[_Work | None, dict[str, Tensor]]:
        spec, head = self.specs[name], self._head(name)
        own = selector.training_regions(spec, self._follows(name)) if spec.learns_from else {}
        if not selector.can_learn(spec, own):
            return None, unlabelled_loss(head)
        work = self._work(name, selector.board, own)
        losses = head.loss(work.raw, work.view, targets.aligned(own))
        if not isinstance(losses, Mapping):
            returned = type(losses).__name__
            raise BoardError(f"`loss` of task {name!r} must return scalar tensors by name, got a {returned}")
        return work, losses

    def _work(self, name: str, board: Board, rows: Rows) -> _Work:
        # All that it declares, so that a head may ask whether this model has what it could use.
        step = self.plan.steps[name]
        view = board.view(name, (*step.requires, *step.uses_with(step.inputs)), rows)
        return _Work(name, self._head(name)(view), view, rows)

    def _put(self, work: _Work, board: Board, detached: bool = False) -> None:
        """Decode, and write the values under the keys that the task provides.

        A task that reads a value in order to learn gets it `detached`, so that no gradient reaches the head that
        produced it.
        """
        values, provides = self._decoded(work), self.specs[work.name].provides
        writer = board.view(work.name, (*work.rows, *provides), work.rows)
        for key in sorted(provides, key=lambda key: not isinstance(key, Stream)):  # streams, then what follows them
            value = map_tensors(Tensor.detach, values[key]) if detached else values[key]
            writer.put(key, value, None if key.of is None else work.rows.get(key.of))

    def _decoded(self, work: _Work) -> Mapping[Key[Any, Any], Any]:
        provides = self.specs[work.name].provides
        decoded = self._head(work.name).decode(work.raw, work.view)
        values = {provides[0]: decoded} if len(provides) == 1 else decoded
        if not isinstance(values, Mapping) or set(values) != set(provides):
            wanted = ", ".join(key.name for key in provides)
            returned = sorted(key.name for key in values) if isinstance(values, Mapping) else type(values).__name__
            raise BoardError(
                f"`decode` of task {work.name!r} must return a mapping with the keys {wanted}, got {returned}"
            )
        return cast("Mapping[Key[Any, Any], Any]", values)

    def _head(self, name: str) -> Head[Any, Any]:
        return cast("Head[Any, Any]", self.heads[name])

    def _read_while_learning(self, order: Sequence[str]) -> dict[str, dict[Stream, Policy]]:
        """Return the tasks that learning tasks read, directly or through one in between, and the policies of those."""
        readers: dict[str, dict[Stream, Policy]] = {}
        for name in reversed(order):
            for reader in (self.specs[other] for other in self.plan.readers(name) if other in self.specs):
                if reader.name in order and (reader.learns_from or reader.name in readers):
                    readers.setdefault(name, {}).update({**readers.get(reader.name, {}), **reader.streams})
        return readers
