from __future__ import annotations

import torch

from linksim.blocks.prediction.cnn import ConvolutionalNetwork


def test_what_the_output_layer_sees_is_not_confined():
    torch.manual_seed(0)
    network = ConvolutionalNetwork(num_history=4, num_future=2, num_layers=2)
    seen = []
    network.output.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network.convolutions[-1].weight *= 30
        network(torch.randn(3, 4, 10))
    assert seen[0].abs().max() > 1


def test_real_and_imaginary_parts_meet_in_the_convolutions_and_not_in_the_output_layer():
    torch.manual_seed(0)
    network = ConvolutionalNetwork(num_history=4, num_future=2, num_layers=2)
    picture = torch.randn(1, 4, 2, 5)
    changed = picture.clone()
    changed[:, :, 1] += 1
    assert torch.equal(network.output(changed)[:, :, 0], network.output(picture)[:, :, 0])
    x = picture.flatten(-2)
    assert not torch.equal(network(changed.flatten(-2))[..., :5], network(x)[..., :5])
