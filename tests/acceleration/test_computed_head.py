"""A head that another module computes gives the rows of an ordinary head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faster_rcnn.acceleration.computed_head import ComputedHead
from faster_rcnn.rpn.head import RpnHead
from faster_rcnn.structures import RpnOutput
from tiny import random_image, tiny_model, training_batch, truth_of


class NumberedRows(nn.Module):
    """Two images of five anchors; every number names its image, its anchor and its column."""

    def __init__(self) -> None:
        super().__init__()
        self.features: list[Tensor] = []
        self.calls = 0

    def forward(self, features: list[Tensor]) -> RpnOutput:
        self.features = features
        self.calls += 1
        rows = torch.tensor([0.0, 100.0])[:, None, None] + 10 * torch.arange(5.0)[:, None]  # (2, 5, 1)
        return RpnOutput(rows, rows + torch.arange(4.0))


def test_sampled_rows_are_rows_of_all() -> None:
    computation = NumberedRows()
    head = ComputedHead(computation)
    features = [torch.zeros(2, 4, 1, 5)]
    found = head.forward_at(features, torch.tensor([[4, 0], [1, 1]]))
    assert computation.features is features
    assert found.logits.squeeze(2).tolist() == [[40, 0], [110, 110]]
    assert found.deltas.tolist() == [
        [[40, 41, 42, 43], [0, 1, 2, 3]],
        [[110, 111, 112, 113], [110, 111, 112, 113]],
    ]


def test_rows_that_are_known_are_not_computed_again() -> None:
    computation = NumberedRows()
    head = ComputedHead(computation)
    features, indices = [torch.zeros(2, 4, 1, 5)], torch.tensor([[4, 0], [1, 1]])
    known = head(features)
    found = head.forward_at(features, indices, known)
    assert computation.calls == 1
    assert torch.equal(found.deltas, head.forward_at(features, indices).deltas)
    assert computation.calls == 2


class Counted(nn.Module):
    """A head, and the number of its calls."""

    def __init__(self, head: RpnHead) -> None:
        super().__init__()
        self.head = head
        self.calls = 0

    def forward(self, features: list[Tensor]) -> RpnOutput:
        self.calls += 1
        output: RpnOutput = self.head(features)
        return output


def test_validation_computes_all_rows_once() -> None:
    model = tiny_model()
    computation = Counted(model.rpn.head)
    model.rpn.head = ComputedHead(computation)
    batch = training_batch([random_image(64, 96)], [truth_of([[10, 10, 40, 50]], [1])], [0])
    losses, _ = model.validate(batch)
    assert computation.calls == 1
    assert float(losses.named()["rpn_objectness"]) > 0


def test_it_takes_the_place_of_the_head_that_it_computes() -> None:
    plain = RpnHead(4, hidden=6, convs=2, anchors_per_position=3, outputs_per_anchor=2)
    head = ComputedHead(plain)
    assert isinstance(head, RpnHead)
    # It holds no layers beside those of the module that computes it.
    assert list(head.state_dict()) == [f"computation.{name}" for name in plain.state_dict()]
    features = [torch.randn(2, 4, 2, 3), torch.randn(2, 4, 1, 2)]
    own, other = head(features), plain(features)
    assert torch.equal(own.logits, other.logits)
    assert torch.equal(own.deltas, other.deltas)
    indices = torch.tensor([[0, 23, 7], [18, 4, 5]])
    sampled, expected = head.forward_at(features, indices), plain.forward_at(features, indices)
    torch.testing.assert_close(sampled.logits, expected.logits)
    torch.testing.assert_close(sampled.deltas, expected.deltas)
