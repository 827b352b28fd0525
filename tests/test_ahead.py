"""Work ahead of its use, compared with a plain loop."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sclvi.ahead import ahead


@given(st.lists(st.integers()), st.integers(0, 5), st.integers(1, 3))
def test_results_come_in_order_whoever_works(items, most, workers):
    with ThreadPoolExecutor(workers) as pool:
        assert list(ahead(pool, lambda item: item * 2, items, most)) == [item * 2 for item in items]


def test_the_next_items_are_worked_at_while_a_result_is_in_use_and_no_others_are_taken():
    taken, second_done = [], threading.Event()

    def items():
        for item in range(10):
            taken.append(item)
            yield item

    def work(item):
        if item == 1:
            second_done.set()
        return item

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, work, items(), 1)
        assert next(results) == 0 and second_done.wait(timeout=60)
        assert taken == [0, 1]
        results.close()
    assert taken == [0, 1]


def test_an_error_is_raised_in_its_turn():
    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, lambda item: 1 // item, [2, 1, 0, 1], 3)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ZeroDivisionError):
            next(results)


def test_closing_cancels_what_has_not_begun():
    begun, go = [], threading.Event()

    def work(item):
        begun.append(item)
        if item == 1:
            go.wait(timeout=60)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = ahead(pool, work, range(6), 5)
        assert next(results) == 0
        results.close()
        go.set()
    assert set(begun) <= {0, 1}
