# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Packaging of wm_planner, for pip (ROS 2 as wheels) and for colcon (a ROS 2 distribution)."""

from glob import glob
import os

from setuptools import find_packages, setup

PACKAGE = 'wm_planner'

# A ROS 2 distribution brings these itself; only a machine without one takes them as wheels.
ROS_WHEELS = [
    'ros-rclpy[fastrtps]~=9.1.2',
    'ros-action-msgs~=2.3.0',
    'ros-builtin-interfaces~=2.3.0',
    'ros-diagnostic-msgs~=5.5.1',
    'ros-geometry-msgs~=5.5.1',
    'ros-nav-msgs~=5.5.1',
    'ros-rcl-interfaces~=2.3.0',
    'ros-rosgraph-msgs~=2.3.0',
    'ros-sensor-msgs~=5.5.1',
    'ros-std-msgs~=5.5.1',
    'ros-std-srvs~=5.5.1',
    'ros-trajectory-msgs~=5.5.1',
    'ros-visualization-msgs~=5.5.1',
]

# wm-planner-msgs is missing on purpose: it is on no package index, so naming it would make a lone
# `pip install .` fail. `./dev setup` and colcon build it from wm_planner_msgs/.
setup(
    name=PACKAGE,
    version='0.1.0',
    description='Drive a robot arm to a goal image by planning in a latent world model',
    author='The wm_planner Authors',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: [
            'py.typed',
            'models/*/*.safetensors',
            'models/*/*.json',
            'models/*/*.md',
            'evaluation/*.json',
            'evaluation/*.html.j2',
        ]
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', glob('launch/*.launch.py')),
        (f'share/{PACKAGE}/config', glob('config/*.*')),
        (f'share/{PACKAGE}/config/robots', glob('config/robots/*.yaml')),
        (f'share/{PACKAGE}/config/rviz', glob('config/rviz/*.rviz')),
        (f'share/{PACKAGE}/config/foxglove', glob('config/foxglove/*.json')),
        (f'share/{PACKAGE}/config/sros2', glob('config/sros2/*.xml')),
        # `ros2 run` and `ros2 launch` look for executables here. Plain files reach it with pip as
        # well as with colcon; console scripts land in bin/ with pip.
        (f'lib/{PACKAGE}', glob('scripts/*')),
    ],
    entry_points={'console_scripts': [f'{PACKAGE} = {PACKAGE}.tools.cli:main']},
    install_requires=[
        'jinja2>=3.1',
        'matplotlib>=3.8',
        'mcap>=1.2',
        'numpy>=1.24,<3',
        'opencv-python-headless>=4.8',
        'pyyaml>=6',
        'rich>=13',
        'safetensors>=0.4',
        'torch>=2.4',
        'typer>=0.12',
        *([] if 'ROS_DISTRO' in os.environ else ROS_WHEELS),
    ],
    extras_require={
        # The simulator's engine; the package itself is sim/ (wm_planner_sim).
        'sim': ['mujoco==3.9.0'],
        # Episodes of an evaluation spread over processes and machines.
        'ray': ['ray>=2.9'],
        # Kinematics of arms whose driver takes joints: Pinocchio, pink and its QP solver.
        'arms': ['daqp>=0.5', 'pin>=3.4,<5', 'pin-pink>=3.3,<5'],
        # Clients of policy servers, and the vla-eval server of this package's own planner.
        'policies': ['msgpack>=1', 'pyzmq>=25', 'websockets>=15'],
        # The page of `wm_planner view`: rerun's SDK with its web viewer, 650 MB installed.
        'view': ['rerun-sdk~=0.41.0'],
        # Formatters and checkers are pinned: another version may judge the same code differently.
        'dev': [
            'codespell==2.4.3',
            'hypothesis>=6.100',
            'import-linter>=2.5,<3',
            'json-numpy>=2',
            'mcap-ros2-support>=0.5',
            'msgpack>=1',
            'mypy==2.4.1',
            'pytest>=8',
            'pyzmq>=25',
            "ray>=2.9; python_version < '3.14'",
            'rosbags>=0.10',
            'ruff==0.17.6',
            'types-pyyaml>=6',
            'websockets>=15',
        ],
    },
    zip_safe=False,
)
