"""Which modules of a model are networks, worked out by hand on small modules."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import scenekit as sk
from scenekit.backbones import FPN, BackboneWithFPN, build_backbone
from scenekit.errors import BoardError, InputError, PluginError
from scenekit.hooks import specs
from scenekit.keys import OBJECTS
from scenekit.model.board import Board
from scenekit.runtimes.boards import RecordedBoard
from scenekit.runtimes.formats import open_openvino, write_openvino
from scenekit.runtimes.networks import Network, computed, networks_of
from scenekit.runtimes.programs import check_parity, program_of
from scenekit.runtimes.running import ReplacedForward, Runner
from scenekit.structures import ImageBatch


class Block(nn.Module):
    """Two layers; calls with a label among their arguments differ by it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Conv1d(1, 1, 1)

    def forward(self, values: Tensor, label: str = "") -> Tensor:
        return self.second(self.first(values)[:, None])[:, 0]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.unused, self.layer = Block(), Block(), nn.Linear(4, 2)


def passes(model: Model, *labels: str) -> None:
    for rows, label in zip((3, 5), labels, strict=True):
        model.layer(model.body(torch.ones(rows, 4), label))


def names(model: Model, *labels: str) -> list[str]:
    return [network.name for network in networks_of(model, lambda: passes(model, *labels))]


def test_the_largest_module_is_a_network_and_a_layer_alone_is_none() -> None:
    assert names(Model(), "", "") == ["body"]


def test_calls_that_differ_in_more_than_tensors_are_no_network() -> None:
    assert names(Model(), "a", "b") == ["body.first", "body.second"]


def test_what_is_refused_is_looked_into() -> None:
    model = Model()
    asked: list[str] = []

    def usable(network: Network) -> bool:
        asked.append(network.name)
        return network.name != "body"

    found = networks_of(model, lambda: passes(model, "", ""), usable)
    assert [network.name for network in found] == ["body.first", "body.second"]
    assert asked == ["body", "body.first", "body.second"]


def test_sizes_are_open_where_calls_differ_and_for_rows() -> None:
    model = Model()
    (network,) = networks_of(model, lambda: passes(model, "", ""))
    assert network.sizes == ((None, 4),)
    assert [len(call.tensors[0]) for call in network.calls] == [3, 5]
    assert len(network.example.tensors[0]) == 5


def test_a_program_gives_what_torch_gives_and_another_one_is_refused() -> None:
    model = Model()
    (network,) = networks_of(model, lambda: passes(model, "", ""))
    program = program_of(network).module()
    check_parity(network, ReplacedForward("body", model.body, lambda: lambda tensors: program(*tensors), network.sizes))
    with pytest.raises(InputError, match="body: output 0 differs"):
        check_parity(network, ReplacedForward("body", model.body, lambda: zeros, network.sizes))


def test_the_example_of_a_runtime_runs(tmp_path: Path) -> None:
    model = Model()
    (network,) = networks_of(model, lambda: passes(model, "", ""))
    example = dedent(str(specs.scenekit_runtimes.__doc__).split("```")[1].removeprefix("python"))
    names: dict[str, Any] = {"io": io, "torch": torch, "sk": sk}
    exec(example, names)
    (spec,) = names["scenekit_runtimes"]()
    spec.write(program_of(network), tmp_path / "body.acme")
    load = partial(spec.open, tmp_path / "body.acme")
    check_parity(network, ReplacedForward("body", model.body, load, network.sizes))


