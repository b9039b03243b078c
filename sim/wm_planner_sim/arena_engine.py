# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""VLA-Arena's simulation engine: building a task, resetting it, stepping it, looking at it.

Of the ``vla-arena`` package the scene engine alone is used. Its ``benchmark`` module is passed by:
it needs torch and the files of every suite. All that robosuite, gym and the engine print goes to
the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import contextlib
from contextlib import contextmanager
import importlib
import io
import logging
from typing import Any
import warnings

import numpy as np

from wm_planner.core.errors import MissingAssetError, SimulatorError, UnknownNameError
from wm_planner.core.geometry import Array
from wm_planner_sim.arena_tasks import ArenaTask
from wm_planner_sim.rendering import select_renderer
from wm_planner_sim.scene import mujoco

_LOG = logging.getLogger(__name__)
CONTROL_HZ = 20
CONTROL_STEP_S = 1.0 / CONTROL_HZ
CONTROL_STEP_NS = 1_000_000_000 // CONTROL_HZ
ENGINE_PACKAGES = ('vla-arena', 'robosuite', 'mujoco')
INSTALL_COMMAND = './dev setup --arena'
_WXYZ_TO_XYZW = [1, 2, 3, 0]
# Views that nobody reads cost half of a control step; what the engine itself asks for is kept.
_OBSERVATIONS = (
    'robot0_joint_pos',
    'robot0_joint_vel',
    'robot0_eef_pos',
    'robot0_eef_quat',
    'robot0_gripper_qpos',
    'robot0_gripper_qvel',
)


