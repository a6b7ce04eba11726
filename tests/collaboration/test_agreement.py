import torch

from skyweave.collaboration.agreement import TRUSTED, agreement


def smooth(seed: int) -> torch.Tensor:
    noise = torch.randn(1, 8, 64, 64, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.avg_pool2d(noise, 5, 1, 2)[0]


def test_the_same_place_agrees_and_another_does_not() -> None:
    place, seen = smooth(0), torch.ones(64, 64)
    told = place + 0.5 * smooth(1)
    assert agreement(place, seen, told, seen) > 0.5  # type: ignore[operator]
    shifted = torch.roll(told, (2, -2), (1, 2))  # an error of pose
    assert agreement(place, seen, shifted, seen) > TRUSTED  # type: ignore[operator]
    others = [agreement(place, seen, smooth(k), seen) for k in range(2, 12)]
    assert sum(other is not None and other < TRUSTED for other in others) >= 7


def test_without_common_ground_nothing_is_said() -> None:
    west, east = torch.zeros(64, 64), torch.zeros(64, 64)
    west[:, :32], east[:, 32:] = 1, 1
    assert agreement(smooth(0), west, smooth(0), east) is None
    assert agreement(smooth(0), west, smooth(0), 0 * east) is None
