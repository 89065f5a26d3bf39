"""The margins against their papers' equations, pytorch-metric-learning and finite differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.training.margins import AdaFace, ArcFace, CosFace  # noqa: E402

ANGLES = np.radians([10.0, 60.0, 90.0, 140.0, 160.0])


def _cosines() -> Any:
    """Hand-made: the true class of row i is i % 3, at ANGLES[i]; the others at fixed cosines."""
    rows = np.tile([0.1, -0.2, 0.3], (len(ANGLES), 1))
    labels = np.arange(len(ANGLES)) % 3
    rows[np.arange(len(ANGLES)), labels] = np.cos(ANGLES)
    return torch.tensor(rows, dtype=torch.float64), torch.tensor(labels)


def _check(logits: Any, target: list[float], scale: float) -> None:
    cosines, labels = _cosines()
    expected = scale * cosines.numpy()
    expected[np.arange(len(target)), labels.numpy()] = scale * np.asarray(target)
    np.testing.assert_allclose(logits.numpy(), expected, atol=1e-9)


def test_arcface_is_the_cosine_of_the_angle_and_the_margin() -> None:
    cosines, labels = _cosines()
    logits = ArcFace(0.5, 64.0)(cosines, labels, torch.ones(5))
    target = [math.cos(a + 0.5) for a in ANGLES[:4]]
    target.append(math.cos(ANGLES[4]) - 0.5 * math.sin(0.5))  # 160 degrees + 0.5 > pi
    _check(logits, target, 64.0)


def test_arcface_falls_with_the_angle_everywhere() -> None:
    cosines = torch.cos(torch.linspace(0, math.pi, 500, dtype=torch.float64))[:, None]
    labels = torch.zeros(500, dtype=torch.int64)
    logits = ArcFace(0.5, 1.0)(cosines, labels, torch.ones(500))[:, 0]
    assert (logits.diff() < 0).all()


def test_cosface_is_the_cosine_less_the_margin() -> None:
    cosines, labels = _cosines()
    logits = CosFace(0.35, 30.0)(cosines, labels, torch.ones(5))
    _check(logits, [math.cos(a) - 0.35 for a in ANGLES], 30.0)


def test_adaface_moves_and_subtracts_by_the_standardized_length() -> None:
    cosines, labels = _cosines()
    margin = AdaFace(0.4, 64.0, concentration=0.333).eval()
    margin.mean.fill_(20.0)
    margin.deviation.fill_(10.0)
    lengths = torch.tensor([1.0, 20.0, 25.0, 95.0, 1.0], dtype=torch.float64)
    logits = margin(cosines, labels, lengths)
    z = np.clip((lengths.numpy() - 20.0) / 10.001 * 0.333, -1, 1)
    assert z[3] == 1.0
    angle = np.clip(ANGLES - 0.4 * z, 0, math.pi)
    target = np.cos(angle) - (0.4 * z + 0.4)
    _check(logits, target.tolist(), 64.0)


def test_adaface_with_the_longest_embeddings_keeps_the_angle_at_zero() -> None:
    margin = AdaFace(0.4, 1.0).eval()
    cosines = torch.tensor([[math.cos(0.1), 0.0]], dtype=torch.float64)
    margin.mean.fill_(1.0)
    margin.deviation.fill_(0.1)
    logits = margin(cosines, torch.tensor([0]), torch.tensor([90.0]))
    assert logits[0, 0].item() == pytest.approx(1 - 0.8, abs=1e-9)


def test_adaface_follows_the_lengths_of_training_batches() -> None:
    margin = AdaFace(momentum=0.01)
    lengths = torch.tensor([10.0, 14.0])
    margin(torch.zeros(2, 2), torch.tensor([0, 1]), lengths)
    assert margin.mean.item() == pytest.approx(0.99 * 20 + 0.01 * 12)
    assert margin.deviation.item() == pytest.approx(0.99 * 100 + 0.01 * math.sqrt(8), rel=1e-5)
    margin.eval()
    margin(torch.zeros(2, 2), torch.tensor([0, 1]), lengths)
    assert margin.mean.item() == pytest.approx(0.99 * 20 + 0.01 * 12)


@pytest.mark.parametrize("margin", [ArcFace(0.5, 4.0), CosFace(0.35, 4.0), AdaFace(0.4, 4.0)])
def test_gradients_agree_with_finite_differences(margin: Any) -> None:
    margin = margin.double().eval()
    cosines, labels = _cosines()
    lengths = torch.tensor([1.0, 60.0, 20.0, 95.0, 5.0], dtype=torch.float64)

    def loss(values: Any) -> Any:
        return torch.nn.functional.cross_entropy(margin(values, labels, lengths), labels)

    assert torch.autograd.gradcheck(loss, (cosines.requires_grad_(),), eps=1e-6, atol=1e-6)


@pytest.mark.parametrize("margin", [ArcFace(), CosFace(), AdaFace()])
@pytest.mark.parametrize("cosine", [1.0, -1.0])
def test_the_gradient_is_finite_on_the_center_and_opposite(margin: Any, cosine: float) -> None:
    cosines = torch.tensor([[cosine, 0.0]], requires_grad=True)
    margin(cosines, torch.tensor([0]), torch.tensor([20.0])).sum().backward()
    assert torch.isfinite(cosines.grad).all()


def test_arcface_and_cosface_agree_with_pytorch_metric_learning() -> None:
    losses = pytest.importorskip(
        "pytorch_metric_learning.losses", reason="pytorch-metric-learning is not installed"
    )
    embeddings = torch.randn(32, 8, dtype=torch.float64, generator=torch.manual_seed(1))
    labels = torch.arange(32) % 5
    for ours, theirs in (
        (ArcFace(0.5, 16.0), losses.ArcFaceLoss(5, 8, margin=math.degrees(0.5), scale=16)),
        (CosFace(0.35, 16.0), losses.CosFaceLoss(5, 8, margin=0.35, scale=16)),
    ):
        other = theirs(embeddings, labels)
        unit = torch.nn.functional.normalize
        cosines = unit(embeddings) @ unit(theirs.W.detach().double().t()).t()
        logits = ours(cosines, labels, embeddings.norm(dim=1))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        assert loss.item() == pytest.approx(other.item(), rel=1e-9)
