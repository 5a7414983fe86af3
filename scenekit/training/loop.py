"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from pathlib import Path
from typing import Any, cast

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import Tensor, nn

from scenekit.data.datasets import dataset
from scenekit.data.labelers import Labeler, labelers_named, labelled
from scenekit.data.loader import Packed, Shard, Source, training_batches
from scenekit.data.transforms import augmentations
from scenekit.errors import InputError
from scenekit.evaluation.loop import evaluate
from scenekit.hooks import BalancerSpec, registry
from scenekit.hooks.options import check_options
from scenekit.model.build import build
from scenekit.model.scene_model import SceneModel
from scenekit.model.targets import Targets
from scenekit.recipe import DatasetConfig, ModelConfig, Recipe
from scenekit.recipe.initial import with_initial
from scenekit.scene import Scene
from scenekit.structures.images import ImageBatch
from scenekit.training.balancing import Balancer, LossWeights, task_of
from scenekit.training.devices import accelerator_for, seed_step
from scenekit.training.ema import Ema
from scenekit.training.folder import EVALUATIONS, LOG, MODEL, RECIPE, check_folder, clear_folder
from scenekit.training.freezing import freeze_except
from scenekit.training.gradients import shared_parameters, task_gradient_norms
from scenekit.training.log import Log, Window, read_log
from scenekit.training.optimizers import build_optimizer, set_learning_rate
from scenekit.training.preparation import prepared, prepares
from scenekit.training.progress import Reporter, reporting, watched
from scenekit.training.state import load_state, save_checkpoint
from scenekit.weights import load
from scenekit.weights.card import EVALUATED, TRAINED_ON, evaluation_of
from scenekit.weights.checkpoint import save_model, without_pretrained, writing
from scenekit.weights.transfer import Transfer, transfer

_log = logging.getLogger(__name__)

LEAST_SHARE = 0.5
"""Of the parameters in parts that both models have, what `init` must give at least: less is most likely an error."""


def train(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: bool = True,
    strict: bool = False,
) -> SceneModel:
    """Train a model as `recipe` says and write it to `out`/model, with log and checkpoints beside it.

    `resume` goes on from the last checkpoint in `out`, exactly as if the run had never stopped; where there is none, it
    begins. `strict` refuses faulty annotations instead of dropping them with a warning. Several processes (started by
    `accelerate launch` or torchrun) share the work. Raises InputError for a recipe or data that cannot be used, and
    when the losses stop being finite.
    """
    folder = Path(recipe.out if out is None else out)
    recipe, checkpoint = check_folder(folder, recipe, resume)
    with accelerator_for(recipe.train.precision, device) as accelerator:
        run = Run(recipe, folder, accelerator, checkpoint, strict, progress)
        return run.go()


class Learner(nn.Module):
    """The model as a function of a batch to its raw losses, all or those of `only` these tasks and stages: the part
    that several processes share.
    """

    def __init__(self, model: SceneModel, only: Sequence[str] | None = None) -> None:
        super().__init__()
        self.model, self.only = model, only

    def forward(self, batch: ImageBatch, targets: Targets) -> dict[str, Tensor]:
        """Losses by "task.loss"."""
        losses: dict[str, Tensor] = self.model(batch, targets, tasks=self.only).losses
        return {name: loss for name, loss in losses.items() if self.only is None or task_of(name) in self.only}


