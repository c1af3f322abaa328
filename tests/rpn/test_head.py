"""Which channel belongs to which anchor, and what the convolutions of the RPN head compute."""

from __future__ import annotations

import torch
from torch.testing import assert_close

from faster_rcnn.rpn.head import RpnHead, rows_at
from faster_rcnn.structures import RpnOutput


def head_of(channels: int = 4, *, hidden: int | None = None, convs: int = 1, outputs_per_anchor: int = 1) -> RpnHead:
    """Three anchors per position."""
    width = channels if hidden is None else hidden
    return RpnHead(channels, hidden=width, convs=convs, anchors_per_position=3, outputs_per_anchor=outputs_per_anchor)


def numbered_by_channel(head: RpnHead) -> RpnOutput:
    """The output of a head of which every channel gives its own number at every position."""
    with torch.no_grad():
        for layer in (head.objectness, head.deltas):
            weight, bias = layer.parameters()
            weight.zero_()
            bias.copy_(torch.arange(len(bias)))
        output: RpnOutput = head([torch.zeros(1, 4, 2, 3), torch.zeros(1, 4, 1, 2)])
    return output


def test_k_objectness_channels_are_one_per_shape() -> None:
    output = numbered_by_channel(head_of())
    # 2 * 3 + 1 * 2 = 8 positions of 3 shapes.
    assert output.logits.shape == (1, 24, 1)
    assert_close(output.logits[0, :, 0], torch.tensor([0.0, 1.0, 2.0]).repeat(8))


def test_2k_objectness_channels_are_pairs_per_shape_no_object_first() -> None:
    output = numbered_by_channel(head_of(outputs_per_anchor=2))
    assert_close(output.logits[0], torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]]).repeat(8, 1))


def test_4k_delta_channels_are_dx_dy_dw_dh_per_shape() -> None:
    output = numbered_by_channel(head_of())
    assert_close(output.deltas[0], torch.arange(12.0).reshape(3, 4).repeat(8, 1))


def test_the_head_may_be_wider_than_the_features() -> None:
    head = head_of(hidden=10, convs=2)
    assert [conv.weight.shape for conv in head.convs] == [(10, 4, 3, 3), (10, 10, 3, 3)]
    assert head([torch.rand(2, 4, 3, 3)]).deltas.shape == (2, 27, 4)


def test_zeros_beyond_the_border_make_border_positions_differ_from_the_middle_of_a_uniform_map() -> None:
    logits = head_of()([torch.ones(1, 4, 5, 5)]).logits.reshape(25, 3)
    assert bool((logits - logits[12]).abs().max() > 1e-7)


def test_every_convolution_is_followed_by_relu() -> None:
    head = head_of(convs=2)
    with torch.no_grad():
        for conv in head.convs:
            weight, bias = conv.parameters()
            weight.zero_()
            bias.fill_(-1.0)
        weight, bias = head.objectness.parameters()
        weight.fill_(1.0)
        bias.fill_(3.0)
        # -1 becomes 0 after each, so that only the bias of the last layer is left; without relu it were 3 - 4.
        assert_close(head([torch.rand(1, 4, 2, 2)]).logits, torch.full((1, 12, 1), 3.0))


def test_new_weights_are_those_of_the_paper() -> None:
    # Gaussian of deviation 0.01 (section 3.1.3): the fewest weights are 12 * 256, their deviation is known to 1 or 2 %.
    head = head_of(channels=256)
    for layer in (*head.convs, head.deltas):
        weight, bias = layer.parameters()
        assert abs(float(weight.detach().std()) - 0.01) < 0.001
        assert not bool(bias.any())


def test_forward_at_gives_the_rows_of_forward() -> None:
    head = head_of(outputs_per_anchor=2)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    features = [torch.randn(2, 4, 3, 4), torch.randn(2, 4, 1, 2)]
    everyone = torch.arange(42).flip(0).repeat(2, 1)  # 14 positions of 3 shapes, from the last one to the first
    found, output = head.forward_at(features, everyone), head(features)
    for rows in (found, rows_at(output, everyone)):
        assert_close(rows.logits.flip(1), output.logits)
        assert_close(rows.deltas.flip(1), output.deltas)


def test_the_finest_maps_may_have_no_anchors() -> None:
    maps = [torch.rand(2, 4, side, side) for side in (6, 3, 2)]
    reading_all = head_of()
    reading_two = RpnHead(4, hidden=4, convs=1, anchors_per_position=3, outputs_per_anchor=1, skipped=1)
    reading_two.load_state_dict(reading_all.state_dict())
    output, expected = reading_two(maps), reading_all(maps[1:])
    assert_close((output.logits, output.deltas), (expected.logits, expected.deltas))
    chosen = torch.tensor([[0, 38], [5, 20]])  # of (9 + 4) * 3 anchors
    some, expected = reading_two.forward_at(maps, chosen), rows_at(output, chosen)
    assert_close((some.logits, some.deltas), (expected.logits, expected.deltas))
