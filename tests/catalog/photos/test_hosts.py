import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from item_embed.catalog.photos import hosts as module
from item_embed.catalog.photos.hosts import MOST_FAILURES, MOST_FAILURES_UNMET, Hosts, Manners
from item_embed.catalog.photos.reasons import GIVEN_UP, STOPPED

_FAST = Manners(0.0, 4)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(hosts: Hosts[str]) -> tuple[str, str]:
    found = hosts.take()
    assert found is not None
    return found


def test_a_host_gets_one_job_at_a_time_until_it_has_answered_and_then_several() -> None:
    hosts: Hosts[str] = Hosts(Clock())
    for number in range(9):
        hosts.add("a", _FAST, f"a{number}", first="robots" if number == 0 else None)
    hosts.add("b", _FAST, "b0")
    assert taken(hosts) == ("a", "robots")
    assert taken(hosts) == ("b", "b0")
    hosts.done("a")
    assert [taken(hosts)[1] for _ in range(4)] == ["a0", "a1", "a2", "a3"]
    hosts.add("c", _FAST, "c0")
    assert taken(hosts) == ("c", "c0")  # a has four under way
    hosts.done("a")
    assert taken(hosts) == ("a", "a4")


def test_a_rate_is_kept_and_the_others_go_on() -> None:
    clock = Clock()
    hosts: Hosts[str] = Hosts(clock)
    for number in range(3):
        hosts.add("a", Manners(0.5, 4), f"a{number}")
    assert taken(hosts) == ("a", "a0")
    hosts.done("a")
    hosts.add("b", _FAST, "b0")
    assert taken(hosts) == ("b", "b0")
    clock.now += 0.5
    assert taken(hosts) == ("a", "a1")


def test_a_pause_and_a_longer_interval_are_kept() -> None:
    clock = Clock()
    hosts: Hosts[str] = Hosts(clock)
    for number in range(3):
        hosts.add("a", _FAST, f"a{number}")
    began = []
    for pause, interval in ((7.0, 0.0), (0.0, 3.0), (0.0, 0.0)):
        began.append(clock.now)
        assert taken(hosts)[0] == "a"
        hosts.done("a", pause=pause, interval=interval)
        clock.now += max(pause, interval)
    hosts.add("a", _FAST, "a3")
    hosts.add("b", _FAST, "b0", wait=2.9)
    clock.now += 2.95
    assert taken(hosts)[1] == "b0"
    clock.now += 0.1
    assert taken(hosts)[1] == "a3"
    assert began == [100.0, 107.0, 110.0]


def test_what_is_next_in_line_goes_first_and_what_waits_goes_later() -> None:
    clock = Clock()
    hosts: Hosts[str] = Hosts(clock)
    hosts.add("a", _FAST, "later", wait=1.0)
    hosts.add("a", _FAST, "now")
    hosts.add("a", _FAST, "first", next_in_line=True)
    for expected in ("first", "now"):
        assert taken(hosts)[1] == expected
        hosts.done("a")
    clock.now += 1
    assert taken(hosts)[1] == "later"


@pytest.mark.parametrize("answered", [True, False])
def test_a_host_that_fails_again_and_again_is_given_up(answered: bool) -> None:
    hosts: Hosts[str] = Hosts(Clock())
    most = MOST_FAILURES if answered else MOST_FAILURES_UNMET
    for number in range(50):
        hosts.add("a", _FAST, f"a{number}")
    for failed in [True] * 7 + [False] if answered else []:
        taken(hosts)
        assert hosts.done("a", failed=failed) == []
    for _ in range(most - 1):
        taken(hosts)
        assert hosts.done("a", failed=True) == []
    taken(hosts)
    dropped = hosts.done("a", failed=True)
    assert len(dropped) == 50 - most - (8 if answered else 0)
    assert hosts.add("a", _FAST, "more") == GIVEN_UP
    assert hosts.add("b", _FAST, "b0") is None
    assert taken(hosts) == ("b", "b0")


def test_a_refused_host_is_refused_at_once() -> None:
    hosts: Hosts[str] = Hosts(Clock())
    hosts.add("a", _FAST, "a0", first="robots")
    taken(hosts)
    assert hosts.done("a", refused="for a reason") == ["a0"]
    assert hosts.add("a", _FAST, "a1") == "for a reason"


def test_closing_hands_back_what_nobody_took_and_wakes_who_waits() -> None:
    hosts: Hosts[str] = Hosts()
    found: list[object] = []
    waiting = [threading.Thread(target=lambda: found.append(hosts.take())) for _ in range(3)]
    hosts.add("a", _FAST, "a0", wait=60.0)
    for thread in waiting:
        thread.start()
    assert hosts.close() == ["a0"]
    for thread in waiting:
        thread.join(5)
    assert found == [None] * 3
    assert hosts.add("a", _FAST, "a1") == STOPPED


def test_idle_hosts_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_HOSTS", 10)
    hosts: Hosts[str] = Hosts(Clock())
    hosts.add("busy", _FAST, "x")
    taken(hosts)
    for number in range(100):
        hosts.add(f"host-{number}", _FAST, "x")
        taken(hosts)
        hosts.done(f"host-{number}")
    assert len(hosts._hosts) <= 11
    assert hosts.done("busy") == []


@settings(deadline=None, max_examples=20)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.002, 0.01])), max_size=40),
    st.integers(1, 4),
)
def test_every_job_is_handed_out_once_and_never_too_many_at_a_time(jobs: list[tuple[str, float]], workers: int) -> None:
    hosts: Hosts[int] = Hosts()
    manners = Manners(0.0005, 2)
    finished: list[int] = []
    active = dict.fromkeys("abc", 0)
    lock = threading.Lock()

    def work() -> None:
        while (found := hosts.take()) is not None:
            name, job = found
            with lock:
                active[name] += 1
                assert active[name] <= 2
            time.sleep(0.0002)
            with lock:
                active[name] -= 1
                finished.append(job)
            hosts.done(name)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for number, (name, wait) in enumerate(jobs):
        hosts.add(name, manners, number, wait=wait)
    end = time.monotonic() + 5
    while len(finished) < len(jobs) and time.monotonic() < end:
        time.sleep(0.001)
    hosts.close()
    for thread in threads:
        thread.join(5)
    assert sorted(finished) == list(range(len(jobs)))
