# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""Weights files of V-JEPA 2-AC: one safetensors file for encoder and predictor, and its manifest.

The manifest stands in the file's own metadata, so that the two cannot be parted. It says where the
weights come from, what shape the networks have, and the checksum of the data. No code runs on load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
import hashlib
import json
from pathlib import Path
import struct
from typing import Any, BinaryIO

from safetensors import SafetensorError, safe_open
import torch
from torch import Tensor

from wm_planner.core.config import from_mapping
from wm_planner.core.errors import ChecksumError, InvalidParameterError, ModelLoadError
from wm_planner.models.vjepa2_ac.config import Architecture
from wm_planner.models.vjepa2_ac.network import Encoder, Predictor

FORMAT = 'wm_planner/vjepa2_ac/1'
PARTS = ('encoder', 'predictor')
DTYPES: Mapping[str, torch.dtype] = {'float32': torch.float32, 'bfloat16': torch.bfloat16}

_SAFETENSORS_NAMES = {torch.float32: 'F32', torch.bfloat16: 'BF16'}
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a converted file says of itself."""

    architecture: Architecture
    dtype: str
    data_sha256: str  # of the tensor data, in file order
    counts: dict[str, dict[str, int]]  # of each part: tensors, parameters
    source: dict[str, Any] = field(default_factory=dict)  # file name, bytes, sha256

    def to_json(self) -> str:
        """Return the manifest as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str) -> Manifest:
        """Return the manifest; raises ModelLoadError."""
        try:
            content = json.loads(text)
            architecture = from_mapping(Architecture, content.pop('architecture'), where=where)
            manifest = cls(architecture=architecture, **content)
            manifest._check_types()
            return manifest
        except (ValueError, KeyError, TypeError, AttributeError, InvalidParameterError) as error:
            raise ModelLoadError(f'{where} has a broken manifest: {error}') from error

    def _check_types(self) -> None:
        """Raise KeyError, TypeError or ValueError for what JSON lets pass and readers trip on."""
        numbers = [self.counts[part][of] for part in PARTS for of in ('tensors', 'parameters')]
        words = [self.dtype, self.data_sha256]
        if self.source:
            numbers.append(self.source['bytes'])
            words += [self.source['file'], self.source['sha256']]
        for kind, values in ((int, numbers), (str, words)):
            for value in values:
                if not isinstance(value, kind):
                    raise ValueError(f'{value!r} stands where {kind.__name__} is needed')


