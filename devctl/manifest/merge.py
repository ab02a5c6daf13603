"""Several manifests as one, by Compose's rules: maps merge, lists grow, single values and commands are replaced.

`!reset` on a value removes what the earlier file had; `!override` replaces it whole. Which rule a key follows stands in its
table (forms.Key.merge). Values keep the place in the file they came from.
"""

from __future__ import annotations

from devctl.manifest.forms import Key, MapOf, Table
from devctl.manifest.nodes import Mapping, Node, Scalar, Sequence

Entries = dict[str, tuple[Scalar, Node]]


def merge(base: Mapping, over: Mapping, table: Table) -> Mapping:
    """`over` laid over `base`; neither is changed."""
    entries: Entries = dict(base.entries)
    _oust_probes(entries, over, table)
    for name, (key, value) in over.entries.items():
        if value.tag == "!reset":
            entries.pop(name, None)
        elif name not in entries or value.tag == "!override":
            entries[name] = (key, value)
        elif known := table.by_name.get(name):
            entries[name] = (key, _merge_values(entries[name][1], value, known))
        else:
            entries[name] = (key, value)  # x-… keys, and unknown ones, which are reported later
    return Mapping(over.source, over.line, over.column, entries)


def _merge_values(base: Node, over: Node, key: Key) -> Node:
    if key.merge == "append":
        items = [*_items(base), *_items(over)]
        return Sequence(over.source, over.line, over.column, items)
    if key.merge == "names":
        base, over = _by_name(base, key), _by_name(over, key)
    if isinstance(over, Scalar) and over.null and key.merge in ("table", "map", "names"):
        return base  # `environment:` with every line commented out changes nothing
    if not isinstance(base, Mapping) or not isinstance(over, Mapping):
        return over
    if key.merge in ("table", "probe") and isinstance(key.form, Table):
        return merge(base, over, key.form)
    if key.merge == "table" and isinstance(key.form, MapOf) and isinstance(key.form.value, Table):
        return _merge_maps(base, over, key.form.value, empty_changes=False)
    if key.merge in ("map", "names", "probe"):
        return _merge_maps(base, over, None, empty_changes=key.name != "depends_on")
    return over


def _merge_maps(base: Mapping, over: Mapping, table: Table | None, *, empty_changes: bool) -> Mapping:
    """By key; values that are both maps merge too, as `table` says when there is one.

    A value that is nothing means something in an environment (pass it through), and nothing for a service or a dependency.
    """
    entries: Entries = dict(base.entries)
    for name, (key, value) in over.entries.items():
        before = entries.get(name)
        if value.tag == "!reset":
            entries.pop(name, None)
        elif before and isinstance(before[1], Mapping) and isinstance(value, Mapping) and value.tag != "!override":
            merged = merge(before[1], value, table) if table else _merge_maps(before[1], value, None, empty_changes=True)
            entries[name] = (key, merged)
        elif before and not empty_changes and isinstance(value, Scalar) and value.null:
            continue
        else:
            entries[name] = (key, value)
    return Mapping(over.source, over.line, over.column, entries)


def _oust_probes(entries: Entries, over: Mapping, table: Table) -> None:
    """A healthcheck has one probe: one in `over` takes the place of another in `entries`."""
    probes = [key.name for key in table.keys if key.merge == "probe"]
    if any(name in over.entries for name in probes):
        for name in probes:
            if name not in over.entries:
                entries.pop(name, None)


def _items(node: Node) -> list[Node]:
    if isinstance(node, Sequence):
        return node.items
    return [] if isinstance(node, Scalar) and node.null else [node]


def _by_name(node: Node, key: Key) -> Node:
    """The list form of `environment`, `labels` or `depends_on` as a map; what is malformed stays, to be reported later."""
    if not isinstance(node, Sequence) or not all(isinstance(item, Scalar) and not item.null for item in node.items):
        return node
    entries: Entries = {}
    for item in node.items:
        assert isinstance(item, Scalar)
        name, equals, value = (item.text, "", "") if key.name == "depends_on" else item.text.partition("=")
        text = Scalar(item.source, item.line, item.column, value, null=not equals, broken=item.broken, end_line=item.end_line)
        entries[name] = (item, text)
    return Mapping(node.source, node.line, node.column, entries)
