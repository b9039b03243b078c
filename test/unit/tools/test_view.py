# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""What messages become in the viewer, what the command refuses, and the files of other viewers."""

from __future__ import annotations

import json
from pathlib import Path
import re
import socket
import sys
from typing import Any
import xml.etree.ElementTree as ElementTree

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import Point, PoseStamped
from nav_msgs.msg import Path as PathMessage
import numpy as np
import pytest
from rclpy.serialization import serialize_message
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray
import yaml

from wm_planner.core.errors import DriverError, InvalidParameterError, MissingPackageError
from wm_planner.core.profile import Topics
from wm_planner.ros.bag import BagWriter
from wm_planner.ros.images import image_to_message
from wm_planner.tools import view as view_module
from wm_planner.tools.cli import main
from wm_planner_msgs.msg import EpisodeStatus, PlanDiagnostics, PlannerStatus

ROOT = Path(__file__).resolve().parents[3]
NODE = '/wm_planner'
STATUS = f'{NODE}/status'
TENTH_NS = 100_000_000


class Spied:
    """A real recording into memory that also says what was logged."""

    def __init__(self) -> None:
        rerun = pytest.importorskip('rerun', reason='the extra [view] (rerun-sdk) is not installed')
        self.stream = rerun.RecordingStream('test')
        self.memory = self.stream.memory_recording()
        self.logged: list[tuple[str, Any]] = []

    def set_time(self, *arguments: Any, **more: Any) -> None:
        self.stream.set_time(*arguments, **more)

    def log(self, entity: str, what: Any) -> None:
        self.stream.log(entity, what)
        self.logged.append((entity, what))

    def of(self, entity: str) -> list[Any]:
        return [what for name, what in self.logged if name == entity]

    def lines(self) -> list[str]:
        return [what.text.as_arrow_array().to_pylist()[0] for what in self.of('log')]

    def scalar(self, entity: str) -> float:
        return float(np.ravel(self.of(entity)[-1].scalars.as_arrow_array().to_pylist())[0])


@pytest.fixture
def spied() -> Spied:
    return Spied()


@pytest.fixture
def scene(spied: Spied) -> Any:
    from wm_planner.tools.view_scene import ViewScene

    return ViewScene(spied, Topics())


def picture(width: int = 64) -> Any:
    return image_to_message(np.full((32, width, 3), 90, np.uint8))