def write_weights(
    states: Mapping[str, Mapping[str, Tensor]],
    target: Path,
    *,
    architecture: Architecture,
    dtype: str,
    source: Mapping[str, Any],
    release: Callable[[Tensor], None] = lambda tensor: None,
) -> Manifest:
    """Write the state dicts of encoder and predictor as one safetensors file.

    One tensor at a time, which the safetensors library cannot do: it wants all of them in memory.
    The format is a length, a JSON header and the data (safetensors 0.4 specification). ``release``
    is called with each tensor once it is written. Raises ModelLoadError for weights that are not
    finite, InvalidParameterError for a target that cannot be written.
    """
    kind = DTYPES[dtype]
    tensors = {f'{part}.{name}': t for part in PARTS for name, t in sorted(states[part].items())}
    counts = {
        part: {
            'tensors': len(states[part]),
            'parameters': sum(t.numel() for t in states[part].values()),
        }
        for part in PARTS
    }
    manifest = Manifest(
        architecture=architecture,
        dtype=dtype,
        data_sha256='0' * 64,
        counts=counts,
        source=dict(source),
    )
    unfinished = target.with_name(target.name + '.part')
    with _writable(unfinished, sum(t.numel() for t in tensors.values()) * kind.itemsize):
        with unfinished.open('wb') as file:
            file.write(_header(tensors, kind, manifest))
            digest = hashlib.sha256()
            for name, tensor in tensors.items():
                data = _bytes_of(name, tensor, kind)
                digest.update(data)
                file.write(data)
                release(tensor)
            manifest = replace(manifest, data_sha256=digest.hexdigest())
            file.seek(0)
            file.write(_header(tensors, kind, manifest))  # as long as before
        unfinished.replace(target)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a converted file; raises ModelLoadError."""
    with _opened_weights(path) as file:
        metadata = file.metadata() or {}
    if metadata.get('format') != FORMAT:
        raise ModelLoadError(
            f'{path} is of format {metadata.get("format")!r}; valid: {FORMAT!r}, written by: '
            'wm_planner model convert CHECKPOINT.'
        )
    return Manifest.from_json(metadata.get('manifest', ''), str(path))


def load_networks(
    path: Path, *, device: torch.device, dtype: torch.dtype, verify_checksum: bool = True
) -> tuple[Encoder, Predictor, Manifest]:
    """Return encoder and predictor, frozen, on ``device`` in ``dtype``, and their manifest.

    The networks are made without memory and given the tensors of the file, all of them and no
    others. Raises ModelLoadError or ChecksumError.
    """
    manifest = read_manifest(path)
    if verify_checksum:
        check_data(path, manifest)
    with torch.device('meta'):
        networks = (Encoder(manifest.architecture), Predictor(manifest.architecture))
    with _opened_weights(path, device) as file:
        for part, network in zip(PARTS, networks, strict=True):
            prefix = f'{part}.'
            names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
            state = {
                # Copied out of the file, which somebody may replace while a planner runs.
                n.removeprefix(prefix): file.get_tensor(n).to(dtype, copy=device.type == 'cpu')
                for n in names
            }
            bad = [name for name, tensor in state.items() if not is_finite(tensor)]
            if bad:
                raise ModelLoadError(
                    f'{path} holds NaN or infinity in {part}.{bad[0]} and {len(bad) - 1} other '
                    'tensors; valid: finite weights: convert the checkpoint again.'
                )
            try:
                network.load_state_dict(state, strict=True, assign=True)
            except RuntimeError as error:
                raise ModelLoadError(f'{path} does not fit its manifest: {error}') from error
            network.eval().requires_grad_(False)
    encoder, predictor = networks
    return encoder, predictor, manifest


def check_data(path: Path, manifest: Manifest) -> None:
    """Raise ChecksumError if the tensor data of a file is not what its manifest states."""
    with path.open('rb') as file:
        (length,) = struct.unpack('<Q', file.read(8))
        file.seek(8 + length)
        found = digest_of(file)
    if found != manifest.data_sha256:
        raise ChecksumError(
            f'the data of {path} has SHA-256 {found[:16]}..., its manifest states '
            f'{manifest.data_sha256[:16]}...; the file is corrupt: convert the checkpoint again.'
        )


def is_finite(tensor: Tensor) -> bool:
    """Return whether no element is NaN or infinite; one pass and no copy in the common case."""
    # A finite sum has finite terms; finite terms can have a sum that overflows, hence the rest.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


@contextmanager
def _writable(path: Path, size: int) -> Iterator[None]:
    """Make the folder of ``path``, leave nothing at ``path``; say so where writing fails."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise InvalidParameterError(
            f'weights cannot be written to {path.parent}: {error}; valid: a folder that may be '
            f'written to, with room for {size / (1 << 20):,.0f} MiB.'
        ) from error


@contextmanager
def _opened_weights(path: Path, device: torch.device | str = 'cpu') -> Iterator[Any]:
    if not path.is_file():
        raise ModelLoadError(
            f'weights file {str(path)!r} does not exist; valid: a file written by: wm_planner '
            'model convert CHECKPOINT.'
        )
    try:
        with safe_open(path, framework='pt', device=str(device)) as file:
            yield file
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f'{path} is truncated or not safetensors: {error}') from error


def _header(tensors: Mapping[str, Tensor], dtype: torch.dtype, manifest: Manifest) -> bytes:
    content: dict[str, Any] = {'__metadata__': {'format': FORMAT, 'manifest': manifest.to_json()}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.numel() * dtype.itemsize
        content[name] = {
            'dtype': _SAFETENSORS_NAMES[dtype],
            'shape': list(tensor.shape),
            'data_offsets': [offset, end],
        }
        offset = end
    text = json.dumps(content).encode()
    text += b' ' * (-len(text) % 8)  # so that the data begins at a multiple of eight
    return struct.pack('<Q', len(text)) + text


def _bytes_of(name: str, tensor: Tensor, dtype: torch.dtype) -> memoryview:
    if not is_finite(tensor):
        raise ModelLoadError(f'{name} holds NaN or infinity; valid: finite weights.')
    plain = tensor.detach().to(dtype).contiguous()
    content: memoryview = plain.view(torch.uint8).numpy().reshape(-1).data
    return content


def digest_of(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left to read, as hexadecimal digits."""
    digest = hashlib.sha256()
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
