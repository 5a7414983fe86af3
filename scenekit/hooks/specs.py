"""Hooks that a plugin may implement. Every hook returns records or observes; none is called inside a forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from scenekit.hooks.records import (
        BackboneSpec,
        BalancerSpec,
        DatasetSpec,
        DetectorSpec,
        LabelerSpec,
        ModalitySpec,
        RuntimeSpec,
        TaskSpec,
        TrackerSpec,
        WeightSource,
    )

hookspec = pluggy.HookspecMarker("scenekit")
hookimpl = pluggy.HookimplMarker("scenekit")


@hookspec
def scenekit_tasks() -> Iterable[TaskSpec]:
    """Return tasks that a model can be built with. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_tasks():
        yield sk.TaskSpec(name="distance", summary="metres to each object", provides=(DISTANCE,),
                          learns_from=(DISTANCE,), build=lambda core, config: DistanceHead(core.channels))
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_backbones() -> Iterable[BackboneSpec]:
    """Return families of backbones. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_backbones():
        yield sk.BackboneSpec(name="acme_net", summary="our own network", build=AcmeNet)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_detectors() -> Iterable[DetectorSpec]:
    """Return other providers of OBJECTS. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_detectors():
        yield sk.DetectorSpec(name="centers", summary="one stage, no anchors", build=build_centers)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_datasets() -> Iterable[DatasetSpec]:
    """Return data sets by name. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_datasets():
        yield sk.DatasetSpec(name="warehouse", summary="pallets and forklifts", build=Warehouse)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_labelers() -> Iterable[LabelerSpec]:
    """Return ways to derive ground truth from other ground truth, for any data set. Called once, at first use.

    A recipe chooses them by name (`data.labelers: [distance]`), so installing a package changes no training. Several
    chain: each runs after those that provide what it needs.

    ```python
    def distances(scene):
        return {DISTANCE: scene[sk.BOXES3D].center.norm(dim=1)}

    @sk.hookimpl
    def scenekit_labelers():
        yield sk.LabelerSpec(name="distance", summary="metres to each 3D box", needs=(sk.BOXES3D,),
                             provides=(DISTANCE,), build=lambda: distances)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_modalities() -> Iterable[ModalitySpec]:
    """Return what images may come with beside their pixels. Called once, at first use.

    Tasks name what they read in `TaskSpec.inputs`; a model without such a task gives the same results without it.

    ```python
    def read_heat(value, options, image):
        degrees = torch.as_tensor(value).float()
        if tuple(degrees.shape) != image.size:
            raise sk.InputError(f"heat: expected the size of the image, {image.size}, got {tuple(degrees.shape)}")
        return degrees[None]

    @sk.hookimpl
    def scenekit_modalities():
        yield sk.ModalitySpec(name="heat", summary="degrees Celsius [H W]", read=read_heat)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_balancers() -> Iterable[BalancerSpec]:
    """Return ways to combine losses into gradients; a recipe selects one by name. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_balancers():
        yield sk.BalancerSpec(name="acme_weights", summary="weights by the hour", build=weights_by_the_hour)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_weights() -> Iterable[WeightSource]:
    """Return converters of other libraries' checkpoints. Called once, at first use.

    ```python
    @sk.hookimpl
    def scenekit_weights():
        yield sk.WeightSource(prefix="acme", summary="models of the acme zoo", load=load_acme)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_runtimes() -> Iterable[RuntimeSpec]:
    """Return formats of exported networks with what runs them. Called once, at first use.

    ```python
    def write(program, path):
        stream = io.BytesIO()
        torch.export.save(program, stream)
        path.write_bytes(stream.getvalue())  # and further files beside it, if the format has them

    def open_acme(path):
        module = torch.export.load(io.BytesIO(path.read_bytes())).module()
        return lambda tensors: module(*tensors)

    @sk.hookimpl
    def scenekit_runtimes():
        yield sk.RuntimeSpec(name="acme", summary="the acme accelerator", suffix=".acme", write=write, open=open_acme)
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_trackers() -> Iterable[TrackerSpec]:
    """Return trackers, which give the objects of a stream ids that last. Called once, at first use.

    ```python
    class Tags(sk.Tracker):
        def reset(self):
            pass  # it remembers nothing

        def update(self, scene):
            return scene[TAG]  # numbers that another task reads off the objects, -1 for none

    @sk.hookimpl
    def scenekit_trackers():
        yield sk.TrackerSpec(name="tags", summary="their tags", uses=(TAG,), build=lambda config: Tags())
    ```
    """
    raise NotImplementedError


@hookspec
def scenekit_run_started(recipe: Any, folder: str) -> None:
    """Observe the start (or resumption) of a training run, which writes to `folder`. Called before its first step.

    ```python
    @sk.hookimpl
    def scenekit_run_started(recipe, folder):
        tracker.start(name=folder, settings=recipe.model_dump())
    ```
    """


@hookspec
def scenekit_step_done(step: int, record: Mapping[str, Any]) -> None:
    """Observe a logged training step; `record` is its line of the log. Called whenever a line is written.

    ```python
    @sk.hookimpl
    def scenekit_step_done(step, record):
        tracker.log(record, step=step)
    ```
    """


@hookspec
def scenekit_evaluated(step: int | None, results: Mapping[str, Mapping[str, float]], data: str | None) -> None:
    """Observe an evaluation; `results` by task, then by metric. Called after each; `step` is None outside of training.
    `data` names the data set where a run is evaluated on several.

    ```python
    @sk.hookimpl
    def scenekit_evaluated(step, results):
        tracker.log({f"{task}/{name}": value for task, row in results.items() for name, value in row.items()})
    ```
    """


@hookspec
def scenekit_run_ended(step: int, reason: str) -> None:
    """Observe the end of a run; `reason` is "finished", "interrupted" or the error. Called after the last step.

    ```python
    @sk.hookimpl
    def scenekit_run_ended(step, reason):
        tracker.finish(ok=reason == "finished")
    ```
    """
