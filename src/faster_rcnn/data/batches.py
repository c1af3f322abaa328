"""The images of each step of an epoch, and the random seeds of each image."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from faster_rcnn.structures import ImageSize

_MASK = (1 << 64) - 1
AUGMENTATION, _ORDER, DROPOUT, TRANSFORM = 1, 2, 3, 4
"""Streams of random numbers, which must not share any; sampling has stream 0."""


def image_seed(seed: int, epoch: int, index: int, stream: int = 0) -> int:
    """A pseudo-random number below 2**63: SplitMix64's mixing step over the four numbers in turn."""
    state = 0
    for number in (seed, epoch, index, stream):
        state = (state + number + 0x9E3779B97F4A7C15) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state >> 1


def epoch_batches(sizes: Sequence[ImageSize], batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the images of each step of one epoch: each image once, in random order.

    A batch holds portraits or landscapes only, since it is padded to its largest sides. The rest of each kind makes a
    last, short batch.
    """
    generator = torch.Generator().manual_seed(image_seed(seed, epoch, 0, _ORDER))
    waiting: dict[bool, list[int]] = {False: [], True: []}
    batches = []
    for index in torch.randperm(len(sizes), generator=generator).tolist():
        group = waiting[sizes[index].height > sizes[index].width]
        group.append(index)
        if len(group) == batch:
            batches.append(group.copy())
            group.clear()
    batches += [group for group in waiting.values() if group]
    # Otherwise the short batches would always come last.
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def steps_of_epoch(sizes: Sequence[ImageSize], batch: int) -> int:
    """Number of batches that ``epoch_batches`` makes.

    >>> steps_of_epoch([ImageSize(2, 1), ImageSize(1, 2), ImageSize(1, 3)], batch=4)  # 1 portrait, 2 landscapes
    2
    """
    portraits = sum(size.height > size.width for size in sizes)
    return sum(-(-group // batch) for group in (portraits, len(sizes) - portraits))
