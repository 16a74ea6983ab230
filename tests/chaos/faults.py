"""The faults: each takes a field with no scorer running and leaves it so, having counted what it saw happen."""

from __future__ import annotations

import random
import signal
import time

from field import Field, stop
from proxy import END_TXN, NAMES, Act, once
from scorers import KILLED, wait_until

from fraudstream.failpoints import POINTS

AT_THE_END = ("drain", "revoke", "mid-snapshot", "before-folder-sync")
"""Points that a scorer passes when it is asked to end."""
IN_A_LIFE = tuple(point for point in POINTS if point not in AT_THE_END)
MOST_S = 30.0


def at_failpoint(field: Field, point: str, number: int = 1, delay_ms: int = 0) -> bool:
    """Death at a failpoint; False where the scorer never came by, and was killed at another moment."""
    if point == "replay":
        after_progress(field)  # commits that no snapshot holds
    scorer = field.scorers.start(f"{point}:{number}:{delay_ms}")
    field.saw("restarts")
    if point in AT_THE_END:
        field.progress(20)
        scorer.send(signal.SIGTERM)
    code = scorer.wait(MOST_S)
    if code == KILLED:
        field.died(point)
        return True
    if code is None:
        stop(scorer)
        field.died("elsewhere")
    else:
        field.saw(f"ended_with_{code}")
    return False


def after_progress(field: Field) -> None:
    """Death in the middle of ordinary work."""
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    stop(scorer)
    field.died("after_progress")


def at_any_moment(field: Field, dice: random.Random) -> None:
    """Death at a random moment, be it before, in or long after the start."""
    scorer = field.scorers.start()
    field.saw("restarts")
    if dice.random() < 0.5:
        field.progress()
    time.sleep(dice.expovariate(3))
    stop(scorer)
    if scorer.code == KILLED:
        field.died("any_moment")
    else:
        field.saw(f"ended_with_{scorer.code}")


def end_in_order(field: Field) -> None:
    """SIGTERM after some progress: a snapshot is left, for what comes."""
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    scorer.send(signal.SIGTERM)
    code = scorer.wait(MOST_S)
    field.saw("drained" if code == 0 else f"ended_with_{code}")
    if code is None:
        stop(scorer)


def zombie(field: Field, seconds: float) -> None:
    """A scorer is stopped, another takes its place, and the first wakes up."""
    first = field.scorers.start()
    field.progress(20)
    first.send(signal.SIGSTOP)
    second = field.scorers.start()
    field.saw("restarts")
    stopped_at = time.monotonic()
    field.progress(20)
    time.sleep(max(0.0, seconds - (time.monotonic() - stopped_at)))
    first.send(signal.SIGCONT)
    field.progress(20)
    code = first.wait(60)
    field.saw("zombies")
    field.saw("fenced" if code == 4 else f"zombie_ended_with_{code}")
    for scorer in (first, second):
        stop(scorer)
    field.died("zombie")


def sleeper(field: Field, seconds: float) -> None:
    """A scorer is stopped past its session and its transaction's time, alone, and goes on."""
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    scorer.send(signal.SIGSTOP)
    time.sleep(seconds)
    scorer.send(signal.SIGCONT)
    field.saw("sleeps")
    field.goes_on(scorer, "sleep")
    stop(scorer)
    field.died("sleeper")


def broker_killed(field: Field) -> None:
    """The broker dies under load and comes back; the scorer lives through it."""
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    field.kill_broker()
    field.goes_on(scorer, "broker_kill")
    stop(scorer)
    field.died("after_broker_kill")


def broker_paused(field: Field, seconds: float) -> None:
    """The broker answers nothing for a while."""
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    field.pause_broker(seconds)
    field.goes_on(scorer, "broker_pause")
    stop(scorer)
    field.died("after_broker_pause")


def at_reply(field: Field, api: int, act: Act, times: int = 1) -> bool:
    """Something happens to requests of a kind while a scorer works; whether it went on by itself."""
    assert field.proxy is not None
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    before = field.proxy.saw(api, act)
    field.proxy.rule = once(api, act, times)
    happened = wait_until(lambda: field.proxy.saw(api, act) >= before + times, MOST_S)
    field.proxy.rule = lambda _: Act.PASS
    if happened:
        field.saw(f"{act.name}_{NAMES[api]}")
    if act is Act.HOLD:
        field.progress(5)
        field.proxy.release()
    went_on = field.goes_on(scorer, f"reply_{act.name.lower()}")
    stop(scorer)
    field.died("after_reply")
    return happened and went_on and scorer.code == KILLED


def killed_before_the_answer(field: Field) -> bool:
    """EndTxn reaches the broker, its answer does not come back, and the scorer dies: committed, and nobody knows."""
    assert field.proxy is not None
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    before = field.proxy.saw(END_TXN, Act.WITHHOLD)
    field.proxy.rule = once(END_TXN, Act.WITHHOLD)
    happened = wait_until(lambda: field.proxy.saw(END_TXN, Act.WITHHOLD) > before, MOST_S, 0.001)
    stop(scorer)
    field.proxy.rule = lambda _: Act.PASS
    field.died("before_the_answer")
    return happened


def wrong_clock(field: Field, hours: float, drift: float = 0.0) -> None:
    """A scorer works under a wall clock that is wrong, or runs too fast or too slow."""
    scorer = field.scorers.start(clock_ms=round(hours * 3_600_000), drift=drift)
    field.saw("restarts")
    field.saw("wrong_clocks")
    field.goes_on(scorer, "wrong_clock")
    stop(scorer)
    field.died("after_wrong_clock")


def partition(field: Field, seconds: float) -> None:
    """Nothing passes between scorer and broker for a while; then what waited arrives."""
    assert field.proxy is not None
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    field.proxy.network.part()
    time.sleep(seconds)
    field.proxy.network.heal()
    field.saw("partitions")
    field.goes_on(scorer, "partition")
    stop(scorer)
    field.died("after_partition")


def poor_network(field: Field, seconds: float, latency_s: float = 0.0, loss: float = 0.0) -> bool:
    """Everything takes longer, or packets are lost, for a while; whether the scorer went on working meanwhile."""
    assert field.proxy is not None
    scorer = field.scorers.start()
    field.saw("restarts")
    field.progress(20)
    network = field.proxy.network
    late = network.late
    network.latency_s, network.loss = latency_s, loss
    until = time.monotonic() + seconds
    worked = field.progress(20, 30)
    time.sleep(max(0.0, until - time.monotonic()))
    network.heal()
    if latency_s:
        field.saw("latency")
    if network.late > late:
        field.saw("loss")
    field.goes_on(scorer, "latency" if latency_s else "loss")
    stop(scorer)
    field.died("after_poor_network")
    return worked
