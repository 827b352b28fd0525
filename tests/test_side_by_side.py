"""Batches side by side, compared with a plain loop."""

import threading

import faiss
import pytest
import torch

from sclvi.side_by_side import side_by_side


@pytest.fixture(params=[1, 2, 5, 8])
def threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_results_come_in_order(threads, count):
    assert list(side_by_side(lambda item: item * 2, range(count))) == [item * 2 for item in range(count)]


def test_items_share_the_threads_and_give_them_back(threads):
    def allowed(_):
        return torch.get_num_threads(), faiss.omp_get_max_threads()

    shares = set(side_by_side(allowed, range(9)))
    if threads == 1:
        assert len(shares) == 1
    else:
        assert shares == {(max(1, threads // 4), max(1, threads // 4))}
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert torch.get_num_threads() == threads and later == [threads]


@pytest.mark.parametrize("threads", [2], indirect=True)
def test_several_are_worked_at_together(threads):
    both = threading.Barrier(threads, timeout=60)  # broken, were one item done after the other
    assert len(list(side_by_side(lambda _: both.wait(), range(4)))) == 4


def test_an_item_alone_is_worked_at_here(threads):
    assert list(side_by_side(lambda _: threading.current_thread(), [0])) == [threading.current_thread()]


def test_an_error_is_raised_in_its_turn(threads):
    results = side_by_side(lambda item: 1 // item, [1, 0, 1])
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert torch.get_num_threads() == threads
