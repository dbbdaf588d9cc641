"""What is stopped, in memory."""

from __future__ import annotations

import threading

from proxy.stopped import Stopped
from review.model import StopScope
from tests.proxy.builders import stop_of


def test_stops_add_up_and_each_is_dropped_by_itself() -> None:
    stopped = Stopped()
    one, two = stop_of(StopScope.AGENT, "demo"), stop_of(StopScope.SERVER, "payments", id="stop_2")
    assert stopped.over("demo", "payments") is None
    assert [stopped.add(one), stopped.add(two), stopped.add(one)] == [True, True, False]
    assert stopped.over("demo", "files") == one
    stopped.drop("stop_1")
    assert stopped.over("demo", "files") is None
    assert stopped.over("demo", "payments") == two
    assert stopped.all() == (two,)


def test_a_stop_ordered_in_another_thread_is_in_force_for_all_at_once() -> None:
    stopped = Stopped()
    threads = [threading.Thread(target=stopped.add, args=[stop_of(id=f"stop_{n}")]) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stopped.all()) == 20
