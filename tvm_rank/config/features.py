"""One feature of fg.json -> one frozen Feature, or problems."""

from __future__ import annotations

from pathlib import Path

from tvm_rank.config import keys
from tvm_rank.config.inputs import DEFAULT_SEPARATOR, separators
from tvm_rank.config.reader import Section, all_of, did_you_mean, one_of
from tvm_rank.config.rtp import RTP, RTP_KEYS, translated, with_boundaries
from tvm_rank.config.sequence import Group, as_member, as_sequence, is_sequence, read_group
from tvm_rank.config.spec import Feature
from tvm_rank.config.types import FEATURE_TYPES, TYPE_KEYS, TYPES, UNSUPPORTED_TYPES


class FeatureReader:
    """Reads the features of one file. `separator` is the file's own default, `base_dir` the folder of its vocabularies."""

    def __init__(self, base_dir: Path, separator: str):
        self._base_dir, self._separator = base_dir, separator

    def read_all(self, section: Section) -> list[tuple[str, Feature | None]]:
        """(path, feature) of a feature, or of each feature of a sequence group; None for one that cannot be read."""
        if "sequence_name" in section:
            return read_group(section, self.read)
        return [(section.path, self.read(section))]

    def read(self, section: Section, group: Group | None = None) -> Feature | None:
        """The feature, which is whole only if no problem was noted; None when its type cannot be read."""
        in_sequence = group is not None or is_sequence(section)
        given = section
        if in_sequence:
            section = as_member(section, group)
        if section.dialect == RTP:
            section = translated(section)
        kind = _feature_type(section)
        if kind == "raw_feature":
            section = with_boundaries(section)
        if not kind:
            return None
        _check_keys(section, kind)
        if not in_sequence:
            _refuse_sequence_keys(section)
        feature = self._plain(section, kind)
        if not in_sequence:
            return feature
        return as_sequence(feature, given, group, splits_all=feature.splits_all_inputs)

    def _plain(self, section: Section, kind: str) -> Feature:
        """The feature without a thought of sequences."""
        section.check_choice("value_type", keys.VALUE_TYPES)
        common = {
            "name": section.required_text("feature_name", "give the feature a name"),
            "path": section.path,
            "separators": separators(section, self._separator),
            "map_separators": tuple(dict.fromkeys((DEFAULT_SEPARATOR, self._separator))),
            "legacy": section.dialect == RTP,
            "stub": section.boolean("stub_type", False),
            "group": section.required_text("group", "name the group, or remove the key") if "group" in section else None,
        }
        return TYPES[kind].read(section, common, self._base_dir)


def _feature_type(section: Section) -> str:
    kind = section.required_text("feature_type", f"write {one_of(FEATURE_TYPES)}")
    if kind in UNSUPPORTED_TYPES:
        reason = f"; {keys.REASONS[kind]}" if kind in keys.REASONS else ""
        section.problem("feature_type", f"{kind!r} is not supported yet; supported: {one_of(FEATURE_TYPES)}{reason}")
    elif kind and kind not in FEATURE_TYPES:
        hint = did_you_mean(kind, (*FEATURE_TYPES, *UNSUPPORTED_TYPES))
        section.problem("feature_type", f"unknown type {kind!r}{hint}; supported: {one_of(FEATURE_TYPES)}")
    return kind if kind in FEATURE_TYPES else ""


def _check_keys(section: Section, kind: str) -> None:
    extra = getattr(TYPES[kind], "extra_keys", None)  # keys that depend on what the feature says
    allowed = (*TYPE_KEYS[kind], *(extra(section) if extra else ()), *(RTP_KEYS.get(kind, ()) if section.dialect == RTP else ()))
    for key in section.known_keys():
        if key in allowed or key in keys.IGNORED:
            continue
        owners = [other for other in FEATURE_TYPES if key in TYPE_KEYS[other]]
        if owners:
            section.problem(key, f"belongs to {all_of(owners)}, not to {kind}; remove it")
        elif key in keys.LEGACY_HINTS:
            section.problem(key, f"is a key of the legacy engine; {keys.LEGACY_HINTS[key]}")
        else:
            hint = did_you_mean(key, (*allowed, *keys.ALIASES)) or f"; {kind} takes {', '.join(sorted(allowed))}"
            section.problem(key, f"unknown key{hint}")


def _refuse_sequence_keys(section: Section) -> None:
    for key in keys.SEQUENCE_KEYS:
        if key in section and key != "is_sequence":
            section.problem(key, "belongs to sequences; write 'is_sequence': true, or remove it")
