"""Features that read features: which names there are, no circles, and which are known once per request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tvm_rank.config.reader import Problems, did_you_mean
from tvm_rank.config.spec import Feature


def resolve(features: Sequence[Feature], problems: Problems) -> list[Feature]:
    """The features in their order, with each `feature:` input marked as request-side or not; notes unknown names and circles."""
    by_name = {feature.name: feature for feature in features}
    for feature in features:
        for name in feature.feature_inputs:
            if name not in by_name:
                hint = did_you_mean(name, by_name) or "; write the feature_name of another feature"
                problems.append(f"{feature.path}: the input 'feature:{name}' is no feature of this file{hint}")
    if problems:
        return list(features)
    for circle in _circles(by_name):
        problems.append(f"{by_name[circle[0]].path}: features read each other in a circle: {' -> '.join((*circle, circle[0]))}")
    if problems:
        return list(features)
    done: dict[str, Feature] = {}
    for feature in in_order(features):
        fields = tuple(replace(f, request=done[f.name].is_request) if f.side == "feature" else f for f in feature.fields)
        done[feature.name] = replace(feature, fields=fields)
    return [done[feature.name] for feature in features]


def in_order(features: Sequence[Feature]) -> list[Feature]:
    """The features, each behind those that it reads, otherwise in their order; there is no circle."""
    by_name = {feature.name: feature for feature in features}
    placed: dict[str, Feature] = {}
    for feature in features:
        waiting = [feature]
        while waiting:
            top = waiting[-1]
            missing = [by_name[name] for name in top.feature_inputs if name not in placed]
            if missing:
                waiting += missing
            else:
                placed[waiting.pop().name] = top
    return list(placed.values())


def _circles(by_name: dict[str, Feature]) -> list[list[str]]:
    """One circle for each walk along inputs that comes back to where it was."""
    circles: list[list[str]] = []
    safe: set[str] = set()
    for start in by_name:
        path: list[str] = []
        walk = [(start, iter(by_name[start].feature_inputs))]
        while walk:
            name, inputs = walk[-1]
            if not path or path[-1] != name:
                path.append(name)
            following = next((other for other in inputs if other not in safe), None)
            if following is None:
                safe.add(name)
                path.pop()
                walk.pop()
            elif following in path:
                circles.append(path[path.index(following) :])
                safe.update(path)
                break
            else:
                walk.append((following, iter(by_name[following].feature_inputs)))
    return circles
