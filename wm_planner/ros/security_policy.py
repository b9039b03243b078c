# Copyright 2026 The wm_planner Authors
# SPDX-License-Identifier: Apache-2.0
"""SROS 2 policies: what a node of a live graph talks on, written and read as policy XML.

The format is that of `ros2 security` (policy version 0.2.0): one enclave a node, in it a profile
that lists the topics, services and actions that the node may use; what is not listed is denied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
import xml.etree.ElementTree as ET

from rclpy.action import (
    get_action_client_names_and_types_by_node,
    get_action_server_names_and_types_by_node,
)
from rclpy.node import Node

from wm_planner.core.errors import InvalidParameterError

VERSION = '0.2.0'
ENCLAVE_ROOT = '/wm_planner'
_ACTION_PART = '/_action/'
# How each set is written: the element around it, the attribute that says how, the element in it.
_TAGS: Mapping[str, tuple[str, str, str]] = {
    'publish': ('topics', 'publish', 'topic'),
    'subscribe': ('topics', 'subscribe', 'topic'),
    'reply': ('services', 'reply', 'service'),
    'request': ('services', 'request', 'service'),
    'execute': ('actions', 'execute', 'action'),
    'call': ('actions', 'call', 'action'),
}


@dataclass(frozen=True, kw_only=True)
class NodeInterface:
    """Full names of everything a node talks on; what belongs to an action is in the action."""

    publish: frozenset[str] = frozenset()
    subscribe: frozenset[str] = frozenset()
    reply: frozenset[str] = frozenset()
    request: frozenset[str] = frozenset()
    execute: frozenset[str] = frozenset()
    call: frozenset[str] = frozenset()


def interface_of(observer: Node, name: str, namespace: str = '/') -> NodeInterface:
    """Return what the node ``name`` talks on now, as the graph shows it to ``observer``."""

    def names(found: Iterable[tuple[str, list[str]]]) -> frozenset[str]:
        return frozenset(topic for topic, _ in found if _ACTION_PART not in topic)

    return NodeInterface(
        publish=names(observer.get_publisher_names_and_types_by_node(name, namespace)),
        subscribe=names(observer.get_subscriber_names_and_types_by_node(name, namespace)),
        reply=names(observer.get_service_names_and_types_by_node(name, namespace)),
        request=names(observer.get_client_names_and_types_by_node(name, namespace)),
        execute=names(get_action_server_names_and_types_by_node(observer, name, namespace)),
        call=names(get_action_client_names_and_types_by_node(observer, name, namespace)),
    )


def policy_text(interfaces: Mapping[str, NodeInterface]) -> str:
    """Return the policy XML for nodes of the root namespace, by name."""
    policy = ET.Element('policy', version=VERSION)
    enclaves = ET.SubElement(policy, 'enclaves')
    for node, interface in interfaces.items():
        enclave = ET.SubElement(enclaves, 'enclave', path=f'{ENCLAVE_ROOT}/{node}')
        profiles = ET.SubElement(enclave, 'profiles')
        profile = ET.SubElement(profiles, 'profile', ns='/', node=node)
        for field in fields(interface):
            group, attribute, item = _TAGS[field.name]
            members = sorted(getattr(interface, field.name))
            if members:
                block = ET.SubElement(profile, group, {attribute: 'ALLOW'})
                for member in members:
                    ET.SubElement(block, item).text = member
    ET.indent(policy)
    return ET.tostring(policy, encoding='unicode') + '\n'


def policy_interfaces(text: str) -> dict[str, NodeInterface]:
    """Return what a policy allows each node; the inverse of ``policy_text``.

    Raises InvalidParameterError for XML that is no policy of this form.
    """
    try:
        policy = ET.fromstring(text)
    except ET.ParseError as error:
        raise InvalidParameterError(f'the policy is not XML: {error}.') from error
    if policy.tag != 'policy' or policy.get('version') != VERSION:
        raise InvalidParameterError(f'valid: a <policy version="{VERSION}">.')
    found = {}
    for profile in policy.iterfind('enclaves/enclave/profiles/profile'):
        sets: dict[str, frozenset[str]] = {}
        for name, (group, attribute, item) in _TAGS.items():
            blocks = [b for b in profile.iterfind(group) if b.get(attribute) == 'ALLOW']
            members = [e.text.strip() for b in blocks for e in b.iterfind(item) if e.text]
            sets[name] = frozenset(members)
        found[str(profile.get('node'))] = NodeInterface(**sets)
    return found
