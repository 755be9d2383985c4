import math

import pytest
import torch

from linksim.blocks.feedback.idasnet import PreliminaryDecoder
from linksim.blocks.feedback.networks.selection import (
    RandomSelection,
    SelfInformation,
    SelfInformationEncoder,
    StrongestSelection,
    fill,
    select_strongest,
    select_strongest_each,
)


def windows(count: int, rows: int = 32, beams: int = 32, seed: int = 0) -> torch.Tensor:
    """A few strong elements among weak ones, the largest magnitude 1."""
    stream = torch.Generator().manual_seed(seed)
    window = torch.randn(count, 2, rows, beams, generator=stream) ** 5
    return window / window.abs().amax((1, 2, 3), keepdim=True)


def test_published_sizes():
    encoder, decoder = SelfInformationEncoder(), PreliminaryDecoder()
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 2_502
    assert 2_502 + 9 * 9 + 9 * 64 == 3_159  # with the fixed kernels; 3.16 K
    assert sum(parameter.numel() for parameter in decoder.parameters()) == 3_362  # 3.36 K


def test_self_information_is_equation_9():
    """Element by element, with the neighbours that are meant, zeros beyond the window."""
    window, bandwidth, radius = windows(1, 6, 5), 0.3, 2
    information = SelfInformation(radius, bandwidth).information(window)[0]
    number = torch.complex(window[0, 0], window[0, 1])
    for row in range(6):
        for beam in range(5):
            total = 0.0
            for up in (-radius, 0, radius):
                for right in (-radius, 0, radius):
                    inside = 0 <= row + up < 6 and 0 <= beam + right < 5
                    neighbour = complex(number[row + up, beam + right]) if inside else 0
                    distance = abs(complex(number[row, beam]) - neighbour)
                    total += math.exp(-distance**2 / (2 * bandwidth**2)) / (math.sqrt(2 * math.pi) * bandwidth)
            constant = math.log2(1 / (math.sqrt(2 * math.pi) * bandwidth))
            assert float(information[row, beam]) == pytest.approx(constant - math.log2(total / 9), abs=1e-5)


def test_an_isolated_element_has_most_information_and_a_flat_region_none():
    window = torch.zeros(1, 2, 15, 15)
    window[0, :, :7] = 0.5
    window[0, 1, 12, 7] = 1.0
    information = SelfInformation().information(window)[0]
    assert float(information[12, 7]) == pytest.approx(math.log2(9))
    assert information[3, 7] == 0
    assert information[10, 7] == 0
    assert information.max() <= math.log2(9) + 1e-6


def test_the_mask_keeps_elements_that_stand_out():
    window = torch.zeros(1, 2, 16, 16)
    window[0, 0, 8, 8] = 1.0
    window[0, 1, 2, 13] = 0.02
    window[0, 1, 13, 2] = 0.01
    mask = SelfInformation()(window)
    assert mask.shape == (1, 1, 16, 16)
    assert mask.sum() == 2  # not the weakest, and no place that has one of them among its neighbours
    assert mask[0, 0, 8, 8] == mask[0, 0, 2, 13] == 1
    assert SelfInformation(threshold=4.0)(window).sum() == 0
    assert SelfInformation(threshold=0.0)(window).min() == 1


def test_what_is_masked_does_not_reach_the_image():
    torch.manual_seed(0)
    encoder = SelfInformationEncoder().eval()
    window = torch.zeros(1, 2, 16, 16)
    window[0, 0, 8, 8] = 1.0
    faint = window.clone()
    faint[0, 1, 2:4, 2:4] = 0.005
    with torch.no_grad():
        torch.testing.assert_close(encoder(window), encoder(faint), atol=0, rtol=0)
        seen = SelfInformationEncoder(SelfInformation(threshold=0.0)).eval()
        seen.load_state_dict(encoder.state_dict())
        assert not torch.equal(seen(window), seen(faint))


@pytest.mark.parametrize("num_values", [1, 28, 221, 2048])
def test_the_largest_magnitudes_are_selected_in_ascending_order_of_position(num_values):
    image = windows(3)
    values, positions = select_strongest(image, num_values)
    assert values.shape == positions.shape == (3, num_values)
    assert (positions.diff() > 0).all()
    torch.testing.assert_close(values, image.flatten(1).gather(1, positions))
    rest = image.flatten(1).abs().scatter(1, positions, 0.0)
    assert (rest.amax(-1) <= values.abs().amin(-1)).all()


def test_of_equal_elements_the_first_are_selected():
    assert select_strongest(torch.ones(1, 2, 4, 4), 5)[1].tolist() == [[0, 1, 2, 3, 4]]


def test_filling_puts_values_where_they_were_and_the_mean_elsewhere():
    image = windows(3, 8, 6)
    values, positions = select_strongest(image, 10)
    filled = fill(values, positions, torch.tensor([0.1, 0.2, 0.3]), 8, 6)
    assert filled.shape == image.shape
    for one, original, mean in zip(filled, image, (0.1, 0.2, 0.3), strict=True):
        reported = one == original
        assert reported.sum() == 10
        torch.testing.assert_close(one[~reported], torch.full((86,), mean))
    everything = select_strongest(image, 96)
    assert torch.equal(fill(*everything, image.mean((1, 2, 3)), 8, 6), image)