class Overwriting(nn.Module):
    """Overwrites the output of its convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 1)

    def forward(self, values: Tensor) -> Tensor:
        return F.relu(self.conv(values), inplace=True)


def test_outputs_that_later_modules_overwrite_are_kept() -> None:
    module = Overwriting()
    nn.init.constant_(module.conv.bias, -9)
    (network,) = networks_of(nn.ModuleDict({"net": module}), lambda: module(torch.rand(2, 4, 3)), is_a_layer)
    assert network.name == "net.conv"
    check_parity(network, network.module)


def is_a_layer(network: Network) -> bool:
    return isinstance(network.module, nn.Conv1d)


def test_a_pyramid_is_a_network_where_the_whole_trunk_is_refused() -> None:
    backbone = build_backbone("mobilenet_v3_small")
    trunk = BackboneWithFPN(backbone, FPN(backbone.levels, 8)).eval()
    sizes = ((64, 96), (96, 64))
    found = networks_of(
        nn.ModuleDict({"trunk": trunk}),
        lambda: [trunk(torch.rand(1, 3, *size)) for size in sizes],
        lambda network: network.module is not trunk,
    )
    assert [network.name for network in found] == ["trunk.backbone", "trunk.fpn"]
    pyramid = found[1]
    check_parity(pyramid, pyramid.module)
    program = program_of(pyramid).module()
    pixels = torch.rand(1, 3, *sizes[0])
    with torch.no_grad():
        expected = trunk(pixels).maps
        run = ReplacedForward(pyramid.name, pyramid.module, lambda: lambda tensors: program(*tensors), pyramid.sizes)
        pyramid.module.forward = run
        torch.testing.assert_close(trunk(pixels).maps, expected)


def zeros(tensors: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros(len(tensors[0]), 4)]


def of_zeros() -> Runner:
    return zeros


def test_copies_run_in_the_runtime_until_their_weights_change() -> None:
    module, values = Block().eval(), torch.ones(3, 4)
    module.forward = ReplacedForward("body", module, of_zeros, ((None, 4),))  # type: ignore[method-assign]
    with torch.no_grad():
        for _ in range(2):  # also after the first call, which opens the network
            for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
                assert not other(values).any()
                other.second.weight.fill_(3.0)
                assert other(values).any() and copy.deepcopy(other)(values).any()
            assert not module(values).any()


def test_weights_that_are_assigned_are_used() -> None:
    """They are as new as those that they replace."""
    module, values = Block().eval(), torch.ones(3, 4)
    zero, one = (
        {name: torch.full_like(value, fill) for name, value in module.state_dict().items()} for fill in (0.0, 1.0)
    )
    module.load_state_dict(zero, assign=True)
    module.forward = ReplacedForward("body", module, of_zeros, ((None, 4),))  # type: ignore[method-assign]
    module.load_state_dict(one, assign=True)
    with torch.no_grad():
        assert torch.equal(module(values), torch.full((3, 4), 6.0))  # 4 + 1 of the first layer, 1 of the second


def test_a_runtime_that_breaks_its_contract_is_not_refused() -> None:
    def broken() -> Runner:
        raise PluginError("open must return a function")

    model = Model().eval()
    (network,) = networks_of(model, lambda: passes(model, "", ""))
    with pytest.raises(PluginError, match="open must return"):
        check_parity(network, ReplacedForward("body", model.body, broken, network.sizes))


def test_several_threads_run_a_network_of_openvino(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra `export` is not installed")
    net, values = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256)).eval(), torch.rand(512, 256)
    write_openvino(torch.export.export(net, (values,)), tmp_path / "net.xml")
    run = open_openvino(tmp_path / "net.xml")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: run([values])[0], range(40)))
    assert all(torch.equal(result, results[0]) for result in results)


A_SIGNAL_LATER = """
import faulthandler, signal, sys
from pathlib import Path
from scenekit.runtimes.formats import open_openvino
faulthandler.enable()  # a stack of its own for signals, as under pytest
path = Path(sys.argv[1])
first, second = open_openvino(path), open_openvino(path)
del first
del second
signal.signal(signal.SIGCHLD, lambda *_: print("alive"))  # as torch's loaders with workers do
signal.raise_signal(signal.SIGCHLD)
"""


def test_networks_of_openvino_leave_signals_alone(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="the extra `export` is not installed")
    write_openvino(torch.export.export(nn.Linear(2, 2).eval(), (torch.rand(1, 2),)), tmp_path / "net.xml")
    command = [sys.executable, "-c", A_SIGNAL_LATER, str(tmp_path / "net.xml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr


class OfRows(nn.Module):
    """A network that takes the number of rows for a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.ReLU())

    def forward(self, values: Tensor) -> Tensor:
        return self.layers(values).reshape(len(values), 2, 2)


def test_a_network_with_its_size_built_in_is_refused() -> None:
    module = OfRows()
    model = nn.ModuleDict({"net": module})
    (network,) = networks_of(model, lambda: [module(torch.ones(rows, 4)) for rows in (3, 5)])
    program = program_of(network).module()
    with pytest.raises(InputError, match="net: does not run"):
        check_parity(network, ReplacedForward("net", module, lambda: lambda tensors: program(*tensors), network.sizes))


@pytest.mark.parametrize(
    ("results", "values", "message"),
    [
        (lambda tensors: [][0], torch.ones(3, 4), r"body: its runtime fails \(list index out of range\)"),
        (lambda tensors: [], torch.ones(3, 4), "body: expected 1 results, got 0; export the model again"),
        (lambda tensors: list(tensors), torch.ones(3, 4).double(), "runs in float32, got torch.float64"),
    ],
)
def test_a_runtime_that_fails_is_one_line(results: Runner, values: Tensor, message: str) -> None:
    module = Block().eval().to(values.dtype)
    run = ReplacedForward("body", module, lambda: results, ((None, 4),))
    with torch.no_grad(), pytest.raises(InputError, match=message):
        run(values)


def board() -> Board:
    images = ImageBatch(torch.ones(2, 3, 8, 8), ((8, 8), (8, 8)), ((8, 8), (8, 8)))
    return Board(images, lambda features, regions, size: torch.zeros(len(regions), 1, size, size))


def test_a_recorded_board_answers_again_in_order() -> None:
    recorded = RecordedBoard(board())
    pixels = recorded.images.pixels
    replayed = recorded.replayed
    for _ in range(2):
        assert replayed.images.pixels is pixels
    with pytest.raises(BoardError, match="no read that every pass repeats"):
        replayed.pool(OBJECTS, 7)


class Reader(nn.Module):
    """A head: reads the images, returns their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)

    def forward(self, board: Board) -> Tensor:
        return self.conv(board.images.pixels).mean((2, 3))


def test_a_head_that_reads_a_board_is_a_network_of_what_it_reads() -> None:
    head = Reader().eval()
    (network,) = networks_of(nn.ModuleDict({"head": head}), lambda: head(board()))
    assert network.sizes == ((None, 3, 8, 8),)
    run = ReplacedForward("head", head, lambda: lambda tensors: [tensors[0].sum((2, 3))[:, :2]], network.sizes)
    with torch.no_grad():
        assert torch.equal(run(board()), torch.full((2, 2), 64.0))
    result, puts = computed(head, network.calls[0].inputs)
    torch.testing.assert_close(result, head(board()))
    assert puts == [{}]
