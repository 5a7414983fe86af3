"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object

from scenekit.data.labelers import labelers_named
from scenekit.data.loader import Packed, Shard, training_batches
from scenekit.data.skipping import SkippedSamples
from scenekit.data.transforms import augmentations
from scenekit.errors import InputError, one_line, summary
from scenekit.hooks import naming_plugin, registry
from scenekit.io.files import path_named
from scenekit.model.scene_model import SceneModel
from scenekit.recipe import Recipe
from scenekit.recipe.label_space import plain_space
from scenekit.scene import Scene
from scenekit.training.backward import Backward
from scenekit.training.checkpointing import checkpointing_trunks, trunks_of
from scenekit.training.coverage import announce, run_coverage
from scenekit.training.devices import accelerator_for, seed_step
from scenekit.training.ema import Ema
from scenekit.training.evaluating import evaluated, last_evaluations, open_val
from scenekit.training.fitting import FitData, check_classes, fit, fitting_detector
from scenekit.training.freezing import freeze_except, learning_parts
from scenekit.training.gradients import GradientWatch
from scenekit.training.learner import Learner
from scenekit.training.log import Log, Window
from scenekit.training.optimizers import build_optimizer, set_learning_rate
from scenekit.training.preparation import (
    open_mixture,
    with_label_space,
    with_steps,
)
from scenekit.training.progress import Reporter, reporting, tracked
from scenekit.training.readiness import (
    check_background,
    check_measurable,
    check_resumable,
    check_space,
    usable_workers,
)
from scenekit.training.run_folder import (
    EVALUATIONS,
    INTERFERENCE,
    LOG,
    MODEL,
    RECIPE,
    SKIPPED,
    check_folder,
    clear_folder,
)
from scenekit.training.starting import continued, started
from scenekit.training.state import check_finite, clear_leftovers, load_state, replacing, save_checkpoint
from scenekit.training.supervision import Supervision, check_labels, learned_keys
from scenekit.weights.card import EVALUATED, LABEL_SPACE, TRAINED_ON
from scenekit.weights.checkpoint import save_model, writing

_log = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | None = None,
    progress: bool = True,
    strict: bool = False,
) -> SceneModel:
    """Train a model as a recipe says, and write it with its log and checkpoints.

    Several processes (started by `accelerate launch` or torchrun) share the work.

    Args:
        recipe: The model, the data and the training.
        out: Folder to write to; the recipe's `out` if None. The finished model is its folder `model`.
        resume: Whether to continue from the last checkpoint in `out`, exactly as if the run had never stopped; without
            a checkpoint the run starts from its beginning.
        device: "cpu", "cuda", "cuda:1", "mps"; None or "auto" for the best available one.
        progress: Whether progress is shown on standard error.
        strict: Whether samples that cannot be read and invalid annotations raise an error; otherwise they are skipped
            with a warning.

    Returns:
        The trained model, in evaluation mode.

    Raises:
        InputError: If the recipe or the data cannot be used, or the losses are no longer finite.
    """
    recipe = with_label_space(recipe)
    folder = path_named(recipe.out if out is None else out)
    with writing(folder):
        recipe, checkpoint = check_folder(folder, recipe, resume)
    with accelerator_for(recipe.train.precision, device) as accelerator, naming_plugin(None):
        run = Run(recipe, folder, accelerator, checkpoint, strict, progress)
        return run.run()


