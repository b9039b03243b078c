# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Packaging of wm_planner_sim: the simulators, kept apart so that mujoco stays off the robot."""

from glob import glob

from setuptools import find_packages, setup

PACKAGE = 'wm_planner_sim'

# dm-robotics-panda (the Panda's MJCF and meshes) is missing on purpose: of that wheel only the
# model files are used, and its own requirements fit no current Python. `./dev setup` installs it
# without them. wm_planner itself is missing because it is on no package index either.
setup(
    name=PACKAGE,
    version='0.1.0',
    description='Simulators that drive wm_planner: a MuJoCo tabletop and VLA-Arena',
    author='The wm_planner Authors',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: [
            'py.typed',
            '**/*.xml',
            '**/*.stl',
            '**/*.obj',
            '**/*.png',
            '**/*.yaml',
        ]
    },
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        # `ros2 run` and `ros2 launch` look for executables here.
        (f'lib/{PACKAGE}', glob('scripts/*')),
    ],
    entry_points={
        'wm_planner.environments': [
            f'tabletop = {PACKAGE}.suites:TabletopEnvironment',
            f'arena = {PACKAGE}.arena:ArenaEnvironment',
        ],
        'wm_planner.policies': [f'oracle = {PACKAGE}.oracle_policy:ORACLE'],
        'wm_planner.collectors': [
            f'tabletop = {PACKAGE}.collect:TabletopCollector',
            f'tabletop_cameras = {PACKAGE}.collect:TabletopCamerasCollector',
        ],
    },
    install_requires=['mujoco==3.9.0', 'numpy>=1.24,<3'],
    extras_require={
        # What VLA-Arena's scene engine imports. The engine itself (arena_engine.txt) declares far
        # more, torch, tensorflow and an older numpy among it, and is installed without that.
        'arena': [
            'cloudpickle>=2',
            'easydict>=1.10',
            'future>=0.18',
            'gym==0.26.2',
            'matplotlib>=3.8',
            'numba>=0.61',
            'opencv-python-headless>=4.8',
            'PyOpenGL>=3.1',
            'scipy>=1.11',
            'termcolor>=2',
        ],
    },
    zip_safe=False,
)
