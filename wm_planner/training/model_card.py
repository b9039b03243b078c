# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""MODEL_CARD.md of a tabletop model, written from its JSON card so that the two cannot differ."""

from __future__ import annotations

from wm_planner.models.tabletop.checkpoint import ModelCard
from wm_planner.models.tabletop.decoder import DecoderCard


def _purpose(collector: str) -> tuple[str, ...]:
    """Return what the model is for, by the data it was trained on."""
    if collector == 'tabletop_cameras':
        return (
            'gripper target, and serves to plan toward goal images from the same scene, seen by a',
            'camera turned by up to 75 degrees about the vertical through the middle of the',
            "workspace. Its actions are in the camera's axes (the base axes turned by the camera's",
            'azimuth), so it needs `wm_planner calibrate` for each place of the camera; it serves',
            'to prove that. Not for any other scene or robot.',
        )
    return (
        'gripper target, and serves to plan toward goal images from the same camera and scene.',
        'Not for any other scene, camera or robot.',
    )


def model_card_text(card: ModelCard) -> str:
    """Return the model card as Markdown."""
    training, measured, spec = card.training, card.measured, card.action_spec
    data, config = training['data'], training['config']
    losses = ', '.join(f'{k} {v}' for k, v in training['losses_mean_of_last_50_steps'].items())
    readout = ', '.join(str(e) for e in measured['readout_mean_abs_error'])
    lines = [
        '# Model card: tabletop world model',
        '',
        'A small action-conditioned latent world model of the simulated tabletop that ships with',
        'wm_planner. It predicts a latent one step (0.25 s) ahead under a tool displacement and a',
        *_purpose(str(data['collector'])),
        '',
        f'* SHA-256 of the weights: `{card.sha256}` (verified on loading)',
        f'* Architecture: {card.architecture}',
        f'* Actions: {", ".join(spec.names)}; bounds {spec.low.tolist()} to {spec.high.tolist()} '
        '(m, rad, closedness)',
        f'* Goal tolerance (mean squared latent difference): {card.goal_tolerance:.4f}',
        '',
        '## Training',
        f'* Data: {data["episodes"]} episodes of {data["steps_per_episode"]} steps from the '
        f'`{data["collector"]}` collector, seed {data["seed"]} (40 % random waypoints,',
        '  30 % scripted pushes, 30 % scripted grasps); '
        f'{data["held_out_episodes"]} of them held out.',
        f'* Supervision: {training["supervision"]}. That readout is an auxiliary loss on '
        'proprioception; planning sees pictures alone.',
        f'* {config["iterations"]} steps of {config["batch"]} windows, seed {config["seed"]}, '
        f'{training["minutes"]} minutes on {training["machine"]}, '
        f'torch {training["torch"]}, {training["device"]}.',
        f'* Losses, mean of the last 50 steps: {losses}.',
        '',
        '## Measured on the held-out episodes',
        f'* Readout error (x, y, z [m], yaw [rad], closedness): {readout}.',
        f'* Linear probe of block positions, mean error: '
        f'{measured["object_probe_mean_abs_error_m"]} m (a probe; not used).',
        f'* Latent error after 3 open-loop steps: {measured["rollout_mse_3_steps"]}; predicting no '
        f'change: {measured["stay_mse_3_steps"]}.',
        f'* Pairs of frames within 3.5 cm that the goal tolerance accepts: '
        f'{measured["near_pairs_within_tolerance"]:.0%}.',
    ]
    closed_loop = measured.get('closed_loop', {})
    if closed_loop:
        lines += [
            '',
            '## Closed loop (CEM from pictures, success with 95 % Wilson interval)',
        ]
        for suite, result in closed_loop.items():
            low, high = result['interval']
            lines.append(
                f'* {suite}: {result["success_rate"]:.2f} [{low:.2f}, {high:.2f}], '
                f'{result["episodes"]} episodes, seed {result["seed"]}'
            )
    return '\n'.join(lines) + '\n'


def decoder_card_text(card: DecoderCard) -> str:
    """Return the model card of a decoder as Markdown."""
    training, measured, config = card.training, card.measured, card.training['config']

    def steps(name: str) -> str:
        return ', '.join(f'{value:.1f}' for value in measured[name])

    lines = [
        '# Model card: decoder of the tabletop world model',
        '',
        "Draws the world model's latents as pictures of 64 x 64 px, for people to look at. Nothing",
        'plans with it. It knows what the latent holds and no more: the arm is sharp, a block is a',
        'blur where the latent knows it coarsely.',
        '',
        f'* SHA-256 of the weights: `{card.sha256}` (verified on loading)',
        f'* Belongs to the world model: `{card.encoder_sha256}`, which it leaves as it is',
        f'* Architecture: {card.architecture}; stored in half precision',
        '',
        '## Training',
        f'* Frames of {training["episodes"] - training["held_out_episodes"]} episodes of the '
        f'`tabletop` collector, seed {training["data_seed"]}; {training["held_out_episodes"]} more '
        'were held out, here as for the world model.',
        f'* {config["iterations"]} steps of {config["batch"]} frames, mean squared error, seed '
        f'{config["seed"]}, {training["minutes"]} minutes on {training["machine"]}, torch '
        f'{training["torch"]}.',
        '',
        f'## Measured on {measured["held_out_steps"]} held-out moments',
        'Peak signal-to-noise ratio [dB], mean, 1 to 5 steps ahead:',
        f'* decoded imagination of the executed actions against the frame that came: '
        f'{steps("psnr_db_imagined")}; the worst tenth below '
        f'{steps("psnr_db_imagined_worst_tenth")}',
        f'* the latent of that frame itself, decoded: {steps("psnr_db_decoded_frame_itself")}',
        f'* the frame at the start, shown again: {steps("psnr_db_frame_shown_again")}',
    ]
    return '\n'.join(lines) + '\n'
