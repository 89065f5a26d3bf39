"""The head against the full softmax and torch's own SGD."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="faceprint[train] is not installed")

from faceprint.errors import UsageError  # noqa: E402
from faceprint.training.head import ClassHead  # noqa: E402
from faceprint.training.margins import ArcFace  # noqa: E402


def _head(rate: float, classes: int = 12) -> ClassHead:
    torch.manual_seed(3)
    return ClassHead(6, classes, ArcFace(0.3, 8.0), sample_rate=rate)


def _batch(seed: int) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(5, 6, generator=generator)
    return embeddings, torch.randint(12, (5,), generator=generator)


def test_every_class_sampled_equals_the_full_softmax_with_torchs_sgd() -> None:
    head = _head(1.0)
    weight = head.weight.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=1e-3)
    unit = torch.nn.functional.normalize
    for seed in range(4):
        embeddings, labels = _batch(seed)
        head.choose(labels)
        ours = head(embeddings, labels)
        ours.backward()
        cosines = unit(embeddings) @ unit(weight).t()
        target = torch.cos(torch.acos(cosines[range(5), labels]) + 0.3)
        logits = 8 * cosines.index_put((torch.arange(5), labels), target)
        full = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        full.backward()
        assert ours.item() == pytest.approx(full.item(), rel=1e-5)
        torch.testing.assert_close(head.centers.grad, weight.grad, rtol=1e-4, atol=1e-6)
        head.step(0.1, 0.9, 1e-3)
        optimizer.step()
        torch.testing.assert_close(head.weight, weight, rtol=1e-4, atol=1e-6)


def test_a_sample_holds_the_batchs_people_and_fills_up_with_others() -> None:
    head = _head(0.5)
    labels = torch.tensor([7, 2, 7])
    generator = torch.Generator().manual_seed(0)
    draws = []
    for _ in range(50):
        head.choose(labels, generator)
        drawn = head.sampled
        draws.append(drawn)
        assert torch.equal(head.centers, head.weight[drawn])
        assert len(drawn) == 6 == len(drawn.unique())
        assert {2, 7} <= set(drawn.tolist())
        assert (drawn.diff() > 0).all()
    assert {number for drawn in draws for number in drawn.tolist()} == set(range(12))


def test_a_batch_with_more_people_than_the_sample_keeps_all_of_them() -> None:
    labels = torch.arange(9)
    head = _head(0.25)
    head.choose(labels)
    assert head.sampled.tolist() == list(range(9))


def test_centers_outside_the_sample_stay_as_they_are() -> None:
    head = _head(0.5)
    head.velocity.fill_(1.0)
    before = head.weight.clone()
    embeddings, labels = _batch(0)
    head.choose(labels, torch.Generator().manual_seed(1))
    sampled = head.sampled
    head(embeddings, labels).backward()
    head.step(0.1, 0.9, 1e-3)
    rest = [i for i in range(12) if i not in sampled.tolist()]
    assert torch.equal(head.weight[rest], before[rest])
    assert (head.velocity[rest] == 1.0).all()
    assert not torch.isclose(head.weight[sampled], before[sampled]).all(dim=1).any()


def test_a_sampled_loss_is_the_softmax_over_the_sample() -> None:
    head = _head(0.5)
    embeddings, labels = _batch(2)
    head.choose(labels, torch.Generator().manual_seed(1))
    sampled = head.sampled
    small = ClassHead(6, len(sampled), ArcFace(0.3, 8.0))
    small.weight.copy_(head.weight[sampled])
    places = torch.tensor([sampled.tolist().index(label) for label in labels.tolist()])
    small.choose(places)
    expected = small(embeddings, places)
    assert head(embeddings, labels).item() == pytest.approx(expected.item(), rel=1e-6)


def test_batches_of_one_update_add_their_gradients() -> None:
    embeddings, labels = _batch(4)
    whole, parts = _head(0.5), _head(0.5)
    for head in (whole, parts):
        head.choose(labels, torch.Generator().manual_seed(1))
    whole(embeddings, labels).backward()
    for rows in (slice(0, 2), slice(2, 5)):
        share = (rows.stop - rows.start) / 5
        (parts(embeddings[rows], labels[rows]) * share).backward()
    torch.testing.assert_close(parts.centers.grad, whole.centers.grad)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1.5])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="sample_rate"):
        _head(rate)


def test_one_person_is_refused() -> None:
    with pytest.raises(UsageError, match="two"):
        _head(1.0, classes=1)
