"""What names the files of a scene that the user has."""

from __future__ import annotations

import hashlib
from pathlib import Path

from linksim.channel.ray_traced.imported.wair_d import area_folder
from linksim.core.errors import ScenarioError
from linksim.scenario.ray_traced import RayTraced


def digest_of_scene(options: RayTraced) -> str:
    """SHA-256 of a scene of the user's: a Mitsuba file with its meshes, or paths that others traced.

    :raises ScenarioError: not there, or not what it is named.
    """
    if options.imported:
        return imported_digest(options)
    from linksim.channel.ray_traced.scene import scene_digest  # optional

    return scene_digest(options.scene)


def imported_digest(options: RayTraced) -> str:
    """What names the data: the file's digest; of a folder, places of all its areas and sizes of its files.

    :raises ScenarioError: not there.
    """
    path = Path(options.scene)
    if path.is_file():
        from linksim.channel.files.opened import digest  # start-up

        return digest(path)
    if not path.is_dir():
        raise ScenarioError(f"channel.ray_traced.scene: {path}: no such file or folder")
    found = hashlib.sha256()
    for one in options.areas:
        area = area_folder(path, one.first_area)
        for file in sorted(area.iterdir()):
            found.update(f"{area.name}/{file.name} {file.stat().st_size}\n".encode())
        found.update((area / "Info.npy").read_bytes() if (area / "Info.npy").is_file() else b"")
    return found.hexdigest()
