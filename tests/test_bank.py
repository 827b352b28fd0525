import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from sclvi.memory import comparison
from sclvi.memory.bank import MemoryBank, items_within


def clustered(count, seed=0, length=64):
    """Codes on a smooth three-dimensional sheet with some noise, as those of patches are."""
    rng = np.random.default_rng(seed)
    frequencies = np.random.default_rng(99).normal(size=(3, length))
    codes = np.cos(rng.uniform(-3, 3, (count, 3)) @ frequencies) + 0.03 * rng.normal(size=(count, length))
    return torch.from_numpy(codes).float() / 10


def exact(memory, queries, eta):
    """scikit-learn on the codes as the bank holds them: in half precision."""
    search = NearestNeighbors(n_neighbors=eta, algorithm="brute").fit(memory.half().double().numpy())
    distances, items = search.kneighbors(queries.double().numpy())
    return torch.from_numpy(distances).float(), torch.from_numpy(items)


def test_small_memory_is_searched_exactly():
    memory, queries = clustered(3000), clustered(200, seed=1)
    near = MemoryBank.build(memory, torch.arange(3000), seed=0).search(queries, 10)
    distances, items = exact(memory, queries, 10)
    torch.testing.assert_close(near.distances, distances, rtol=1e-4, atol=1e-5)
    assert (near.origins == items).float().mean() > 0.999  # equal distances may change places
    torch.testing.assert_close(near.codes, memory[near.origins], rtol=2**-10, atol=1e-6)  # half precision


def test_large_memory_finds_nearly_all_true_neighbours_and_true_distances():
    memory, queries = clustered(30_000), clustered(300, seed=1)
    near = MemoryBank.build(memory, torch.arange(30_000), seed=0).search(queries, 10)
    _, items = exact(memory, queries, 10)
    found = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near.origins.tolist(), items.tolist(), strict=True)])
    assert found > 0.9
    true = (queries[:, None] - memory.half().float()[near.origins]).norm(dim=2)
    torch.testing.assert_close(near.distances, true, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("count", [500, 25_000])
def test_a_picture_can_be_kept_from_finding_itself(count):
    memory = clustered(count)
    origins = torch.arange(count) * 3  # as after sampling
    bank = MemoryBank.build(memory, origins, seed=0)
    without = (300, 900)
    near = bank.search(memory[100:300], 5, without)
    assert not ((near.origins >= without[0]) & (near.origins < without[1])).any()
    assert (bank.search(memory[100:300], 1).origins[:, 0] == origins[100:300]).float().mean() > 0.99


def test_what_only_one_picture_shows_is_compared_with_the_others_all_the_same():
    alike, odd = clustered(24_000), clustered(2000, seed=1) + 5  # the lists near it hold nothing but its own patches
    memory = torch.cat([alike, odd])
    bank = MemoryBank.build(memory, torch.arange(26_000), seed=0)
    near = bank.search(torch.cat([odd[:20], alike[:20]]), 10, (24_000, 26_000))
    distances, _ = exact(alike, odd[:20], 10)
    torch.testing.assert_close(near.distances[:20], distances, rtol=1e-3, atol=1e-3)
    assert (near.origins >= 0).all() and (near.origins < 24_000).all()
    assert near.distances[20:, 0].max() < 0.01  # which are their own


def test_more_neighbours_than_items_are_marked_missing():
    near = MemoryBank.build(clustered(3), torch.arange(3), seed=0).search(clustered(4, seed=1), 10)
    assert near.distances.isinf().sum(1).tolist() == [7] * 4
    assert (near.origins[:, 3:] == -1).all()
    assert near.codes.isfinite().all()


def test_bytes_round_trip_keeps_every_result():
    memory, queries = clustered(25_000), clustered(50, seed=1)
    bank = MemoryBank.build(memory, torch.arange(25_000), seed=0)
    again = MemoryBank.from_bytes(bank.to_bytes(), bank.origins)
    for before, after in zip(
        bank.search(queries, 10).__dict__.values(), again.search(queries, 10).__dict__.values(), strict=True
    ):
        assert torch.equal(before, after)


@pytest.mark.parametrize(("count", "length"), [(25_000, 64), (25_000, 66), (10, 66), (10, 3)])
def test_codes_lie_at_whole_words_in_what_is_written(count, length):
    codes = clustered(count, length=length).half().float()  # which FAISS rounds otherwise than torch
    bank = MemoryBank.build(codes, torch.arange(count), seed=0)
    written = bank.to_bytes()
    assert len(written) % 8 == 0
    items = np.arange(count)
    assert torch.equal(bank.codes_of(items), codes)
    room = np.empty(len(written) + 8, np.uint8)
    start = -room.ctypes.data % 8
    room[start : start + len(written)] = written
    again = MemoryBank.from_bytes(room[start : start + len(written)], bank.origins)
    assert torch.equal(again.codes_of(items), codes)
    room[start + 1 : start + 1 + len(written)] = written
    with pytest.raises(ValueError, match="whole words"):
        MemoryBank.from_bytes(room[start + 1 : start + 1 + len(written)], bank.origins)


@pytest.mark.parametrize("places", [0, 8])
def test_budget_counts_what_the_index_takes(places):
    codes = torch.cat([clustered(30_000), torch.zeros(30_000, places)], dim=1)
    bank = MemoryBank.build(codes, torch.arange(30_000), seed=0)
    size = (len(bank.to_bytes()) + bank.origins.nbytes) / 2**20
    assert size == pytest.approx(bank.mebibytes, rel=0.05)
    assert items_within(bank.mebibytes, codes.shape[1]) == pytest.approx(30_000, abs=1)


@pytest.mark.parametrize("hidden", [range(0, 0), range(30, 90), range(3, 200)])
def test_every_item_is_compared_chunk_by_chunk(monkeypatch, hidden):
    generator = torch.Generator().manual_seed(0)
    codes, queries = (100 + torch.randn(count, 8, generator=generator) for count in (200, 7))
    monkeypatch.setattr(comparison, "_AT_ONCE", 7 * 64)
    squared, items = comparison.nearest_of_all(queries, codes.half(), 5, hidden)
    slow = (queries[:, None].double() - codes.half().double()).square().sum(2)
    slow[:, hidden.start : hidden.stop] = np.inf
    expected, order = slow.sort(1)
    there = (expected[:, :5] < np.inf).numpy()
    np.testing.assert_allclose(squared.numpy()[there], expected[:, :5].numpy()[there], rtol=1e-5)
    assert (items.numpy()[there] == order[:, :5].numpy()[there]).all()
    assert (items.numpy()[~there] == -1).all() and np.isinf(squared.numpy()[~there]).all()


def test_a_gpu_finds_what_faiss_finds(monkeypatch):
    """A GPU's way, on the CPU."""
    generator = torch.Generator().manual_seed(0)
    codes, queries = (torch.randn(count, 64, generator=generator) for count in (300, 9))
    bank = MemoryBank.build(codes, torch.arange(300) // 10, 0)
    found = bank.search(queries, 4, without=(5, 9))
    monkeypatch.setattr(MemoryBank, "_on_gpu", codes.half())
    again = bank.search(queries, 4, without=(5, 9))
    assert torch.equal(again.origins, found.origins)
    torch.testing.assert_close(again.distances, found.distances)
