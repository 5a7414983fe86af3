"""`scenekit ros`: a node of ROS 2."""

from __future__ import annotations

from typing import Annotated

import typer

from scenekit.cli import output


def ros(
    topic: Annotated[
        str,
        typer.Option(
            "--topic", metavar="NAME", help="Topic of images; CompressedImage where its name ends in /compressed."
        ),
    ] = "/image",
    model: output.ModelOption = "small",
    tasks: output.TasksOption = None,
    threshold: output.ThresholdOption = 0.5,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Leave out tasks that do not fit this time, such as '60 ms'."),
    ] = None,
    device: output.DeviceOption = "auto",
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- --ros-args ...]", help="Arguments of ROS, which may set the same parameters."),
    ] = None,
) -> None:
    """Predict the images of a topic in a running ROS 2, and publish the scenes under /scenekit.

    It needs rclpy, which comes with ROS. Bags need no ROS: scenekit predict run.mcap --topic NAME --out out.mcap.
    """
    output.task_names(tasks)
    from scenekit.ros.node import Parameters, SceneNode, created_node, spin

    with created_node(arguments or []) as node:
        chosen = Parameters(model, topic, tasks or "", threshold, budget or "", device).declared(node)
        import scenekit as sk
        from scenekit.cli.device import on_device

        SceneNode(node, on_device(sk.load(chosen.model), chosen.device), chosen)
        spin(node)
