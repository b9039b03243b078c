# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""The report: what is in the files is on the page, and the page needs nothing else."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
import json
import math
from pathlib import Path
import re
from typing import Any

import cv2
import numpy as np
import pytest

from fakes.records import a_record, a_request, arena
from wm_planner.core.errors import InvalidParameterError
from wm_planner.evaluation.pictures import EpisodeCamera, encode_png, encode_video, write_files
from wm_planner.evaluation.records import EpisodeRecord
from wm_planner.evaluation.report_page import render_report
from wm_planner.evaluation.results import read_result, read_results

OBSTACLES = 'safety_static_obstacles'
VOID = {'meta', 'img', 'br', 'link'}


class Page(HTMLParser):
    """Text, images and links of a page; complains about tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, f'never closed: {self.open}'

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.sources += [str(given[name]) for name in ('src', 'data') if name in given]
        assert tag != 'link' and tag != 'script', 'the page stands alone'
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'img':
            assert given.get('alt')

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {'style'} & set(self.open):
            self.words += data.split()

    @property
    def text(self) -> str:
        return ' '.join(self.words)


def write(path: Path, *records: EpisodeRecord, planner: str = 'cem') -> Path:
    a_request(*records, planner=planner).report(records, wall_s=1.0).write(path)
    return path


def page_of(*paths: Path, title: str = 'a page') -> Page:
    return Page(render_report(read_results(paths), title=title))


def arena_records(rate: int, **fields: object) -> list[EpisodeRecord]:
    return [
        a_record(k, arena(OBSTACLES, level), success=k < rate, **fields)
        for level in (0, 1)
        for k in range(10)
    ]


def test_rates_costs_and_published_rows_are_on_the_page(tmp_path: Path) -> None:
    ours = write(tmp_path / 'cem.json', *arena_records(3, cost=2.0, cost_upstream=12.5))
    noop = write(tmp_path / 'noop.json', *arena_records(0), planner='noop')
    page = page_of(ours, noop)
    assert '30 % [11, 60] 3/10' in page.text and '0 % [0, 28] 0/10' in page.text
    assert '12.5 [12.5, 12.5] 2.0 [2.0, 2.0]' in page.text
    assert 'static_obstacles L1' in page.text and 'published, not run here' in page.text
    line = re.search(r'static_obstacles L0 30 %.*?static_obstacles L1', page.text)
    assert line and '60 % 100 % 98 % 100 % 90 % 93 % 76 % 64 % 100 %' in line[0]
    assert all(source.startswith('data:') for source in page.sources)


def test_tabletop_results_stand_without_published_rows_or_costs(tmp_path: Path) -> None:
    page = page_of(write(tmp_path / 'a.json', a_record(0, success=True), a_record(1)))
    assert '50 %' in page.text
    assert 'OpenVLA' not in page.text and 'Cumulative cost' not in page.text
    assert 'Energy on the way' in page.text


def test_policies_without_energies_have_no_curves(tmp_path: Path) -> None:
    nothing = a_record(0, energy_curve=(math.nan, math.nan), plan_ms=())
    assert 'Energy' not in page_of(write(tmp_path / 'a.json', nothing, planner='noop')).text


def test_results_say_what_they_were_run_with_and_how_episodes_ended(tmp_path: Path) -> None:
    failed = a_record(1, termination='planner_failed', error_code=303, message='<b>& no energy')
    page = page_of(write(tmp_path / 'a.json', a_record(0), failed), title='<i>title & more')
    assert '1 × planner_failed' in page.text and '1 × [303] <b>& no energy' in page.text
    assert '<i>title & more' in page.text, 'escaped, so that it is text'
    assert 'Seed 7' in page.text and 'numpy' in page.text and 'num_samples' in page.text


def test_pictures_of_episodes_are_in_the_page(tmp_path: Path) -> None:
    image = np.full((16, 16, 3), 90, np.uint8)
    files = {f'{name}.png': encode_png(image) for name in ('first', 'last', 'goal')}
    write_files(tmp_path / 'p', files)
    pictures = {name: f'p/{name}.png' for name in ('first', 'last', 'goal')}
    path = write(tmp_path / 'a.json', a_record(0, pictures=pictures, success=True), a_record(1))
    page = page_of(path)
    assert sum(source.startswith('data:image/png') for source in page.sources) == 3
    assert 'all steps used, 12.5 cm left' in page.text
    (tmp_path / 'p' / 'goal.png').unlink()
    assert not any(source.startswith('data:image/png') for source in page_of(path).sources)


def test_same_results_give_the_same_page(tmp_path: Path) -> None:
    results = read_results([write(tmp_path / 'a.json', *arena_records(3))])
    assert render_report(results, title='a') == render_report(results, title='a')


def test_runs_of_one_planner_on_other_suites_are_one_column(tmp_path: Path) -> None:
    reach = write(tmp_path / 'reach.json', a_record(0))
    push = write(tmp_path / 'push.json', a_record(0, 'tabletop/push'))
    again = write(tmp_path / 'again.json', a_record(0), a_record(1))
    assert [len(result.episodes) for result in read_results([reach, push])] == [2]
    labels = [result.label for result in read_results([reach, again])]
    assert labels == ['cem on tabletop (reach)', 'cem on tabletop (again)']


def test_runs_of_other_steps_are_not_one_column(tmp_path: Path) -> None:
    reach = write(tmp_path / 'reach.json', a_record(0))
    push = write(tmp_path / 'push.json', a_record(0, 'tabletop/push'))
    values = json.loads(push.read_text())
    values['config']['evaluation']['steps_scale'] = 2.0
    push.write_text(json.dumps(values))
    assert [len(result.episodes) for result in read_results([reach, push])] == [1, 1]


def test_folder_is_searched_for_results_alone(tmp_path: Path) -> None:
    write(tmp_path / 'a.json', a_record(0))
    (tmp_path / 'b.json').write_text('{"board": 1}')
    (tmp_path / 'c.json').write_text('{')
    assert [result.paths[0].name for result in read_results([tmp_path])] == ['a.json']


@pytest.mark.parametrize('content', ['', '{', '[]', '{"schema_version": 1}', None])
def test_file_that_is_no_result_is_refused_by_name(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / 'x.json'
    if content is not None:
        path.write_text(content)
    with pytest.raises(InvalidParameterError, match='x.json'):
        read_results([path])


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match='no results'):
        read_results([tmp_path])


def test_result_with_an_episode_that_lacks_fields_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.json', a_record(0))
    values = json.loads(path.read_text())
    del values['episodes'][0]['success']
    path.write_text(json.dumps(values))
    with pytest.raises(InvalidParameterError, match='an episode without success'):
        read_result(path)


def test_result_of_before_there_were_costs_and_curves_can_still_be_read(tmp_path: Path) -> None:
    path = write(tmp_path / 'a.json', a_record(0))
    values = json.loads(path.read_text())
    for name in ('cost_upstream', 'energy_curve', 'wall_s', 'pictures'):
        del values['episodes'][0][name]
    path.write_text(json.dumps(values))
    expected = replace(a_record(0), energy_curve=())
    assert read_result(path).episodes == (expected,)


def frames_of(video: bytes, folder: Path) -> list[Any]:
    (folder / 'v.mkv').write_bytes(video)
    reader = cv2.VideoCapture(str(folder / 'v.mkv'))
    frames = []
    while (found := reader.read())[0]:
        frames.append(found[1][..., ::-1])
    return frames


def test_camera_keeps_the_frames_that_are_asked_for(tmp_path: Path) -> None:
    frames = [np.full((32, 32, 3), 20 * k, np.uint8) for k in range(4)]
    camera = EpisodeCamera(('pictures', 'video'))
    camera.begin(frames[0], frames[3])
    for frame in frames[1:3]:
        camera.add(frame)
    files = camera.files(0.25)
    assert files['first.png'] == encode_png(frames[0])
    assert files['last.png'] == encode_png(frames[2])
    assert files['goal.png'] == encode_png(frames[3])
    assert len(frames_of(files['video.mkv'], tmp_path)) == 3


def test_video_holds_every_frame_in_its_colours(tmp_path: Path) -> None:
    frames = [np.full((64, 64, 3), (200, 40 * k, 10), np.uint8) for k in range(5)]
    found = frames_of(encode_video(frames, 0.25), tmp_path)
    assert len(found) == 5
    for frame, back in zip(frames, found, strict=True):
        np.testing.assert_allclose(back.mean((0, 1)), frame[0, 0], atol=12)
