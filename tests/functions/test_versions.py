"""Versions, aliases and what is routed by weight."""

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventrouter import Alias, InvalidRuleError, InvokeError, NotFoundError
from tests.functions.support import ARN, declare, make_router, queue_up
from tests.support import seconds


def give(what):
    async def handle(event, context):
        return [what, context.function_version]

    return handle


async def test_a_version_stays_what_it_was():
    router = make_router()

    async def handle(event, context, *, greeting="hello"):
        return [greeting, context.function_version, context.get_remaining_time_in_millis()]

    async def changed(event, context):
        return "changed in place"

    function = declare(router, handle, timeout=seconds(1))
    first = function.publish_version("the first")
    assert (first.version, first.description) == ("1", "the first")
    assert function.publish_version("again") is first  # nothing has changed
    handle.__kwdefaults__["greeting"] = "changed in place"
    handle.__code__ = changed.__code__
    function.update(give("new"), timeout=seconds(2))
    second = function.publish_version()
    function.update(give("newest"))
    assert list(function.versions) == ["$LATEST", "1", "2"]
    async with router:
        values = [(await function.invoke(qualifier=name)).value for name in ("1", "2", "$LATEST", None)]
    assert values == [["hello", "1", 1_000], ["new", "2"], ["newest", "$LATEST"], ["newest", "$LATEST"]]
    assert second.configuration.timeout == seconds(2)


async def test_records_and_responses_name_the_version():
    router = make_router()
    function = declare(router, give("x"))
    function.publish_version()
    function.put_alias("prod", "1")
    async with router:
        response = await router.invoke("f:prod")
        assert (response.executed_version, response.value) == ("1", ["x", "1"])
        assert (await router.invoke(ARN + "f:prod")).executed_version == "1"
        assert (await function.invoke(qualifier=1)).executed_version == "1"
        assert function.qualified_arn("prod") == ARN + "f:prod"


async def test_a_weighted_alias_sends_its_share_to_each_and_always_the_same():
    router = make_router()
    function = declare(router, give(1))
    function.publish_version()
    function.update(give(2))
    function.publish_version()
    alias = function.put_alias("prod", 1, additional_version_weights={2: 0.25})
    ids = [str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC834 % 2**128)) for number in range(10_000)]
    chosen = [function.resolve("prod", id).version for id in ids]
    # 2,500 expected, with a standard deviation of 43: four of them.
    assert 2_327 < chosen.count("2") < 2_673
    assert [alias.choose(id) for id in ids] == chosen
    assert Alias("prod", "1", {"2": 0.25}).choose(ids[0]) == chosen[0]
    # As told by whoever knows the rule: the first 7 bytes of a BLAKE2b of name and id, as a fraction.
    assert [function.resolve("prod", f"id-{n}").version for n in range(12)] == list("111111222121")


@given(st.floats(0, 1), st.text(min_size=1))
def test_shares_add_up_and_the_ends_are_certain(weight, id):
    alias = Alias("a", "1", {"2": weight})
    assert sum(alias.shares().values()) == pytest.approx(1)
    assert alias.choose(id) in "12"
    assert Alias("a", "1", {"2": 0.0}).choose(id) == "1"
    assert Alias("a", "1", {"2": 1.0}).choose(id) == "2"
    # More weight moves ids over to the second version, and none back.
    if alias.choose(id) == "2":
        assert Alias("a", "1", {"2": 1 - (1 - weight) / 2}).choose(id) == "2"


async def test_retries_of_an_invocation_run_the_same_version():
    ran = []

    def fail(name):
        async def handle(event, context):
            ran.append((context.aws_request_id, context.function_version))
            raise OSError(name)

        return handle

    router = make_router()
    function = declare(router, fail("a"))
    function.publish_version()
    function.update(fail("b"))
    function.publish_version()
    function.put_alias("prod", 1, additional_version_weights={2: 0.5})
    async with router:
        ids = [await queue_up(function, qualifier="prod") for _ in range(20)]
        await router.settle_down()
    assert len(ran) == 60
    assert len(set(ran)) == len(ids)


@pytest.mark.parametrize(
    ("name", "version", "weights", "error", "text"),
    [
        ("7", 1, None, InvalidRuleError, "'7' is no alias name"),
        ("a b", 1, None, InvalidRuleError, "'a b' is no alias name"),
        ("prod", 9, None, NotFoundError, f"Function not found: {ARN}f:9"),
        ("prod", 1, {9: 0.5}, NotFoundError, f"Function not found: {ARN}f:9"),
        ("prod", 1, {2: 0.5, 3: 0.1}, InvokeError, "An alias takes one additional version"),
        ("prod", "$LATEST", {1: 0.5}, InvokeError, "$LATEST is not supported for an alias pointing to more than 1"),
        ("prod", 1, {1: 0.5}, InvokeError, "Alias prod names version 1 twice"),
        ("prod", 1, {2: 1.5}, InvokeError, "The weight 1.5 of alias prod is not between 0.0 and 1.0"),
        ("prod", 1, {2: "0.5"}, InvokeError, "The weight '0.5' of alias prod is not between 0.0 and 1.0"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(name, version, weights, error, text):
    router = make_router()
    function = declare(router, give(1))
    for number in range(3):
        function.publish_version()
        function.update(give(number))
    with pytest.raises(error, match=re.escape(text)):
        function.put_alias(name, version, additional_version_weights=weights)
    assert function.aliases == {}


def test_aliases_move_and_go():
    router = make_router()
    function = declare(router, give(1))
    function.publish_version()
    function.put_alias("prod", "$LATEST", description="what customers see")
    assert function.resolve("prod", "id").version == "$LATEST"
    function.put_alias("prod", 1)
    assert function.resolve("prod", "id").version == "1"
    assert list(function.aliases) == ["prod"]
    function.remove_alias("prod")
    with pytest.raises(NotFoundError):
        function.remove_alias("prod")
    with pytest.raises(NotFoundError):
        function.resolve("prod", "id")


def test_a_function_that_was_removed_cannot_be_changed():
    router = make_router()
    function = declare(router, give(1))
    assert router.list_functions() == ["f"]
    assert router.get_function("f") is function
    router.remove_function("f")
    assert router.list_functions() == []
    for change in (
        function.publish_version,
        lambda: function.update(description="x"),
        lambda: function.put_alias("a", "$LATEST"),
        lambda: function.remove_alias("a"),
        lambda: function.put_concurrency(1),
        lambda: function.put_provisioned_concurrency(1, 1),
    ):
        with pytest.raises(NotFoundError):
            change()
    assert (list(function.versions), dict(function.aliases), function.latest.configuration.description) == (
        ["$LATEST"],
        {},
        "",
    )
    with pytest.raises(NotFoundError):
        router.get_function("f")
