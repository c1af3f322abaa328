"""The steps of an epoch: each image once, portraits and landscapes apart, reproducible seeds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from faster_rcnn.data.batches import epoch_batches, image_seed, steps_of_epoch
from faster_rcnn.structures import ImageSize

SIZES = st.lists(st.builds(ImageSize, st.integers(1, 5), st.integers(1, 5)), max_size=30)


@given(SIZES, st.integers(1, 5), st.integers(0, 3), st.integers(0, 3))
def test_each_image_once_and_no_portrait_beside_a_landscape(
    sizes: list[ImageSize], batch: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(sizes, batch, seed, epoch)
    assert sorted(index for one in batches for index in one) == list(range(len(sizes)))
    assert all(1 <= len(one) <= batch for one in batches)
    assert sum(len(one) < batch for one in batches) <= 2
    for one in batches:
        assert len({sizes[index].height > sizes[index].width for index in one}) == 1
    assert batches == epoch_batches(sizes, batch, seed, epoch)
    assert len(batches) == steps_of_epoch(sizes, batch)


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    sizes = [ImageSize(10, 10)] * 50
    orders = [str(epoch_batches(sizes, 4, seed, epoch)) for seed in range(3) for epoch in range(3)]
    assert len(set(orders)) == 9


def test_image_seeds_are_all_different_and_fit() -> None:
    seeds = [
        image_seed(seed, epoch, index, stream)
        for seed in range(4)
        for epoch in range(4)
        for index in range(50)
        for stream in range(2)
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    # torch's generator uses the lower 32 bits only
    assert len({seed % 2**32 for seed in seeds}) == len(seeds)
    assert image_seed(0, 0, 0) == image_seed(0, 0, 0, 0)
