"""What `sclvi.allocation` promises, seen in processes of their own, as it cannot be undone."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc is asked to keep what is freed")

_FAULTS = """
import resource, sys, threading
import numpy as np
from sclvi.allocation import keep_freed_memory

def work():  # as maps come and go: some megabytes each, three at a time
    for _ in range(rounds):
        kept = [np.ones(2**20) for _ in range(3)]
        del kept

if sys.argv[1] == "keep":
    keep_freed_memory()
for rounds in (2, 50):  # the first is what a process needs in any case
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def some_pages() -> float:
    """A twentieth of those that are written to."""
    return 0.05 * (50 * 3 * 8 * 2**20 // os.sysconf("SC_PAGE_SIZE"))


def page_faults(asked: str, **variables: str) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")} | variables
    return int(subprocess.check_output([sys.executable, "-c", _FAULTS, asked], env=environment))


def test_memory_that_is_freed_is_not_cleared_again():
    assert page_faults("keep") < some_pages() < page_faults("leave")  # NumPy asks for huge pages, which are fewer


def test_what_a_user_chose_stays():
    chosen = {"MALLOC_ARENA_MAX": "8", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"}
    assert page_faults("keep", **chosen) > some_pages()
