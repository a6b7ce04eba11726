"""Views, contrast, latents and distillation against numbers made by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fabricated_views import backbone, batch, seeded, view_of
from skyweave.backbone.batch import SensorBatch
from skyweave.backbone.pretrained.galileo import Galileo, GalileoConfig
from skyweave.core.errors import ConfigError, UnknownNameError
from skyweave.core.sensors import get_sensor
from skyweave.pretraining.masking import EncodedView, MaskingConfig, coarsen, draw_views, mean_in_cells, vary
from skyweave.pretraining.mixing import Pair
from skyweave.pretraining.objectives.base import EncodedBatch, EncodedStep
from skyweave.pretraining.objectives.contrast import ContrastConfig, ViewContrast
from skyweave.pretraining.objectives.distillation import (
    Distillation,
    DistillationConfig,
    RunningStandard,
    TeacherConfig,
)
from skyweave.pretraining.objectives.patch_discrimination import PatchDiscriminationConfig
from skyweave.pretraining.teachers.base import TeacherMaps
from skyweave.pretraining.teachers.composites import COMPOSITE_PIXELS, CompositeTeacher, composites_of
from skyweave.pretraining.teachers.published import PublishedTeacher

PLAIN = MaskingConfig(ratios=(0.0, 0.0), band_dropout=0.0, coarsening=(1,), missing=0.0, radiometric_noise=0.0)


def encoded_views(images: SensorBatch, *tokens: Tensor) -> EncodedBatch:
    views = draw_views(backbone(), images, 4, replace(PLAIN, ratios=(0.0,) * len(tokens)), seeded())
    ordered = [part.gather(1, v.visible.unsqueeze(-1).expand_as(part)) for part, v in zip(tokens, views, strict=True)]
    return EncodedBatch(images, [EncodedView(view, part) for view, part in zip(views, ordered, strict=True)])


def test_coarse_pixels_are_means_of_valid_ones() -> None:
    images = batch("naip", 4, 1)
    images.pixels[:] = torch.arange(16.0).view(4, 4)
    images.valid[:, :, 0, 0] = False
    images.valid[:, :, 2:, 2:] = False
    images.valid[:, :, 3, 3] = True
    coarse = coarsen(images, 2)
    assert coarse.pixels[0, 0, 0].tolist() == pytest.approx([(1 + 4 + 5) / 3, (2 + 3 + 6 + 7) / 4])
    assert coarse.valid[0, 0].tolist() == [[True, True], [True, False]]
    assert coarse.ground_sample_distance.tolist() == [2 * float(images.ground_sample_distance[0])]


def test_another_look_is_coarser_noisier_and_has_gaps() -> None:
    images = batch("sentinel2-l2a", 24, 8)
    config = MaskingConfig(coarsening=(3,), missing=0.5, radiometric_noise=0.1)
    varied = vary(backbone(), images, 4, config, seeded())
    assert varied.pixels.shape == (8, 12, 8, 8)
    gone = 1 - varied.valid.float().mean((1, 2, 3))
    assert 0 <= gone.min() < gone.max() <= 0.5 + 1 / 8
    whole = coarsen(images, 3).pixels
    ratio = (varied.pixels - whole).std() / (torch.from_numpy(images.sensor.stds)).mean()
    assert 0.03 < ratio < 0.3
    assert vary(backbone(), batch("naip", 8), 4, config, seeded()).pixels.shape[-1] == 8  # 2 patches cannot be thirded


def test_means_in_cells_are_those_of_their_tokens() -> None:
    view = view_of(batch("naip", images=1), replace(PLAIN, ratios=(0.0,)))
    tokens = view.visible.unsqueeze(-1).float()  # the number of the patch
    means, valid = mean_in_cells(tokens, view, 2)
    assert means[0, :, 0].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert valid.all()
    few = replace(view, visible=view.visible[:, :1], visible_valid=view.visible_valid[:, :1])
    means, valid = mean_in_cells(tokens[:, :1], few, 4)
    assert valid.sum() == 1
    assert means.sum() == tokens[0, 0, 0]


def test_contrast_is_the_cross_entropy_of_finding_the_partner() -> None:
    generator = seeded()
    first, second = (torch.randn(3, 16, 8, generator=generator) for _ in range(2))
    objective = ViewContrast(ContrastConfig(temperature=0.5, cells=(1,)))
    (loss,) = objective(EncodedStep([encoded_views(batch("naip"), first, second)]), generator)
    codes = [torch.nn.functional.normalize(part.mean(1), dim=-1) for part in (first, second)]
    logits = codes[0] @ codes[1].T / 0.5
    wanted = -(logits.log_softmax(1).diagonal().mean() + logits.log_softmax(0).diagonal().mean()) / 2
    assert float(loss) == pytest.approx(float(wanted), rel=1e-4)


def test_contrast_compares_images_of_one_sensor_across_batches() -> None:
    tokens = torch.randn(1, 16, 8, generator=seeded())
    objective = ViewContrast(ContrastConfig(cells=(1,)))
    alone = [encoded_views(batch(name, images=1), tokens, tokens) for name in ("naip", "rgb")]
    assert [float(loss) for loss in objective(EncodedStep(alone), seeded())] == [
        0.0,
        0.0,
    ]  # nobody to be told apart from
    pair = [encoded_views(batch("naip", images=1), part, part) for part in (tokens, -tokens)]
    first, second = (float(loss) for loss in objective(EncodedStep(pair), seeded()))
    assert first == second == pytest.approx(0.0, abs=1e-3)
    same = [encoded_views(batch("naip", images=1), tokens, tokens) for _ in range(2)]
    assert float(objective(EncodedStep(same), seeded())[0]) == pytest.approx(torch.tensor(2.0).log().item(), rel=1e-4)


def test_paired_images_of_two_sensors_find_each_other() -> None:
    tokens = torch.randn(3, 16, 8, generator=seeded())
    objective = ViewContrast(ContrastConfig(temperature=0.2, cells=(1,), pairs=2.0))
    radar, optical = batch("sentinel1-rtc", images=3), batch("sentinel2-l2a", images=3)
    items = [encoded_views(radar, tokens), encoded_views(optical, tokens.flip(0))]
    right = [Pair((0, 1), (row, 2 - row)) for row in range(3)]
    wrong = [Pair((0, 1), (row, row)) for row in (0, 2)]
    known, mistaken = (objective(EncodedStep(items, pairs), seeded()) for pairs in (right, wrong))
    assert known[0] == known[1]
    codes = torch.nn.functional.normalize(tokens.mean(1), dim=-1)
    wanted = -(codes @ codes.T / 0.2).log_softmax(1).diagonal().mean()
    assert float(known[0]) == pytest.approx(2.0 * float(wanted), rel=1e-4)
    assert float(mistaken[0]) > float(known[0])


def test_other_cells_of_an_image_are_no_candidates() -> None:
    images = batch("naip", images=2)
    tokens = torch.zeros(2, 16, 8)
    tokens[0, :, 0] = 1
    tokens[1, :, 1] = 1  # all cells of an image are alike, so only the other image's count against
    objective = ViewContrast(ContrastConfig(temperature=1.0, cells=(2,)))
    (loss,) = objective(EncodedStep([encoded_views(images, tokens, tokens)]), seeded())
    one = torch.tensor(1.0).exp()
    assert float(loss) == pytest.approx(float(-(one / (one + 4)).log()), rel=1e-4)


def test_latents_leave_out_patches_that_are_alike() -> None:
    torch.manual_seed(0)
    objective = PatchDiscriminationConfig(depths=(0, 1), predicted=1.0).build(backbone())
    images = batch("naip", images=2)
    flat = replace(images, pixels=torch.full_like(images.pixels, 100.0))
    masking = MaskingConfig(ratios=(0.5,), band_dropout=0.0)
    losses = []
    for part in (images, flat):
        (view,) = draw_views(backbone(), part, 4, masking, seeded())
        encoded = EncodedView(view, torch.randn(2, 8, 32, generator=seeded()))
        losses.append(float(objective(EncodedStep([EncodedBatch(part, [encoded])]), seeded())[0].detach()))
    assert losses[0] > 1.0
    assert losses[1] == pytest.approx(0.0, abs=1e-5)  # one lake: nothing can be told apart
    assert not any(parameter.requires_grad for parameter in objective.target.parameters())


class Averages(CompositeTeacher):
    """Sees the mean of each channel, and 4 x 4 means."""

    pooled_channels = 3
    map_channels = (3,)

    def see(self, images: Tensor) -> TeacherMaps:
        return TeacherMaps(images.mean((2, 3)), [torch.nn.functional.adaptive_avg_pool2d(images, 4)])


def test_distillation_ends_where_the_student_knows_what_the_teacher_sees() -> None:
    torch.manual_seed(0)
    objective = Distillation(DistillationConfig(), 3, [Averages()]).eval()
    images = batch("rgb", images=4)
    means, stds = (torch.from_numpy(part)[:, None, None] for part in (images.sensor.means, images.sensor.stds))
    size = (COMPOSITE_PIXELS, COMPOSITE_PIXELS)
    seen = Averages().see(torch.nn.functional.interpolate((images.pixels - means) / stds, size, mode="bilinear"))
    tokens = seen.maps[0].flatten(2).transpose(1, 2)
    with torch.no_grad():
        for head in objective.students[0].heads.values():
            head.weight.copy_(torch.eye(3))
            head.bias.zero_()
    (known,) = objective(EncodedStep([encoded_views(images, tokens, tokens)]), seeded())
    (wrong,) = objective(EncodedStep([encoded_views(images, -tokens, -tokens)]), seeded())
    assert float(known.detach()) == pytest.approx(0.0, abs=0.02)
    assert float(wrong.detach()) == pytest.approx(4.0, abs=0.05)


def test_running_standard_follows_the_channels() -> None:
    standard, generator = RunningStandard(2, 0.99), seeded()
    values = torch.randn(4000, 2, generator=generator) * torch.tensor([2.0, 0.5]) + torch.tensor([3.0, -1.0])
    for part in values.split(100):
        standard(part, update=True)
    result = standard(values, update=False)
    assert result.mean(0).tolist() == pytest.approx([0, 0], abs=0.05)
    assert result.std(0).tolist() == pytest.approx([1, 1], abs=0.05)


@pytest.mark.parametrize(
    ("sensor", "names", "bands"),
    [
        ("sentinel2-l2a", ["colour", "infrared"], [["red", "green", "blue"], ["swir16", "nir08", "red"]]),
        ("naip", ["colour", "infrared"], [["red", "green", "blue"], ["nir", "red", "green"]]),
        ("rgb", ["colour"], [["red", "green", "blue"]]),
        ("sentinel1-rtc", ["other"], [["VV", "VH", "VH"]]),
        ("thermal", ["other"], [["lwir", "lwir", "lwir"]]),
    ],
)
def test_composites_follow_the_wavelengths(sensor: str, names: list[str], bands: list[list[str]]) -> None:
    composites = composites_of(get_sensor(sensor))
    assert [composite.name for composite in composites] == names
    chosen = [[get_sensor(sensor).bands[channel].name for channel in composite.channels] for composite in composites]
    assert [[name.lower() for name in part] for part in chosen] == [[name.lower() for name in part] for part in bands]


def test_a_composite_shows_the_bands_where_they_are() -> None:
    images = batch("sentinel2-l2a", 16, 1)
    patches = backbone().patches(images, 4)
    composite = composites_of(images.sensor)[0]
    rendered = composite.render(patches, (16, 16), 16)
    red = images.sensor.index("red")
    wanted = (images.pixels[0, red] - images.sensor.means[red]) / images.sensor.stds[red]
    assert torch.allclose(rendered[0, 0], wanted, atol=1e-5)


def test_an_unknown_teacher_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no teacher 'resnet'"):
        DistillationConfig(teachers=[TeacherConfig("resnet")]).build(backbone())


def test_the_published_teacher_sees_colours_and_shapes() -> None:
    teachers = pytest.importorskip("efficientnet_lite_pytorch", reason="the extra teachers is not installed")
    assert teachers
    from skyweave.pretraining.teachers.efficientnet_lite import load_efficientnet_lite0

    teacher = load_efficientnet_lite0()
    images = torch.randn(2, 3, 64, 64, generator=seeded())
    maps = teacher.see(images)
    assert maps.pooled.shape == (2, teacher.pooled_channels) == (2, 1280)
    assert [one.shape[1:] for one in maps.maps] == [(112, 4, 4), (320, 2, 2)]
    pooled = teacher.network((images / 2).clamp(-1, 1))[0]
    assert torch.allclose(maps.pooled, pooled, atol=1e-3)  # ONNX Runtime and PyTorch


def galileo() -> PublishedTeacher:
    torch.manual_seed(0)
    return PublishedTeacher(Galileo(GalileoConfig(16, 2, 2)))


def test_an_encoder_teaches_the_sensors_that_it_reads() -> None:
    teacher = galileo()
    readable = {name: bool(teacher.readable_inputs(get_sensor(name))) for name in ("sentinel2-l2a", "rgb", "thermal")}
    assert readable == {"sentinel2-l2a": True, "rgb": True, "thermal": False}
    images = batch("sentinel2-l2a", 16, 2)
    maps = teacher(images, backbone().patches(images, 4), "bands")
    features = teacher.encoder(images, 4)
    assert torch.equal(maps.pooled, features.pooled)
    wanted = torch.nn.functional.layer_norm(features.tokens, (16,))
    assert torch.allclose(maps.maps[0].flatten(2).transpose(1, 2), wanted, atol=1e-5)


def test_a_teacher_says_nothing_of_what_it_does_not_know() -> None:
    one = TeacherConfig("galileo.pt", weight=0.5, sensors=["sentinel2-l2a", "thermal"])
    objective = Distillation(DistillationConfig(teachers=[one]), 8, [galileo()])
    tokens = torch.randn(2, 16, 8, generator=seeded())
    items = [encoded_views(batch(name, images=2), tokens) for name in ("sentinel2-l2a", "rgb", "thermal")]
    known, left_out, unknown = objective(EncodedStep(items), seeded())
    assert 0.5 < float(known.detach()) < 1.5  # two cosine distances of about 1, times a half
    assert float(left_out) == float(unknown) == 0.0


def test_two_teachers_add_up() -> None:
    tokens = torch.randn(2, 16, 8, generator=seeded())
    step = EncodedStep([encoded_views(batch("naip", images=2), tokens)])
    config = DistillationConfig(teachers=[TeacherConfig("a"), TeacherConfig("b", weight=2.0)])
    both = Distillation(config, 8, [galileo(), galileo()]).eval()
    both.students[1].load_state_dict(both.students[0].state_dict())
    (total,) = both(step, seeded())
    one = both.students[0](step.batches[0], seeded())
    assert float(total.detach()) == pytest.approx(3 * float(one.detach()), rel=1e-5)
    with pytest.raises(ConfigError, match="weight is 0"):
        TeacherConfig("a", weight=0)