@contextmanager
def quiet_engine() -> Iterator[None]:
    """Take what the engine prints into the log; warnings of its libraries are not ours to heed."""
    text = io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                yield
        finally:
            if text.getvalue():
                _LOG.debug('engine: %s', text.getvalue().rstrip())


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let the engine's samplers, which draw from numpy's global generator, start at ``seed``.

    The global generator is as it was afterwards.
    """
    before = np.random.get_state()  # noqa: NPY002  # the engine has no other
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def load_engine() -> Any:
    """Import the engine and return its ``envs`` module.

    Raises MissingAssetError naming the command where it is not installed.
    """
    select_renderer()
    # robosuite sets its logger's level itself, and announces optional parts that nobody misses.
    logging.getLogger('robosuite_logs').addFilter(_is_error)
    try:
        with quiet_engine():
            return importlib.import_module('vla_arena.vla_arena.envs')
    except ImportError as error:
        raise MissingAssetError(
            f'the VLA-Arena engine cannot be imported ({error}); install: {INSTALL_COMMAND}.'
        ) from error


def _is_error(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR


class ArenaEngine:
    """One built task. Not thread-safe; its numbers are in the world frame.

    Building takes seconds and a reset milliseconds, so whoever goes through episodes keeps the
    engine as long as the task stays.
    """

    def __init__(self, task: ArenaTask) -> None:
        self.task = task
        envs = load_engine()
        try:
            with quiet_engine(), seeded(0):
                self._control = envs.env_wrapper.ControlEnv(
                    bddl_file_name=str(task.bddl_file),
                    use_camera_obs=False,
                    has_offscreen_renderer=False,
                    hard_reset=False,
                    ignore_done=True,
                    control_freq=CONTROL_HZ,
                )
        except FileNotFoundError as error:
            raise MissingAssetError(
                f'{task}: {error.filename} is missing; to make a whole asset root: '
                'python -m wm_planner_sim.assets --help'
            ) from error
        except ValueError as error:  # what MuJoCo raises for a file that it cannot open
            raise SimulatorError(f'{task} cannot be built: {error}') from error
        self._env = self._control.env
        self._has_begun = False
        self._read_no_more_than_needed()

    def _read_no_more_than_needed(self) -> None:
        for name in tuple(self._env.observation_names):
            if name not in _OBSERVATIONS:
                self._env.modify_observable(name, 'active', False)
                self._env.modify_observable(name, 'enabled', False)

    # -- episodes --------------------------------------------------------------------------------

    def reset(self, state: Array, *, seed: int) -> None:
        """Begin at an initial state (time, positions, velocities).

        ``seed`` draws what the state does not hold: where furniture stands.
        """
        with quiet_engine(), seeded(seed):
            self._control.reset()
            data = self.data
            expected = 1 + data.qpos.size + data.qvel.size
            if state.shape != (expected,):
                raise SimulatorError(
                    f'{self.task.init_file} has states of {state.size} numbers; valid: {expected}, '
                    'as the task has. The files are of another release of the benchmark.'
                )
            self._control.set_init_state(state)
        data.qacc_warmstart[:] = 0.0

    def step(self, action: Array) -> tuple[bool, float]:
        """Run one control step [50 ms] with an input [7]; return success and the engine's cost."""
        with quiet_engine():
            _, _, done, info = self._control.step(action)
        return bool(done), float(info['cost'])

    def is_solved(self) -> bool:
        """Return whether the goal holds now."""
        with quiet_engine():
            return bool(self._control.check_success())

    def holds(self, condition: Sequence[Any]) -> bool:
        """Return whether a condition of the BDDL file holds now."""
        with quiet_engine():
            return bool(self._env._eval_predicate(condition))

    def state(self) -> Array:
        """Return time, positions and velocities in one array, as ``reset`` takes them."""
        return np.asarray(self._control.get_sim_state(), np.float64)

    # -- the task --------------------------------------------------------------------------------

    @property
    def instruction(self) -> str:
        """Return the task in words."""
        words = self._env.parsed_problem['language_instruction']
        return words if isinstance(words, str) else ' '.join(words)

    @property
    def goal_conditions(self) -> tuple[tuple[Any, ...], ...]:
        """Return what has to hold at the end, all of it."""
        return tuple(tuple(c) for c in self._env.parsed_problem['goal_state'])

    @property
    def cost_conditions(self) -> tuple[tuple[Any, ...], ...]:
        """Return what costs, as the engine reads it from the file."""
        return tuple(tuple(c) for c in self._env.parsed_problem['cost_state'])

    @property
    def moving_objects(self) -> tuple[str, ...]:
        """Return the objects that move by themselves."""
        return tuple(str(o['name']) for o in self._env.parsed_problem['moving_objects'])

    def object_pose(self, name: str) -> tuple[Array, Array]:
        """Return position [3] in the world frame and quaternion xyzw; truth, not for planners."""
        states = self._env.object_states_dict
        if name not in states:
            raise UnknownNameError.among('object', name, states)
        pose = states[name].get_geom_state()
        quaternion = np.array(pose['quat'], np.float64)
        if states[name].object_state_type == 'object':
            quaternion = quaternion[_WXYZ_TO_XYZW]
        return np.array(pose['pos'], np.float64), quaternion

    @property
    def bodies(self) -> tuple[str, ...]:
        """Return the names of objects and furniture; regions, which have a pose too, are none."""
        states = self._env.object_states_dict
        return tuple(n for n, s in states.items() if s.object_state_type == 'object')

    @property
    def movable_objects(self) -> tuple[str, ...]:
        """Return the things that are not fixed, in the order of the file."""
        return tuple(self._env.objects_dict)

    def object_geoms(self, name: str) -> tuple[str, ...]:
        """Return the names of the geoms that an object touches others with."""
        return tuple(self._env.get_object(name).contact_geoms)

    def set_object_position(self, name: str, position_world_m: Array) -> None:
        """Put an object somewhere at rest; it keeps its orientation."""
        joint = self._env.get_object(name).joints[-1]
        sim = self._env.sim
        pose = np.array(sim.data.get_joint_qpos(joint))
        pose[:3] = position_world_m
        sim.data.set_joint_qpos(joint, pose)
        sim.data.set_joint_qvel(joint, np.zeros(6))
        sim.forward()

    def set_joint(self, name: str, position: float) -> None:
        """Put the joints of a drawer, door or knob at a position [m | rad]."""
        self._env.object_states_dict[name].set_joint(position)
        self._env.sim.forward()

    # -- the robot -------------------------------------------------------------------------------

    @property
    def base_world_m(self) -> Array:
        """Return where the arm's base is [3] in the world frame; its axes are the world's."""
        return np.array(self._env.sim.data.get_body_xpos('robot0_base'), np.float64)

    def tool_pose(self, joints_rad: Array | None = None) -> tuple[Array, Array]:
        """Return position [3] in the world frame and quaternion xyzw of the tool centre point.

        Where it is, or would be with the arm's joints [7] at ``joints_rad``.
        """
        robot, data = self._env.robots[0], self.data
        if joints_rad is not None:
            data = mujoco.MjData(self.model)
            data.qpos[:] = self.data.qpos
            data.qpos[robot._ref_joint_pos_indexes] = joints_rad
            mujoco.mj_kinematics(self.model, data)
        site = robot.eef_site_id[robot.arms[0]]
        body = self._env.sim.model.body_name2id(robot.robot_model.eef_name[robot.arms[0]])
        return data.site_xpos[site].copy(), data.xquat[body][_WXYZ_TO_XYZW].copy()

    def fingers_m(self) -> Array:
        """Return the positions of both finger joints [2] in metres."""
        robot = self._env.robots[0]
        indices = robot._ref_gripper_joint_pos_indexes[robot.arms[0]]
        return np.array(self.data.qpos[indices], np.float64)

    def arm_joints(self) -> tuple[Array, Array]:
        """Return positions [7] in rad and velocities [7] in rad/s of the arm's joints."""
        robot = self._env.robots[0]
        positions = self.data.qpos[robot._ref_joint_pos_indexes]
        velocities = self.data.qvel[robot._ref_joint_vel_indexes]
        return np.array(positions, np.float64), np.array(velocities, np.float64)

    # -- MuJoCo ----------------------------------------------------------------------------------

    @property
    def model(self) -> Any:
        """Return the MjModel."""
        return self._env.sim.model._model

    @property
    def data(self) -> Any:
        """Return the MjData."""
        return self._env.sim.data._data

    def close(self) -> None:
        """Release the engine; safe to call twice."""
        if self._control is not None:
            with quiet_engine(), contextlib.suppress(AttributeError):
                self._control.close()
            self._control = None


def engine_versions() -> Mapping[str, str]:
    """Return the versions of the packages that decide what happens in an episode."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ENGINE_PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
