"""Distillation by attention relations: how tokens relate, whatever the widths and heads of teacher and student.

Source: Li et al., CSI-ALM, eqs. (22) to (25); the relations are those of W. Wang et al., "MiniLMv2: Multi-Head
Self-Attention Relation Distillation for Compressing Pretrained Transformers", 2021.
"""

from __future__ import annotations

import torch

from linksim.core.errors import ScenarioError


def log_relations(vectors: torch.Tensor, num_relation_heads: int) -> torch.Tensor:
    """Logarithm of the self-relation of queries, keys or values: (22), (23) with x = y.

    :param vectors: ``[batch, token, width]``, all heads side by side.
    :param num_relation_heads: heads that the width is split into anew.
    :returns: ``[batch, head, token, token]``; exponentials of a row sum to one.
    :raises ScenarioError: the width does not divide into that many heads.
    """
    width = vectors.shape[-1]
    if width % num_relation_heads:
        raise ScenarioError(f"attention relations: a width of {width} does not divide into {num_relation_heads} heads")
    heads = vectors.unflatten(-1, (num_relation_heads, -1)).transpose(1, 2)
    return (heads @ heads.mT / heads.shape[-1] ** 0.5).log_softmax(-1)


def relation_loss(teacher: tuple[torch.Tensor, ...], student: tuple[torch.Tensor, ...], num_relation_heads: int
                  ) -> torch.Tensor:
    """Sum over query-query, key-key and value-value relations of the divergence from the teacher's: (24), (25).

    :param teacher: queries, keys and values of the last layer, ``[batch, token, width]`` each; the student's may be of
        another width, but are of as many tokens.
    :returns: mean over batch, relation heads and tokens of KL(teacher || student), summed over the three.
    """
    loss = torch.zeros((), device=student[0].device)
    for of_teacher, of_student in zip(teacher, student, strict=True):
        target, found = (log_relations(part.float(), num_relation_heads) for part in (of_teacher, of_student))
        loss = loss + (target.exp() * (target - found)).sum(-1).mean()
    return loss
