from __future__ import annotations

import pytest
import torch

from linksim.mimo.inverse import hermitian_inverse


def test_the_derivative_of_the_inverse_is_the_factorisations():
    root = torch.randn(3, 5, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))

    def inverse(root, invert):
        return invert(root @ root.mH + 0.1 * torch.eye(5)).abs().square().sum()

    gradients = [torch.autograd.grad(inverse(x, invert), x)[0] for invert in (hermitian_inverse, torch.linalg.inv)
                 for x in [root.clone().requires_grad_()]]
    assert torch.allclose(*gradients, rtol=1e-9)


def test_what_single_precision_cannot_factor_is_inverted_in_double():
    noise = torch.Generator().manual_seed(0)
    parts = torch.randn(3, 64, 64, dtype=torch.complex64, generator=noise)
    directions = torch.linalg.qr(parts).Q
    energy = torch.logspace(0, -7.3, 64)
    hard = (directions * energy) @ directions.mH
    hard = (hard + hard.mH) / 2
    easy = torch.eye(64, dtype=torch.complex64).expand(1, -1, -1) * 2
    inverse = hermitian_inverse(torch.cat([easy, hard]))
    assert inverse.isfinite().all()
    torch.testing.assert_close(inverse[0], easy[0] / 4)
    exact = torch.linalg.inv(hard.to(torch.complex128))
    assert (inverse[1:] - exact).norm() < 0.2 * exact.norm()


@pytest.mark.parametrize("decades", [3, 5, 6, 6.5])
def test_what_single_precision_inverts_badly_is_inverted_in_double(decades):
    parts = torch.randn(20, 96, 96, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    directions = torch.linalg.qr(parts).Q
    matrix = (directions * torch.logspace(0, -decades, 96)) @ directions.mH
    matrix = (matrix + matrix.mH) / 2
    exact = torch.linalg.inv(matrix.to(torch.complex128))
    error = (hermitian_inverse(matrix) - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
    assert (error < 0.01).all()


def test_what_is_not_positive_definite_is_refused():
    with pytest.raises(torch.linalg.LinAlgError):
        hermitian_inverse(-torch.eye(64, dtype=torch.complex64)[None])
