"""Files of models: what is wrong with one is said in one line, with its key."""

import re
from pathlib import Path

import numpy as np
import pytest

from simulators.models.declared import DeclaredModel
from simulators.models.library import model, shipped
from simulators.models.reading import SpecError, read_spec

HEAD = 'name = "made"\nprefix = "made"\n'
CURVE = '[metrics.t]\nkind = "curve"\nbase = 20\n'
STATES = '[states]\ncycle = "1m"\nsteps = [{ state = "off", lasts = "10s" }, { state = "on" }]\n'
EVENT = '[events.hot]\nmetric = "t"\nevery = "1m"\nlength = "10s"\npeak = 90\n'
NO_DURATION = "is no duration: write whole numbers with d, h, m, s or ms, like 0s, 30s or 1h30m"
NO_SUM = "is no curve that can be summed up: it may have neither swing nor factors, and never be below 0"
NO_TAG = (
    "does not match any of the expected tags: "
    "'curve', 'derived', 'decay', 'counter', 'track', 'state', 'boolean', 'text'"
)
NAME = "'^[a-z][a-z0-9_]{0,63}$'"
MISTAKES = [
    ("name = \n", "Invalid value (at line 1, column 8)"),
    ('prefix = "a"\n' + CURVE, "name: field required"),
    (HEAD, "metrics: field required"),
    (HEAD + CURVE + "bsae = 3\n", "metrics.t.bsae: extra inputs are not permitted"),
    (HEAD + CURVE.replace("20", '"warm"'), "metrics.t.base: input should be a valid number"),
    (HEAD + CURVE.replace("20", "[3, 2]"), "metrics.t.base: 3.0 is more than 2.0: write [low, high]"),
    (HEAD + CURVE.replace("20", "[1, 2, 3]"), "metrics.t.base: write one, or the lowest and the highest: [low, high]"),
    (HEAD + CURVE.replace("20", "inf"), "metrics.t.base: has to be a number that is finite"),
    (HEAD + CURVE + "noise = -1\n", "metrics.t.noise: input should be greater than or equal to 0"),
    (HEAD + CURVE + "noise = true\n", "metrics.t.noise: input should be a valid number"),
    (HEAD + CURVE + "day = [1, 2]\n", "metrics.t.day: list should have at least 24 items after validation, not 2"),
    (HEAD + CURVE + "least = 5\nmost = 3\n", "metrics.t.least: is more than most"),
    (HEAD + CURVE + "factors = { off = 0 }\n", "metrics.t.factors.off: there is no step of this state"),
    (
        HEAD + CURVE + 'drift = { size = 1, period = "1 hour" }\n',
        f"metrics.t.drift.period: '1 hour' {NO_DURATION}",
    ),
    (
        HEAD + CURVE + "drift = { size = 1, period = 60 }\n",
        "metrics.t.drift.period: write a duration, like '30s' or '5m'",
    ),
    (HEAD + CURVE + 'drift = { size = 1, period = "0s" }\n', "metrics.t.drift.period: has to be more than 0s"),
    (HEAD + CURVE.replace("[metrics.t]", "[metrics.T]"), f"metrics.T: string should match pattern {NAME}"),
    (HEAD + '[metrics.h]\nkind = "derived"\nterms = { t = 1 }\n', "metrics.h.terms: there is no number 't'"),
    (HEAD + CURVE + '[metrics.h]\nkind = "derived"\nover = "u"\n', "metrics.h.over: there is no number 'u'"),
    (
        HEAD + '[metrics.a]\nkind = "derived"\ntimes = "b"\n[metrics.b]\nkind = "derived"\ntimes = "a"\n',
        "metrics: a needs b needs a",
    ),
    (
        HEAD + CURVE + 'swing = 1\n[metrics.n]\nkind = "counter"\nof = "t"\nper = "1h"\n',
        f"metrics.n.of: 't' {NO_SUM}",
    ),
    (HEAD + '[metrics.s]\nkind = "state"\n', "metrics.s: there is no [states] in this model"),
    (HEAD + '[metrics.x]\nkind = "track"\ngives = "heading"\n', "metrics.x: there is no [track] in this model"),
    (HEAD + STATES + '[metrics.b]\nkind = "boolean"\nstates = ["of"]\n', "metrics.b.states: there is no state 'of'"),
    (
        HEAD + CURVE + '[metrics.b]\nkind = "boolean"\nabove = { metric = "u", value = 1 }\n',
        "metrics.b.above.metric: there is no number 'u'",
    ),
    (
        HEAD + STATES + CURVE + '[metrics.b]\nkind = "boolean"\nstates = ["on"]\nabove = { metric = "t", value = 1 }\n',
        "metrics.b: give one of states, above and below",
    ),
    (HEAD + CURVE.replace("curve", "curv"), f"metrics.t: input tag 'curv' found using 'kind' {NO_TAG}"),
    (HEAD + STATES.replace("10s", "2m") + CURVE, "states.cycle: is shorter than its steps may be together"),
    (
        HEAD + STATES.replace(', lasts = "10s"', "") + CURVE,
        "states.steps.0.lasts: only the last step has the rest of the cycle",
    ),
    (
        HEAD + STATES.replace('"on"', '"on", lasts = "1s"') + CURVE,
        "states.steps.1.lasts: the last step has the rest of the cycle",
    ),
    (
        HEAD + CURVE + EVENT.replace('"t"', '"u"'),
        "events.hot.metric: 'u' is no curve, derived, decay or boolean metric",
    ),
    (HEAD + CURVE + EVENT.replace("peak = 90\n", ""), "events.hot.peak: is missing"),
    (HEAD + CURVE + EVENT.replace("10s", "2m"), "events.hot.every: is shorter than length and vary together"),
    (HEAD + CURVE + EVENT.replace("1m", "100ms"), "events.hot.every: has to be 1s or more"),
    (HEAD + CURVE + EVENT + 'ramp = "6s"\n', "events.hot.ramp: goes up and down, so it is at most half of length"),
    (HEAD + CURVE + EVENT + 'state = "fault"\n', "events.hot.state: there is no [states] in this model"),
    (HEAD + CURVE + EVENT + "also = { u = 1 }\n", "events.hot.also.u: 'u' is no curve, derived or decay metric"),
    (HEAD + '[metrics.b]\nkind = "boolean"\n' + EVENT.replace('"t"', '"b"'), "events.hot.peak: a boolean has none"),
    (
        HEAD + CURVE + EVENT + EVENT.replace("hot", "cold"),
        "events.hot.metric: 't' is changed by 'cold' too, so neither could be told from the other",
    ),
    (
        HEAD + '[track]\ncenter = [91, 0]\naround = 1\nradius = 1\nspeed = "t"\n' + CURVE,
        "track.center.0: input should be less than or equal to 80",
    ),
    (HEAD + '[track]\ncenter = [50, 0]\naround = 1\nradius = 1\nspeed = "v"\n' + CURVE, f"track.speed: 'v' {NO_SUM}"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_a_mistake_is_told_in_one_line_that_names_file_and_key(text: str, told: str) -> None:
    with pytest.raises(SpecError) as error:
        read_spec(text, "mine.toml")
    assert str(error.value) == f"mine.toml: {told}"


def test_a_file_of_ones_own_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(HEAD + STATES + CURVE + EVENT)
    mine = model("mine.toml", tmp_path)
    assert mine.name == "made"
    assert mine.values(1, np.array([3]), np.array([0])) == {"t": [20.0]}
    assert mine.children is None


def test_the_example_of_the_readme_is_a_model() -> None:
    readme = (Path(__file__).parents[3] / "simulators" / "README.md").read_text()
    [example] = [block.partition("```")[0] for block in readme.split("```toml\n")[1:] if "[metrics." in block]
    tank = DeclaredModel(read_spec(example, "README.md"))
    now, day = 1_795_000_000_000_000_000, 86_400_000_000_000
    found = tank.values(1, np.full(1000, 1), now + np.arange(1000) * day // 1000)
    assert set(found["state"]) == {"draining", "filling"}
    assert set(found["high"]) == {False, True}
    assert {event.name for event in tank.events(1, np.arange(9), now, now + day)} == {"overflow"}


def test_the_readme_says_what_each_shipped_model_has() -> None:
    readme = (Path(__file__).parents[3] / "simulators" / "README.md").read_text()
    for name in shipped():
        one = model(name)
        [row] = [line for line in readme.splitlines() if line.startswith(f"| `{name}` | `{one.prefix}-001`")]
        cells = row.split(" | ")
        assert [word for word in re.findall(r"[a-z_0-9]+", cells[2]) if word in one.metrics] == list(one.metrics)


def test_a_gateway_has_children_of_another_model(tmp_path: Path) -> None:
    children = model("gateway").children
    assert children is not None
    assert (children.model.name, children.count) == ("environment", 8)
    (tmp_path / "leaf.toml").write_text(HEAD + CURVE)
    (tmp_path / "root.toml").write_text(HEAD + '[children]\nmodel = "leaf.toml"\ncount = 3\n' + CURVE)
    mine = model(str(tmp_path / "root.toml")).children
    assert mine is not None
    assert list(mine.model.metrics) == ["t"]


def test_what_is_wrong_with_the_children_is_told_of_both_files(tmp_path: Path) -> None:
    (tmp_path / "loop.toml").write_text(HEAD + '[children]\nmodel = "loop.toml"\ncount = 3\n' + CURVE)
    with pytest.raises(
        SpecError, match=r"loop\.toml: children\.model: .*loop\.toml: it is behind a gateway, and can be"
    ):
        model("loop.toml", tmp_path)
    (tmp_path / "lone.toml").write_text(HEAD + '[children]\nmodel = "nobody"\ncount = 3\n' + CURVE)
    with pytest.raises(SpecError, match=r"lone\.toml: children\.model: there is no model 'nobody': write coldchain, "):
        model("lone.toml", tmp_path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no model 'punp': write coldchain, environment, "):
        model("punp")
    with pytest.raises(SpecError, match=r"mine\.toml: No such file"):
        model("mine.toml", tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"\xe9")
    with pytest.raises(SpecError, match=r"latin\.toml: is no UTF-8"):
        model("latin.toml", tmp_path)
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(SpecError, match=r"large\.toml: is larger than 1 MiB"):
        model("large.toml", tmp_path)