def test_gradients_pass_through_what_is_selected_alone():
    image = windows(2, 8, 6).requires_grad_()
    values, positions = select_strongest(image, 10)
    fill(values, positions, torch.zeros(2), 8, 6).square().sum().backward()
    chosen = torch.zeros(2, 96).scatter(1, positions, 1.0).view_as(image)
    torch.testing.assert_close(image.grad, 2 * image.detach() * chosen)


def test_each_image_may_have_its_own_number_of_values():
    image = windows(3, 8, 6)
    numbers = torch.tensor([5, 12, 1])
    values, positions, meant = select_strongest_each(image, numbers)
    assert values.shape == (3, 12)
    assert meant.sum(-1).tolist() == [5, 12, 1]
    mean = image.mean((1, 2, 3))
    filled = fill(values, positions, mean, 8, 6)
    for index, number in enumerate(numbers.tolist()):
        one = select_strongest(image[index:index + 1], number)
        assert torch.equal(values[index, :number], one[0][0])
        assert torch.equal(positions[index, :number], one[1][0])
        assert torch.equal(filled[index:index + 1], fill(*one, mean[index:index + 1], 8, 6))


def test_gradients_of_padded_values_pass_through_what_is_meant_alone():
    image = windows(2, 8, 6).requires_grad_()
    values, positions, meant = select_strongest_each(image, torch.tensor([2, 7]))
    fill(values, positions, torch.zeros(2), 8, 6).sum().backward()
    assert image.grad.flatten(1).sum(-1).tolist() == [2, 7]
    assert not values[~meant].any()


@pytest.mark.parametrize("num_values", [0, 97])
def test_a_number_of_values_that_an_image_has_not_is_said(num_values):
    image = windows(2, 8, 6)
    for select in (lambda: select_strongest(image, num_values),
                   lambda: select_strongest_each(image, torch.tensor([1, num_values])),
                   lambda: RandomSelection(8, 6)(image, num_values)):
        with pytest.raises(ValueError, match="1 to 96 values"):
            select()


def test_random_places_are_those_of_the_seed_for_every_window():
    image = windows(3, 8, 6)
    values, positions = RandomSelection(8, 6, seed=3)(image, 20)
    torch.testing.assert_close(values, image.flatten(1).gather(1, positions))
    assert (positions.diff() > 0).all()
    assert (positions == positions[0]).all()
    assert torch.equal(positions, RandomSelection(8, 6, seed=3)(image[:1], 20)[1].expand(3, -1))
    assert not torch.equal(positions, RandomSelection(8, 6, seed=4)(image, 20)[1])
    fewer = set(RandomSelection(8, 6, seed=3)(image, 9)[1][0].tolist())
    assert fewer < set(positions[0].tolist())
    assert "order" not in RandomSelection(8, 6).state_dict()


def test_without_a_network_the_window_s_own_strongest_elements_are_selected():
    image = windows(2, 8, 6)
    for one, other in zip(StrongestSelection()(image, 9), select_strongest(image, 9), strict=True):
        assert torch.equal(one, other)


def test_encoding_and_decoding_do_not_depend_on_batch_neighbours():
    torch.manual_seed(0)
    selection, decoder = StrongestSelection(SelfInformationEncoder()), PreliminaryDecoder()

    def through(window: torch.Tensor) -> torch.Tensor:
        return decoder(fill(*selection(window, 28), window.mean((1, 2, 3)), *window.shape[2:]))

    with torch.no_grad():
        through(windows(4))  # running statistics that are no zeros and ones
        selection.eval()
        decoder.eval()
        window = windows(4, seed=5)
        window[0] *= 100
        torch.testing.assert_close(through(window), torch.cat([through(one[None]) for one in window]),
                                   atol=1e-5, rtol=1e-4)


def test_gradients_reach_every_parameter_through_selection_and_filling():
    torch.manual_seed(0)
    encoder, decoder = SelfInformationEncoder(), PreliminaryDecoder()
    window = windows(4, 16, 16)
    restored = decoder(fill(*select_strongest(encoder(window), 60), window.mean((1, 2, 3)), 16, 16))
    assert restored.shape == window.shape
    (restored - window).square().sum().backward()
    for part in (encoder, decoder):
        for name, parameter in part.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.any(), name


def test_the_deployed_terminal_is_the_trained_one():
    torch.manual_seed(0)
    encoder = SelfInformationEncoder()
    encoder(torch.rand(8, 2, 13, 17) - 0.5)  # running statistics of their own
    encoder.eval()
    window = torch.rand(3, 2, 13, 17) * 2 - 1
    window[0, :, :6] = 0
    with torch.no_grad():
        deployed = encoder(window)
    assert torch.allclose(deployed, encoder(window).detach(), atol=1e-6)
    masks = encoder.information
    assert torch.equal(masks(window)[:, 0] > 0, masks.information(window) >= masks.threshold)
