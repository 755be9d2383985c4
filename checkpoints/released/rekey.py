"""Give checkpoints of linksim 0.1 their names of today: they were named by all fields, now by those that were chosen.

    uv run python checkpoints/released/rekey.py [FOLDER] [SCENARIO.yaml …]

Goes through the checkpoints of a folder (by default the released ones) and through what the scenarios' methods learn
(by default all shipped ones); a checkpoint that was trained as a scenario says is renamed, and ``about.json`` says the
same in the new form. What no scenario names stays as it is. Nothing is read but JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from linksim.core import registry
from linksim.core.errors import LinksimError
from linksim.loading.load import load_scenario
from linksim.scenario.channel import Channel
from linksim.scenario.identity import NOT_DRAWN, acquisition_fields, channel_fields, training_fields
from linksim.scenario.schema import Acquisition
from linksim.scenario.training import Training, merged
from linksim.training.identity import digest
from linksim.training.part import CLOSED_FORM_FIELDS
from linksim.training.preparation import parts_of

RELEASED = Path(__file__).parent
_SAME = ("block", "version", "shape", "data", "generated", "channel_uses", "num_streams", "generator", "plugins")
_OTHERS = ("teacher", "start_from")
"""Named by digests of their own identities, which have changed with this one's: only their blocks are compared."""


def current_form(about: dict[str, Any]) -> dict[str, Any]:
    """What ``about.json`` of linksim 0.1 says, as it is said today, without the digests of other checkpoints."""
    spec = next(spec for spec in registry.catalogue() if spec.name == about["block"])
    defaults = {name: field.default for name, field in spec.options.model_fields.items()}
    now = {key: about[key] for key in _SAME if key in about}
    now |= {"kind": spec.kind, "options": {
        name: value for name, value in about["options"].items() if value != defaults[name]}}
    if "panel" in now.get("shape", {}):
        now["shape"] = {"num_streams": 1, **now["shape"]}
    now["conditions"] = [
        [_channel(one[0]), acquisition_fields(Acquisition(**one[1]))] if isinstance(one, list) else _channel(one)
        for one in about["conditions"]]
    if spec.kind == "feedback" and "training" not in about:
        now["conditions"].sort(key=repr)  # as parts of codecs that are fitted in closed form say them
    usual = merged(Training(), None).model_dump()
    learned = about.get("training")
    given = {key: about[key] for key in ("num_drops", "seed", "fraction", "csi_snr_db") if key in about}
    training = Training(**usual | {"antenna_pairs": 0} | (learned or {}) | given)
    now["training"] = training_fields(training, None if learned is not None else CLOSED_FORM_FIELDS)
    if about.get("training_file"):
        now["training_file"] = about["training_file"]
    return now | {key: about[key]["block"] for key in _OTHERS if key in about}


def _channel(drawn: dict[str, Any]) -> dict[str, Any]:
    source = "ray_traced" if "ray_traced" in drawn else "model"
    fields = {name: value for name, value in drawn.items() if name != "indoor_height"}
    return channel_fields(Channel(source=source, **fields), NOT_DRAWN)


def main() -> int:
    """:returns: 0 if all checkpoints of the folder have a name of today."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else RELEASED
    shipped = sorted((RELEASED.parents[1] / "scenarios").rglob("*.yaml"))
    scenarios = list(map(Path, sys.argv[2:])) or shipped
    wanted: dict[str, list[dict[str, Any]]] = {}
    for path in scenarios:
        for part in parts_of(load_scenario(path)):
            try:
                about = part.about
            except LinksimError as error:  # captions or packages that are not here
                print(f"{path}: {part.name}: {error}", file=sys.stderr)
                continue
            compared = {key: value for key, value in about.items() if key != "schema"}
            compared |= {key: about[key]["block"] for key in _OTHERS if key in about}
            same = wanted.setdefault(json.dumps(compared, sort_keys=True), [])
            if about not in same:
                same.append(about)
    left = 0
    for path in sorted(folder.glob("*/about.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        if "schema" in about:
            continue
        found = wanted.get(json.dumps(current_form(about), sort_keys=True), [])
        if len(found) != 1:
            print(f"{path.parent}: {len(found)} parts of these scenarios are trained like this", file=sys.stderr)
            left += 1
            continue
        kept = {key: about[key] for key in ("validation_nmse", "record", "weights_sha256") if key in about}
        path.write_text(json.dumps({**found[0], **kept}, indent=1), encoding="utf-8")
        path.parent.rename(folder / f"{about['block']}-{digest(found[0])}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
