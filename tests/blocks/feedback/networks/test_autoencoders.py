import pytest
import torch

from linksim.blocks.feedback.networks.clnet import ChannelAttention, CLNetDecoder, CLNetEncoder, SpatialAttention
from linksim.blocks.feedback.networks.crnet import CRNetDecoder, CRNetEncoder
from linksim.blocks.feedback.networks.csinet import CsiNetDecoder, CsiNetEncoder, RefineNet
from linksim.blocks.feedback.networks.gcrnet import GCRNetDecoder, GCRNetEncoder
from linksim.blocks.feedback.networks.transnet import (
    TransInDecNetDecoder,
    TransInDecNetEncoder,
    TransNetDecoder,
    TransNetEncoder,
)

PAIRS = {
    "csinet": (CsiNetEncoder, CsiNetDecoder),
    "crnet": (CRNetEncoder, CRNetDecoder),
    "clnet": (CLNetEncoder, CLNetDecoder),
    "transnet": (TransNetEncoder, TransNetDecoder),
    "transindecnet": (TransInDecNetEncoder, TransInDecNetDecoder),
    "gcrnet": (GCRNetEncoder, GCRNetDecoder),
}
LIMITED = ["csinet", "crnet", "clnet", "gcrnet"]

PUBLISHED = {
    "csinet": [2_103_116, 1_054_284, 529_868, 267_660, 136_556],
    "crnet": [2_102_838, 1_054_006, 529_590, 267_382, 136_278],
    "clnet": [2_101_958, 1_053_126, 528_710, 266_502, 135_398],
    "transnet": [2_678_912, 1_630_080, 1_105_664, 843_456, 712_352],
}

TABLE_IV = {  # LLMCsiNet, Table IV, millions at 1/8, 1/16, 1/32, 1/64: terminal, base station
    "crnet": [(0.52, 0.53), (0.26, 0.27), (0.13, 0.14), (0.07, 0.07)],
    "transindecnet": [(0.52, 0.80), (0.26, 0.54), (0.13, 0.41), (0.07, 0.34)],  # 1/8 stands the other way round there
    "gcrnet": [(0.52, 2.18), (0.26, 1.92), (0.13, 1.79), (0.07, 1.72)],
}


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def pair(name: str, rows: int = 32, beams: int = 32, num_values: int = 64) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    encoder, decoder = PAIRS[name]
    return encoder(rows, beams, num_values), decoder(rows, beams, num_values)


def windows(count: int, rows: int = 32, beams: int = 32) -> torch.Tensor:
    return 0.5 + 0.2 * torch.randn(count, 2, rows, beams, generator=torch.Generator().manual_seed(1)).clamp(-2.5, 2.5)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_numbers_of_parameters(name):
    with torch.device("meta"):
        counts = [sum(count(part(32, 32, 2048 // compression)) for part in PAIRS[name])
                  for compression in (4, 8, 16, 32, 64)]
    assert counts == PUBLISHED[name]


@pytest.mark.parametrize("name", TABLE_IV)
def test_published_sizes_of_both_sides(name):
    with torch.device("meta"):
        for num_values, sizes in zip((256, 128, 64, 32), TABLE_IV[name], strict=True):
            for part, millions in zip(PAIRS[name], sizes, strict=True):
                # the table cuts off some numbers and rounds others
                assert count(part(32, 32, num_values)) / 1e6 == pytest.approx(millions, rel=0.02, abs=0.0095)


def test_gcrnet_stands_within_one_percent_of_its_published_size():
    with torch.device("meta"):
        for num_values, millions in ((256, 2.18), (128, 1.92), (64, 1.79), (32, 1.72)):
            assert count(GCRNetDecoder(32, 32, num_values)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_the_transformer_layer_of_transindecnet_has_its_published_size():
    assert count(TransInDecNetDecoder(32, 32, 32).layer) == 281_152
    assert count(TransNetEncoder(32, 32, 32).layer) == 281_152


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(("rows", "beams"), [(32, 32), (16, 32), (32, 16), (26, 32), (7, 9)])
def test_windows_of_any_size_keep_their_shape(name, rows, beams):
    encoder, decoder = (part.eval() for part in pair(name, rows, beams, num_values=12))
    with torch.no_grad():
        codeword = encoder(windows(2, rows, beams))
        image = decoder(codeword)
    assert codeword.shape == (2, 12)
    assert image.shape == (2, 2, rows, beams)
    if name in LIMITED:
        assert image.min() >= 0
        assert image.max() <= 1


@pytest.mark.parametrize("name", PAIRS)
def test_outputs_do_not_depend_on_batch_neighbours(name):
    encoder, decoder = pair(name)
    with torch.no_grad():
        decoder(encoder(windows(3)))  # running statistics that are no zeros and ones
        encoder.eval()
        decoder.eval()
        image = windows(5)
        image[0] = 1.0
        together = decoder(encoder(image))
        alone = torch.cat([decoder(encoder(one[None])) for one in image])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PAIRS)
def test_gradients_reach_every_parameter_of_both_sides(name):
    encoder, decoder = pair(name, 8, 8)
    image = windows(6, 8, 8)
    (decoder(encoder(image)) - image).square().sum().backward()
    for part in (encoder, decoder):
        for parameter_name, parameter in part.named_parameters():
            assert parameter.grad is not None, parameter_name
            assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", PAIRS)
def test_a_few_steps_bring_the_error_down(name):
    encoder, decoder = pair(name, 8, 8)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    image = windows(16, 8, 8)
    errors = []
    for _ in range(10):
        optimizer.zero_grad()
        error = (decoder(encoder(image)) - image).square().mean()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.98 * errors[0]


def test_a_refinement_without_its_path_is_the_activation_alone():
    refine = RefineNet()
    torch.nn.init.zeros_(refine.path[-1][1].weight)
    image = torch.randn(2, 2, 5, 6)
    torch.testing.assert_close(refine(image), torch.where(image >= 0, image, 0.3 * image))  # eq. (10)


def test_spatial_attention_gives_one_weight_to_a_place():
    maps = torch.rand(3, 4, 6, 5) + 0.1
    weight = SpatialAttention().eval()(maps) / maps
    torch.testing.assert_close(weight, weight[:, :1].expand_as(weight))
    assert weight.std() > 1e-3


def test_channel_attention_gives_one_weight_to_a_map():
    torch.manual_seed(0)
    maps = torch.rand(3, 32, 6, 5) + 0.1
    weight = ChannelAttention(32)(maps) / maps
    torch.testing.assert_close(weight, weight[:, :, :1, :1].expand_as(weight))
    assert weight[..., 0, 0].std() > 1e-3


@pytest.mark.parametrize("name", ["transnet", "transindecnet"])
def test_rows_attend_to_each_other(name):
    """A change of one delay row is seen in others, within a sample."""
    _, decoder = pair(name)
    decoder.eval()
    first = next(module for module in decoder.modules() if isinstance(module, torch.nn.Linear))
    codeword = torch.randn(1, 64)
    with torch.no_grad():
        before = decoder(codeword)
        first.bias[:4] += 5.0  # the first token
        after = decoder(codeword)
    assert (after - before)[:, :, 8:].abs().max() > 1e-4