class Run:
    """One training run and its state; `step` steps are finished."""

    def __init__(
        self,
        recipe: Recipe,
        out: Path,
        accelerator: Accelerator,
        checkpoint: Path | None,
        strict: bool,
        progress: bool,
    ) -> None:
        self.out, self.accelerator, self.strict, self.progress = out, accelerator, strict, progress
        labelers = labelers_named(recipe.data.labelers)
        self.sources = open_mixture(recipe, labelers)
        self.recipe = recipe = with_steps(recipe, self.sources, accelerator.num_processes)
        self.config = recipe.train
        self.val = open_val(recipe, labelers)
        fresh = checkpoint is None
        start = started(recipe, self.sources, self._tracked, accelerator) if fresh else continued(recipe, self.sources)
        self.recipe, self.model, self.transferred = start.recipe, start.model, start.transferred
        self.learning = learning = learning_parts(self.model, self.config)
        learner = Learner(self.model, learning).train()
        if learning is not None:
            freeze_except(self.model, learning)
        self.backward = Backward(self.model, self.config, accelerator, learning)
        optimizer = build_optimizer(self.model, self.config, self.backward.parameters)
        self.learner, self.optimizer = accelerator.prepare(learner, optimizer)
        self.watch = GradientWatch(self.model, self.config)
        self.checkpointed = trunks_of(self.model) if self.config.gradient_checkpointing else []
        self.ema = None if self.config.ema is None else Ema(self.model, self.config.ema)
        self.skipped = SkippedSamples(sum(len(source.data) for source in self.sources), self.config.max_skipped)
        self.window = Window()
        self.supervision = Supervision(self.model, learning)
        self.step = 0
        self.fits = fitting_detector(self.recipe, self.model, learning)
        if self.fits is not None:
            check_classes(self.fits, self.model.vocabulary.things, self.sources, self._tracked)
        check_labels(self.model, learning, self.sources, self._tracked)
        check_background(self.model, learning, self.recipe, self.sources)
        check_measurable(self.model, due=bool(self.val))
        check_resumable(self.recipe)
        if checkpoint is not None:
            self._restore(load_state(checkpoint))

    def run(self) -> SceneModel:
        """Train for the remaining steps.

        Returns:
            The trained model, in evaluation mode.

        Raises:
            InputError: If the recipe or the data cannot be used, or the losses are no longer finite.
        """
        main = self.accelerator.is_main_process
        with writing(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
            check_space(self.out, self.model, self.recipe)
        self.accelerator.wait_for_everyone()
        if main:
            clear_leftovers(self.out)
            self.recipe.save(self.out / RECIPE)
            self.log = Log(self.out / LOG, self.step)
            self.evaluations = Log(self.out / EVALUATIONS, self.step)
            self.watch.open(self.out / INTERFERENCE, self.step)
            if self.step:
                self.skipped.load(self.out / SKIPPED)
            registry().notify("scenekit_run_started", recipe=self.recipe, folder=str(self.out))
        reason = "interrupted"
        try:
            with reporting(self.progress and main, self.config.steps, self.step) as reporter:
                if self.transferred is not None:
                    reporter.announce(f"weights of {self.recipe.init}:\n{self.transferred}")
                if main:
                    self._announce_coverage(reporter)
                with checkpointing_trunks(self.checkpointed):
                    self._train(self._batches(), reporter)
            self._complete()
            reason = "finished"
        except Exception as error:
            reason = summary(error)
            raise
        finally:
            self.skipped.report()
            if main:
                self.skipped.save(self.out / SKIPPED)
            if main and self.step == 0:
                clear_folder(self.out)
            if main:
                registry().notify("scenekit_run_ended", step=self.step, reason=reason)
        return self._finish()

    def _announce_coverage(self, reporter: Reporter) -> None:
        learns = learned_keys(self.model, self.learning)
        coverage = run_coverage(self.model.specs, learns, self.sources, self.model.vocabulary, self.config)
        announce(coverage, self.out, reporter)
        self.supervision.warned.update(coverage.unsupervised)  # once is enough

    def _tracked(self, scenes: Iterator[Scene], count: int) -> Iterator[Scene]:
        return tracked(scenes, "reading labels", count, self.progress)

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
            workers=usable_workers(config.workers),
            strict=self.strict,
            skipped=self.skipped,
        )

    def _train(self, data: Iterator[Packed], reporter: Reporter) -> None:
        images = self.config.accumulate * self.config.batch_size * self.accelerator.num_processes  # of a step
        since, began = self.step, time.perf_counter()
        while self.step < self.config.steps:
            rate, norms = self._train_step(data)
            self.step += 1
            reporter.advance(self.step)
            if self._due(self.config.log_every):
                seconds = time.perf_counter() - began
                self._log(rate, norms, images * (self.step - since) / seconds, reporter)
                since, began = self.step, time.perf_counter()
            if self._due(self.config.save_every):
                self._save()
            unfitted = self.fits is not None and self.step == self.config.steps  # evaluated once it is fitted
            if self.val and self._due(self.config.evaluate_every) and not unfitted:
                began += self._evaluate()  # not a part of the speed

    def _due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.config.steps

    def _train_step(self, data: Iterator[Packed]) -> tuple[float, dict[str, float]]:
        """Take one optimizer step; return its learning rate and, when they are due, gradient norms by task."""
        rate = set_learning_rate(self.optimizer, self.config, self.step)
        seed = partial(seed_step, self.config.seed, self.step, self.accelerator.process_index)
        seed()
        norms: dict[str, float] = {}
        for part in range(self.config.accumulate):
            last = part == self.config.accumulate - 1
            # Processes synchronize their gradients in the last part of a step only.
            syncing: AbstractContextManager[Any] = nullcontext() if last else self.accelerator.no_sync(self.learner)
            with syncing:
                batch, targets = next(data)
                self.supervision.count(targets)
                batch, targets = batch.to(self.accelerator.device), targets.to(self.accelerator.device)
                losses = self.learner(batch, targets)
                weighted = self.backward.weighted(losses)
                if last:
                    norms = self.watch(weighted, self.step + 1)
                loss = self.backward(weighted)
            self.window.add({**{name: float(value.detach()) for name, value in losses.items()}, "loss": loss})
        self.backward.finish(weighted, f"balancer/{self.config.seed}/{self.step}")
        self._optimizer_step()
        self.backward.after_step(self.learner, batch, targets, seed)
        return rate, norms

    def _optimizer_step(self) -> None:
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
        """Write one line of means since the previous line, over all processes."""
        parts = [(self.window.sums, self.supervision.restart())]
        if self.accelerator.num_processes > 1:
            parts = gather_object(parts)
        self.window = Window()
        if not self.accelerator.is_main_process:
            return
        means = Window.merged([sums for sums, _ in parts]).means()
        loss, norm = means.pop("loss"), means.pop("grad_norm")
        self.supervision.warn(means, sum((labelled for _, labelled in parts), Counter()), self.step)
        record = {
            "step": self.step,
            "lr": rate,
            "loss": loss,
            "losses": means,
            "weighted": {name: value * self.backward.weights.weight(name) for name, value in means.items()},
            "grad_norm": {"total": norm, **norms},
            "images_per_second": speed,
        }
        self.log.write(record)
        reporter.show(record)
        registry().notify("scenekit_step_done", step=self.step, record=record)

    def _evaluate(self) -> float:
        """Evaluate the model as it would be saved now, in the first process; return the seconds it took."""
        began = time.perf_counter()
        if self.accelerator.is_main_process:
            with self._averaged():
                for record in evaluated(self.model, self.val, self.recipe, self.step, self.strict):
                    self.evaluations.write(record)
        self.accelerator.wait_for_everyone()
        return time.perf_counter() - began

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.ema is None else self.ema.swapped_into(self.model)

    def _save(self) -> None:
        """Write a checkpoint in the first process; the others wait."""
        check_finite(self.model.state_dict(), self.step)
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {
                "weights": {name: value.cpu().clone() for name, value in self.model.state_dict().items()},
                "optimizer": self.optimizer.state_dict(),
                "ema": None if self.ema is None else self.ema.average,
                "scaler": None if scaler is None else scaler.state_dict(),
                "window": self.window.sums,
                "balancer": self.backward.state(),
            }
            with self._averaged():
                save_checkpoint(self.out, self.step, self.model, state, self.config.keep)
            self.skipped.save(self.out / SKIPPED)  # a run that is killed is resumed with them
        self.accelerator.wait_for_everyone()

    def _restore(self, state: Mapping[str, Any]) -> None:
        try:
            self.model.load_state_dict(state["weights"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{self.out}: the checkpoint is of another model or optimizer ({one_line(error)}); name another folder"
            ) from error
        if self.ema is not None:
            self.ema.load(state["ema"])
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.backward.restore(state.get("balancer"))
        self.window = Window(state["window"])
        self.step = state["step"]

    def _complete(self) -> None:
        """Put the averaged weights into the model, and fit what its detector does not learn by gradients."""
        if self.ema is not None:
            self.model.load_state_dict(self.ema.average)
        if self.fits is None:
            return
        if self.accelerator.is_main_process:
            fit(
                self.fits,
                self.model,
                FitData(self.sources, self.recipe, self.model, self.skipped, self.strict, self.progress),
            )
        if self.accelerator.num_processes > 1:
            self.model.load_state_dict(broadcast(self.model.state_dict()))
        self.ema = None  # the model is the average now, and has more than it
        if self.val and self._due(self.config.evaluate_every):
            self._evaluate()

    def _finish(self) -> SceneModel:
        check_finite(self.model.state_dict(), self.step)
        if self.accelerator.is_main_process:
            with replacing(self.out / MODEL) as unfinished:
                save_model(self.model, unfinished, extra=self._manifest_entries())
        self.accelerator.wait_for_everyone()
        return self.model.eval()

    def _manifest_entries(self) -> dict[str, Any]:
        """Return entries for the finished model's manifest: its steps, its data and their label space, and the last
        evaluations.
        """
        entries: dict[str, Any] = {"step": self.step, TRAINED_ON: [source.name for source in self.sources]}
        if (space := self.recipe.data.label_space) is not None:
            entries[LABEL_SPACE] = plain_space(space)
        records = last_evaluations(self.out / EVALUATIONS, self.val, self.recipe, self.step)
        return {**entries, EVALUATED: records} if records else entries
