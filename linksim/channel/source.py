"""Where the chain and the training get their drops: from a model, from files, from a generator or from a scene."""

from __future__ import annotations

from linksim.channel.beam_squint import squint_note
from linksim.channel.drops import Drops
from linksim.channel.statistical.drops import draw_drops
from linksim.scenario.channel import Channel


def chunk_of_drops(channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu") -> Drops:
    """One chunk of test drops.

    :param channel: of one sweep point.
    :param batch_size: drops per chunk.
    :param seed: of this chunk; stored drops do not depend on it.
    :param chunk_index: which chunk; drawn drops do not depend on it.
    :param device: torch device.
    :raises LinksimError: the file does not hold them.
    """
    if channel.source == "model":
        return draw_drops(channel, batch_size, seed, device)
    if channel.source == "ray_traced":
        from linksim.channel.ray_traced.drops import ray_traced_drops

        return ray_traced_drops(channel, batch_size, seed, device)
    if channel.files.generator is not None:
        from linksim.channel.files.generated import generated_drops

        return generated_drops(channel, batch_size, seed, chunk_index, device)
    from linksim.channel.files.drops import stored_drops

    return stored_drops(channel, batch_size, chunk_index, device)


def source_notes(channel: Channel) -> set[str]:
    """What a run should say of where its drops come from, beyond its header."""
    notes = {note} if (note := squint_note(channel)) else set()
    if channel.source == "files" and not channel.files.speed_known:
        notes.add("speed unknown: neither the channel file nor channel.speed_kmh says how fast terminals are")
    if channel.source == "ray_traced":
        from linksim.channel.ray_traced.drops import table_note

        return notes | {table_note(channel)}
    if channel.source != "files" or channel.files.generator is not None:
        return notes
    from linksim.channel.files.opened import open_channel_files

    return notes | set(open_channel_files(channel.files).header.notes)


def training_chunk_of_drops(channel: Channel, batch_size: int, seed: int, chunk_index: int, device: str = "cpu",
                            validation: bool = False) -> Drops:
    """One chunk of training drops: files have theirs in ``channel.files.training_path``, scenes on other ground.

    :param channel: of one training condition.
    :param validation: whether it is for validation, which a scene keeps its own ground for.
    :raises LinksimError: the file does not hold them.
    """
    if channel.source == "model":
        return draw_drops(channel, batch_size, seed, device)
    if channel.source == "ray_traced":
        from linksim.channel.ray_traced.drops import ray_traced_drops

        return ray_traced_drops(channel, batch_size, seed, device, "validation" if validation else "training")
    if not channel.files.training_path and channel.files.generator is not None:
        from linksim.channel.files.generated import generated_drops

        return generated_drops(channel, batch_size, seed, chunk_index, device, training=True)
    from linksim.channel.files.drops import stored_training_drops

    return stored_training_drops(channel, batch_size, chunk_index, device)