class Run:
    """One training run: what it works with, and how far it is (`step` steps are done)."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        accelerator: Accelerator,
        checkpoint: Path | None,
        strict: bool,
        progress: bool,
    ) -> None:
        self.recipe, self.config, self.out, self.accelerator = recipe, recipe.train, out, accelerator
        self.strict, self.progress = strict, progress
        labelers = labelers_named(recipe.data.labelers)
        self.sources = [open_source(config, labelers) for config in recipe.data.train]
        val = recipe.data.val
        self.val = open_source(val, labelers) if val is not None and self.config.evaluate_every else None
        self.started: Transfer | None = None
        self.model = self._fresh() if checkpoint is None else self._built(without_pretrained(recipe.model))
        self.weights = LossWeights(self.model.loss_weights, self.config.loss_weights)
        self.weights.check([*self.model.stages, *self.model.heads])
        self.unchecked = frozenset(name for name in self.config.loss_weights if "." in name)
        self.balancer = make_balancer(self.config.balancer, self.config.balancer_options)
        learner = Learner(self.model, self.config.only).train()
        if self.config.only is not None:
            freeze_except(self.model, self.config.only)
        self.learner, self.optimizer = accelerator.prepare(learner, build_optimizer(self.model, self.config))
        self.shared = shared_parameters(self.model)
        self.ema = None if self.config.ema is None else Ema(self.model, self.config.ema)
        self.window = Window()
        self.untaught: set[str] = set()
        self.step = 0
        if checkpoint is not None:
            self._restore(load_state(checkpoint))

    def go(self) -> SceneModel:
        """Do the steps that are left; returns the finished model."""
        main = self.accelerator.is_main_process
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        self.accelerator.wait_for_everyone()
        if main:
            self.recipe.save(self.out / RECIPE)
            self.log = Log(self.out / LOG, self.step)
            self.evaluations = Log(self.out / EVALUATIONS, self.step)
            registry().notify("scenekit_run_started", recipe=self.recipe, folder=str(self.out))
        reason = "interrupted"
        try:
            with reporting(self.progress and main, self.config.steps, self.step) as reporter:
                if self.started is not None:
                    reporter.said(f"weights of {self.recipe.init}:\n{self.started}")
                self._train(self._batches(), reporter)
            reason = "finished"
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            if main and self.step == 0:
                clear_folder(self.out)
            raise
        finally:
            if main:
                registry().notify("scenekit_run_ended", step=self.step, reason=reason)
        return self._finish()

    def _fresh(self) -> SceneModel:
        """Return the model that a run begins with; the recipe gets what `init` and its tasks say of the model."""
        name = self.recipe.init
        initial = None if name is None else load(name)
        if initial is not None:
            self.recipe = with_initial(self.recipe, initial.config)
        if prepares(self.recipe):
            self.recipe = self._agreed(lambda: prepared(self.recipe, self.sources, self._watched))
        model = self._built(self.recipe.model)
        if initial is not None:
            self.started = transfer(initial, model)
            if self.started.share < LEAST_SHARE:
                raise InputError(
                    f"init: only {self.started.share:.0%} of the parameters in the parts that {name!r} and this model "
                    f"share have the same shape; leave `model` out of the recipe to take that of {name!r}, or make it "
                    "fit: `scenekit recipe show` prints where each value comes from"
                )
            _log.info("start from %s; %s", name, self.started)
        return model

    def _built(self, config: ModelConfig) -> SceneModel:
        vocabularies = [source.data.vocabulary for source in self.sources]
        vocabulary = reduce(lambda first, second: first.merged(second), vocabularies)
        seed_step(self.config.seed, -1, 0)  # the same fresh weights in every process
        return build(config, vocabulary)

    def _agreed(self, make: Callable[[], Recipe]) -> Recipe:
        """What the first process makes; the others wait for it."""
        if self.accelerator.num_processes == 1:
            return make()
        shared = [make().model_dump(mode="json") if self.accelerator.is_main_process else None]
        return Recipe.parse(broadcast_object_list(shared)[0])

    def _watched(self, scenes: Iterator[Scene], count: int) -> Iterator[Scene]:
        return watched(scenes, "reading labels", count, self.progress)

    def _batches(self) -> Iterator[Packed]:
        config, accelerator = self.config, self.accelerator
        start, stop = self.step * config.accumulate, config.steps * config.accumulate
        return training_batches(
            self.sources,
            model=self.model,
            transforms=augmentations(self.recipe.augment, self.recipe.model.input),
            batch_size=config.batch_size,
            seed=config.seed,
            shard=Shard(start, stop, accelerator.process_index, accelerator.num_processes),
            workers=config.workers,
            strict=self.strict,
        )

    def _train(self, data: Iterator[Packed], reporter: Reporter) -> None:
        since, began = self.step, time.perf_counter()
        while self.step < self.config.steps:
            rate, norms = self._do_step(data)
            self.step += 1
            reporter.advanced(self.step)
            if self._due(self.config.log_every):
                seconds = time.perf_counter() - began
                self._log(rate, norms, self._images(self.step - since) / seconds, reporter)
                since, began = self.step, time.perf_counter()
            if self._due(self.config.save_every):
                self._save()
            if self.val is not None and self._due(self.config.evaluate_every):
                began += self._evaluate(self.val)  # not a part of the speed

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _images(self, steps: int) -> int:
        processes: int = self.accelerator.num_processes
        return steps * self.config.accumulate * self.config.batch_size * processes

    def _do_step(self, data: Iterator[Packed]) -> tuple[float, dict[str, float]]:
        """One optimizer step; gives its learning rate and, where it is time for them, gradient norms by task."""
        rate = set_learning_rate(self.optimizer, self.config, self.step)
        seed_step(self.config.seed, self.step, self.accelerator.process_index)
        norms: dict[str, float] = {}
        for part in range(self.config.accumulate):
            last = part == self.config.accumulate - 1
            with self._syncing(last):
                losses = self.learner(*self._on_device(next(data)))
                self.unchecked = self.weights.check_losses(self.unchecked, losses)
                weighted = self.weights(losses)
                if last and self._measures_norms():
                    norms = task_gradient_norms(weighted, self.shared)
                loss = self._combined(weighted)
                self.accelerator.backward(loss / self.config.accumulate)
            raw = {name: float(value.detach()) for name, value in losses.items()}
            self.window.add({**raw, "loss": float(loss.detach())})
        self._descend()
        return rate, norms

    def _syncing(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients travel between processes with the last part of a step only."""
        return nullcontext() if last else cast(AbstractContextManager[Any], self.accelerator.no_sync(self.learner))

    def _on_device(self, packed: Packed) -> Packed:
        batch, targets = packed
        return batch.to(self.accelerator.device), targets.to(self.accelerator.device)

    def _combined(self, weighted: Mapping[str, Tensor]) -> Tensor:
        if not weighted:
            raise InputError("the model has no losses; give model.tasks a task that learns")
        return self.balancer(weighted)

    def _measures_norms(self) -> bool:
        every = self.config.log_every * self.config.grad_norm_every
        return every > 0 and (self.step + 1) % every == 0

    def _descend(self) -> None:
        limit = math.inf if self.config.clip is None else self.config.clip
        norm = float(self.accelerator.clip_grad_norm_(self.learner.parameters(), limit))
        # The norm is of all processes together, so that all of them stop here. With fp16 an overflow is a part of the
        # method: the scaler skips the step.
        if not math.isfinite(norm) and self.config.precision != "fp16":
            raise InputError(
                f"step {self.step + 1}: the gradient is not finite; lower train.lr, or train.clip if it is high"
            )
        self.window.add({"grad_norm": norm})
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.ema is not None:
            self.ema.update(self.model, self.step)

    def _log(self, rate: float, norms: Mapping[str, float], speed: float, reporter: Reporter) -> None:
        """One line of means since the line before, over all processes."""
        windows = gather_object([self.window.sums]) if self.accelerator.num_processes > 1 else [self.window.sums]
        self.window = Window()
        if not self.accelerator.is_main_process:
            return
        means = Window.merged(windows).means()
        loss, norm = means.pop("loss"), means.pop("grad_norm")
        self._tell_untaught(means)
        record = {
            "step": self.step,
            "lr": rate,
            "loss": loss,
            "losses": means,
            "weighted": {name: value * self.weights.weight(name) for name, value in means.items()},
            "grad_norm": {"total": norm, **norms},
            "images_per_second": speed,
        }
        self.log.write(record)
        reporter.logged(record)
        registry().notify("scenekit_step_done", step=self.step, record=record)

    def _tell_untaught(self, losses: Mapping[str, float]) -> None:
        """Warn of tasks that had nothing to learn from since the line before, of each once."""
        taught = {task_of(name) for name in losses}
        for name in self.model.tasks if self.config.only is None else self.config.only:
            keys = self.model.specs[name].learns_from if name in self.model.specs else ()
            if keys and name not in taught | self.untaught:
                self.untaught.add(name)
                needed = ", ".join(key.name for key in keys)
                _log.warning(
                    "of the images before step %d, none since the last line of the log had labels for the task %s,"
                    " which learns from %s; do the data sets carry them?",
                    self.step,
                    name,
                    needed,
                )

    def _evaluate(self, val: Source) -> float:
        """Measure the model as it would be kept now; the first process does it, the others wait. Gives the seconds."""
        began = time.perf_counter()
        if self.accelerator.is_main_process:
            with self._averaged():
                limit, strict = self.config.evaluate_limit, self.strict
                results = evaluate(self.model, val.data, limit=limit, step=self.step, strict=strict)
            self.evaluations.write({"step": self.step, "results": results})
        self.accelerator.wait_for_everyone()
        return time.perf_counter() - began

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ema is None else self.ema.swapped_into(self.model)

    def _save(self) -> None:
        """A checkpoint by the first process; the others wait."""
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "weights": {name: value.cpu().clone() for name, value in self.model.state_dict().items()},
                "optimizer": self.optimizer.state_dict(),
                "ema": None if self.ema is None else self.ema.average,
                "scaler": None if scaler is None else scaler.state_dict(),
                "window": self.window.sums,
            }
            with self._averaged():
                save_checkpoint(self.out, self.step, self.model, state, self.config.keep)
        self.accelerator.wait_for_everyone()

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            self.model.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{self.out}: the checkpoint is of another model or optimizer ({reason})") from error
        if self.ema is not None:
            self.ema.load(state["ema"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.window = Window(state["window"])
        self.step = state["step"]

    def _finish(self) -> SceneModel:
        if self.ema is not None:
            self.model.load_state_dict(self.ema.average)
        if self.accelerator.is_main_process:
            save_model(self.model, self.out / MODEL, extra=self._told())
        self.accelerator.wait_for_everyone()
        return self.model.eval()

    def _told(self) -> dict[str, Any]:
        """What the finished model's manifest says of the run: its steps, its data, and the last measurement."""
        told = {"step": self.step, TRAINED_ON: [source.name for source in self.sources]}
        measured = [record for record in read_log(self.out / EVALUATIONS) if record["step"] == self.step]
        if self.val is None or not measured:
            return told
        assert self.recipe.data.val is not None
        pictures = min(self.config.evaluate_limit, len(self.val.data))
        evaluation = evaluation_of(self.recipe.data.val, measured[-1]["results"], pictures)
        return {**told, EVALUATED: [evaluation.model_dump(mode="json")]}


def open_source(config: DatasetConfig, labelers: Sequence[Labeler] = ()) -> Source:
    """Return the data set that a recipe names, with the ground truth that `labelers` derive."""
    data = labelled(dataset(config.name, config.split, **config.options), labelers)
    return Source(data, f"{config.name}/{config.split}", config.weight)


def make_balancer(name: str, options: Mapping[str, Any]) -> Balancer:
    """The registered balancer of that name."""
    spec: BalancerSpec = registry().get("balancer", name)
    check_options(spec.build, options, f"balancer {name!r}")
    return cast(Balancer, spec.build(**options))
