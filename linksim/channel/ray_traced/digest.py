"""What names the files of a scene that the user has."""

from __future__ import annotations

from linksim.scenario.ray_traced import RayTraced


def digest_of_scene(options: RayTraced) -> str:
    """SHA-256 of a scene of the user's: a Mitsuba file with its meshes, or paths that others traced.

    :raises ScenarioError: not there, or not what it is named.
    """
    if options.imported:
        from linksim.channel.ray_traced.imported.tables import imported_digest

        return imported_digest(options)
    from linksim.channel.ray_traced.scene import scene_digest

    return scene_digest(options.scene)
