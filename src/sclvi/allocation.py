"""How the C library hands out memory, which decides how often the system has to clear some."""

import ctypes
import os

# glibc's malloc.h: the option, and the variable by which a user may have set it
_ONE_HEAP = ("MALLOC_ARENA_MAX", -8, 1)  # that of a thread cannot grow, and is given back as soon as it is empty
_FROM_THE_HEAP = ("MALLOC_MMAP_THRESHOLD_", -3, 2**25)  # bytes, up to which blocks lie in it: the most that glibc takes
_KEPT = ("MALLOC_TRIM_THRESHOLD_", -1, 2**30)  # bytes that stay when they are freed


def keep_freed_memory() -> None:
    """Freed memory stays with this process, in one heap for all threads; where the C library is not glibc, as before.

    Maps and what layers answer are megabytes that are freed and asked for again at every step. Otherwise they go back
    to the system, which clears each page anew: up to a tenth of an inspection. To be called before there are threads
    that work. Training would take some percent more memory at most.
    """
    try:
        choose = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or none of that name
        return
    for variable, option, value in (_ONE_HEAP, _FROM_THE_HEAP, _KEPT):
        if variable not in os.environ:
            choose(option, value)