def test_pictures_become_jpeg_five_times_a_second(scene: Any, spied: Spied) -> None:
    for tick in range(20):
        scene.show(Topics().image, picture(), tick * TENTH_NS // 2)  # 20 Hz for a second
    assert len(spied.of('camera')) == 5
    data = bytes(spied.of('camera')[0].blob.as_arrow_array().to_pylist()[0])
    assert data.startswith(b'\xff\xd8') and len(data) < 32 * 64 * 3


def test_without_imagination_none_of_its_topics_is_listened_to(spied: Spied) -> None:
    from wm_planner.tools.view_scene import ViewScene

    every, some = (ViewScene(spied, Topics(), shows_imagined=shown) for shown in (True, False))
    left_out = {s.topic for s in every.sources} - {s.topic for s in some.sources}
    drawn = ('imagined', 'imagined_outcome', 'imagined_path', 'imagined_markers')
    assert left_out == {f'{NODE}/{name}' for name in drawn}


def test_a_wide_strip_is_made_smaller_and_every_goal_is_shown(scene: Any, spied: Spied) -> None:
    import cv2

    scene.show(f'{NODE}/imagined', picture(4000), 0)
    data = bytes(spied.of('imagined')[0].blob.as_arrow_array().to_pylist()[0])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[1] == 1280
    for _ in range(3):
        scene.show(f'{NODE}/goal_image', picture(), 0)
    assert len(spied.of('goal')) == 3


def test_a_picture_that_cannot_be_read_is_one_line_of_the_log(scene: Any, spied: Spied) -> None:
    bad = picture()
    bad.encoding = 'no_such_encoding'
    for second in range(3):
        scene.show(Topics().image, bad, second * 10 * TENTH_NS)
    assert len(spied.lines()) == 1 and 'no_such_encoding' in spied.lines()[0]
    assert not spied.of('camera')


def test_a_plan_becomes_curves_and_nan_is_left_out(scene: Any, spied: Spied) -> None:
    plan = PlanDiagnostics(
        energy=0.5,
        goal_energy=2.0,
        elite_energies=[0.5, 0.75, 1.5],
        std=[0.01, 0.04],
        surprise=float('nan'),
        stop_reason='converged',
        stage_names=['encode', 'total'],
        stage_milliseconds=[3.0, 80.0],
    )
    scene.show(f'{NODE}/plan_diagnostics', plan, 0)
    assert spied.scalar('energy/frame') == 2.0
    assert spied.scalar('energy/plan') == 0.5
    assert spied.scalar('spread/elites') == 1.0
    assert spied.scalar('spread/first_step') == pytest.approx(0.04)
    assert spied.scalar('timing/plan_ms') == 80.0
    assert not spied.of('surprise/surprise')


def test_state_and_stop_reasons_are_lines_on_their_edges_only(scene: Any, spied: Spied) -> None:
    cycle = (PlannerStatus.EXECUTING, PlannerStatus.WAITING_FOR_DATA, PlannerStatus.PLANNING)
    moving = PlannerStatus(goal_id='g1', goal_count=1)
    fault = PlannerStatus(
        state=PlannerStatus.EMERGENCY_STOP, error_code=406, message='stopped by hand.'
    )
    for tick in range(50):
        moving.state = cycle[tick % 3]
        scene.show(STATUS, moving, tick * TENTH_NS // 5)
    for tick in range(50, 100):
        scene.show(STATUS, fault, tick * TENTH_NS // 5)
    lines = spied.lines()
    assert len(lines) == 2
    assert lines[0] == 'pursuing (goal g1)'
    assert lines[1] == 'EMERGENCY_STOP [406] stopped by hand.'
    levels = [what.level.as_arrow_array().to_pylist()[0] for what in spied.of('log')]
    assert levels == ['INFO', 'ERROR']
    pages = [what.text.as_arrow_array().to_pylist()[0] for what in spied.of('state')]
    assert pages[0].startswith('# EXECUTING') and pages[-1].startswith('# EMERGENCY_STOP')
    assert len(pages) <= 6  # two a second, and at once at the edge


def test_health_is_told_when_its_level_changes(scene: Any, spied: Spied) -> None:
    for level, text in ((b'\x00', 'ok 1'), (b'\x00', 'ok 2'), (b'\x02', 'too far')):
        entry = DiagnosticStatus(name='wm_planner: safety', level=level, message=text)
        scene.show('/diagnostics', DiagnosticArray(status=[entry]), 0)
    assert spied.lines() == ['wm_planner: safety: ok 1', 'wm_planner: safety: too far']


def test_tool_path_and_energies_lie_in_space(scene: Any, spied: Spied) -> None:
    path = PathMessage(poses=[pose(0.1), pose(0.2), pose(0.3)])
    scene.show(f'{NODE}/imagined_path', path, 0)
    strip = spied.of('world/imagined')[0].strips.as_arrow_array().to_pylist()[0]
    assert np.allclose([point[0] for point in strip], [0.1, 0.2, 0.3])
    spheres = Marker(type=Marker.SPHERE_LIST, points=[Point(x=0.1)], colors=[ColorRGBA(g=1.0)])
    scene.show(f'{NODE}/imagined_markers', MarkerArray(markers=[spheres]), 0)
    assert len(spied.of('world/steps')) == 1
    for tick in range(30):
        scene.show(Topics().tool_pose, pose(0.01 * tick), tick * TENTH_NS)
    assert len(spied.of('world/tool')) == 30
    trail = spied.of('world/trail')[-1].strips.as_arrow_array().to_pylist()[0]
    assert 20 < len(trail) <= 30
    scene.show(Topics().tool_pose, pose(float('nan')), 10**10)
    assert len(spied.of('world/tool')) == 30


def test_the_trail_begins_anew_with_an_episode(scene: Any, spied: Spied) -> None:
    for tick in range(20):
        if tick == 10:
            scene.show('/episode_status', EpisodeStatus(time_s=0.0), tick * TENTH_NS)
        elif tick < 10:
            scene.show('/episode_status', EpisodeStatus(time_s=0.1 * tick), tick * TENTH_NS)
        scene.show(Topics().tool_pose, pose(0.01 * tick), tick * TENTH_NS)
    trail = spied.of('world/trail')[-1].strips.as_arrow_array().to_pylist()[0]
    assert min(point[0] for point in trail) == pytest.approx(0.1)


def test_an_episode_is_a_line_and_a_curve(scene: Any, spied: Spied) -> None:
    for tick, success in enumerate((False, False, True)):
        message = EpisodeStatus(suite='reach', distance_m=0.3, success=success)
        scene.show('/episode_status', message, tick * TENTH_NS)
    assert [line.rpartition(' ')[2] for line in spied.lines()] == ['running', 'success']
    assert spied.scalar('distance/goal_m') == pytest.approx(0.3)


def test_a_bag_goes_the_same_way(scene: Any, spied: Spied, tmp_path: Path) -> None:
    from wm_planner.ros.bag_reader import BagReader

    bag = tmp_path / 'bag'
    write_bag(bag, {STATUS: PlannerStatus(state=PlannerStatus.IDLE), Topics().image: picture()})
    assert view_module.show_bag(scene, BagReader(bag)) == 2
    assert spied.lines() == ['IDLE'] and len(spied.of('camera')) == 1
    spied.stream.flush()
    assert spied.memory.num_msgs() > 0


def test_a_bag_is_served_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('rerun', reason='the extra [view] (rerun-sdk) is not installed')
    import urllib.request

    bag = tmp_path / 'bag'
    write_bag(bag, {STATUS: PlannerStatus(state=PlannerStatus.IDLE)})
    _, program = view_module.require_rerun()
    config = view_module.ServerConfig(
        port=view_module.free_port('127.0.0.1'), web_port=view_module.free_port('127.0.0.1')
    )
    with view_module.serving(config, program) as group:
        assert group.ended() is None
        with urllib.request.urlopen(config.page_url, timeout=10) as page:
            assert b'<html' in page.read()
            policy = page.headers['Content-Security-Policy']
        connect = next(part for part in policy.split('; ') if part.startswith('connect-src'))
        assert connect.split()[1:] == [
            "'self'",
            'blob:',
            'data:',
            f'http://127.0.0.1:{config.port}',
        ]
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.1', config.web_port), 1.0)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen()
        number = listener.getsockname()[1]
        config = view_module.ServerConfig(port=number)
        with (
            pytest.raises(DriverError, match=f'127.0.0.1:{number}'),
            view_module.serving(config, Path(sys.executable)),
        ):
            pass


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, 'rerun', None)
    with pytest.raises(MissingPackageError, match='wm_planner\\[view\\]'):
        view_module.require_rerun()
    assert main(['view', '--no-open']) == 1
    assert '[505]' in (error := capsys.readouterr().err)
    assert "pip install 'wm_planner[view]'" in error


def test_serves_this_machine_only_unless_told_otherwise() -> None:
    command = view_module.ServerConfig().command(Path('rerun'), 1)
    assert command[command.index('--bind') + 1] == '127.0.0.1'
    assert view_module.ServerConfig().page_url.startswith('http://127.0.0.1:9090/?url=rerun%2B')


@pytest.mark.parametrize('host', ['0.0.0.0', '::'])
def test_every_address_at_once_is_refused(host: str) -> None:
    with pytest.raises(InvalidParameterError, match='valid: one of them'):
        view_module.ServerConfig(host=host)


@pytest.mark.parametrize('file', ['rviz/wm_planner.rviz', 'foxglove/wm_planner.json'])
def test_files_of_other_viewers_name_topics_that_the_nodes_have(file: str) -> None:
    text = (ROOT / 'config' / file).read_text()
    content = json.loads(text) if file.endswith('.json') else yaml.safe_load(text)
    strings = [value.partition('.')[0] for value in strings_of(content)]
    named = {value for value in strings if re.fullmatch(r'(/[a-z_]+)+', value)}
    known = {
        entry.text
        for entry in ElementTree.parse(ROOT / 'config/sros2/policy.xml').iter('topic')
        if entry.text
    }
    assert named - known == set()
    assert {f'{NODE}/imagined', f'{NODE}/goal_image', Topics().image} <= named


def test_every_panel_of_the_foxglove_layout_is_laid_out() -> None:
    content = json.loads((ROOT / 'config/foxglove/wm_planner.json').read_text())
    shown = {value for value in strings_of(content['layout']) if '!' in value}
    assert shown == set(content['configById'])


def strings_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(text for item in value.values() for text in strings_of(item))]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    return [value] if isinstance(value, str) else []


def pose(x: float) -> PoseStamped:
    message = PoseStamped()
    message.pose.position.x = x
    return message


def write_bag(folder: Path, messages: dict[str, Any]) -> None:
    writer = BagWriter(folder)
    for topic, message in messages.items():
        kind = type(message)
        writer.add_topic(topic, f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}', [])
        writer.write(topic, serialize_message(message), log_time_ns=1, publish_time_ns=1)
    writer.close()
