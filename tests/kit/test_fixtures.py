"""Each test has a world of its own; fixtures and a marker say what is in it."""

from __future__ import annotations

import re

import pytest

from tests.kit.conftest import Run


def test_a_fresh_world_for_each_test(run: Run) -> None:
    done = run(
        """
        import pytest, vhal

        @pytest.mark.parametrize("attempt", [1, 2])
        def test_empty(attempt, vhal_host, mock_world):
            assert vhal_host.machines() == []
            vhal_host.create(vhal.MachineSpec(name="web"))
            with vhal.connect("mock:///a") as a:
                assert a.uuid == vhal_host.uuid
            assert list(mock_world.host("a").by_name) == ["web"]

        @pytest.mark.parametrize("attempt", [1, 2])
        def test_empty_without_a_fixture(attempt):
            with vhal.connect("mock:///a") as a:
                assert a.machines() == []
                a.create(vhal.MachineSpec(name="web"))
        """
    )
    done.assert_outcomes(passed=4)


def test_the_fleet_is_finite_and_asymmetric(vhal_fleet: dict[str, object], run: Run) -> None:
    assert list(vhal_fleet) == ["a", "b", "c"]
    done = run(
        """
        import pytest, vhal

        def test_fleet(vhal_fleet, vhal_host, mock_world, vhal_clock):
            assert len({host.info().memory for host in vhal_fleet.values()}) == 3
            assert vhal_host.uuid == vhal_fleet["a"].uuid
            assert vhal_clock is mock_world.clock
            vm = vhal_host.create(vhal.MachineSpec(name="web", memory="24GiB"))
            vm.start()
            with pytest.raises(vhal.errors.InsufficientResources):
                vhal_host.create(vhal.MachineSpec(name="huge", memory="33GiB"))
            vm.migrate(vhal_fleet["b"])
            vm.stop()
            assert vhal_clock.now_s > 0
        """
    )
    done.assert_outcomes(passed=1)


def test_the_marker_says_what_there_is(run: Run) -> None:
    done = run(
        """
        import pytest, vhal

        @pytest.mark.vhal(hosts=["alpha", {"name": "beta", "memory": "8GiB"}])
        class TestTwo:
            def test_fleet(self, vhal_fleet):
                assert list(vhal_fleet) == ["alpha", "beta"]
                assert vhal_fleet["beta"].info().memory == vhal.Bytes("8GiB")

            def test_no_fixture(self):
                with vhal.connect("mock:///beta") as beta:
                    assert beta.info().name == "beta"

            @pytest.mark.vhal(hosts=5)
            def test_the_nearest_counts(self, vhal_fleet):
                assert list(vhal_fleet) == list("abcde")

        def test_without(vhal_host, mock_world):
            assert list(mock_world.hosts) == ["a", "b"]
        """,
        "--strict-markers",
    )
    done.assert_outcomes(passed=4)


REFUSED = {
    "host=2": "there is no argument host (did you mean hosts=[?])",
    "2": "there is no argument 2 (it takes hosts, spec, seed, leaks, each with its name)",
    'leaks="maybe"': "leaks='maybe' says nothing (it is one of error, warn, ignore)",
    "hosts=0": "a world can't have 0 hosts (*)",
    'hosts=[{"name": "a", "cpsu": 1}]': "*cpsu*",
    'hosts=1, spec="fleet.toml"': "*not from both*",
}


def test_a_marker_that_says_nothing(run: Run) -> None:
    tests = (f"@pytest.mark.vhal({marker})\ndef test_{number}(): pass" for number, marker in enumerate(REFUSED))
    done = run("import pytest\n" + "\n".join(tests))
    done.assert_outcomes(errors=len(REFUSED))
    done.stdout.fnmatch_lines([f"@pytest.mark.vhal: {line}" for line in REFUSED.values()])
    assert "Traceback" not in done.stdout.str()


IDS = """
    import pytest, vhal

    @pytest.fixture(scope="module")
    def shared():
        from vhal_mock import World
        world = World.from_spec({"hosts": [{"name": "s"}]})
        with vhal.connect(world.url("s")) as host:
            yield host

    @pytest.mark.parametrize("number", range(4))
    def test_ids(number, shared, vhal_host):
        vm = vhal_host.create(vhal.MachineSpec(name="web"))
        assert shared.uuid != vhal_host.uuid
        with vhal.testing.simulated(hosts=1), vhal.connect("libvirt+tls://a/system") as other:
            print(f"ids of {number}: {shared.uuid} {vhal_host.uuid} {vm.id} {other.uuid}")
        assert 0

    import vhal.testing
"""


def test_ids_depend_on_the_test_alone(run: Run) -> None:
    runs = [run(IDS, *options) for options in ((), ("-k", "2 or 3"), ("-n", "3", "-k", "1 or 2 or 3"))]
    told = [set(re.findall(r"^ids of .*$", done.stdout.str(), re.M)) for done in runs]
    assert [len(lines) for lines in told] == [4, 2, 3]
    assert told[1] < told[0]
    assert told[2] < told[0]
    assert len({word for line in told[0] for word in line.split()[3:]}) == 1 + 4 * 3


def test_a_simulation_of_a_module_holds_in_all_of_its_tests(run: Run) -> None:
    done = run(
        """
        import pytest, vhal, vhal.testing

        @pytest.fixture(scope="module", autouse=True)
        def simulation():
            with vhal.testing.simulated(hosts=["alpha"]):
                yield

        @pytest.mark.parametrize("attempt", [0, 1])
        def test_it(attempt, mock_world):
            with vhal.connect("libvirt+tls://alpha/system") as host, vhal.connect("mock:///alpha") as same:
                assert host.uuid == same.uuid
                assert len(host.machines()) == attempt
                host.create(vhal.MachineSpec(name=f"web{attempt}"))
        """,
        "--vhal-leaks=error",
        test_other="""
        import vhal

        def test_after(mock_world):
            assert list(mock_world.hosts) == ["a", "b"]
        """,
    )
    done.assert_outcomes(passed=3)


def test_examples_of_a_page_are_one_world_less(run: Run, pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".txt",
        test_page=">>> import vhal\n>>> with vhal.connect('mock:///a') as a: a.machines()\n[]\n"
        ">>> host = vhal.connect('mock:///b')\n",
    )
    done = run("", "--doctest-glob=test_*.txt", "--vhal-leaks=error")
    done.assert_outcomes(passed=1)


def test_where_the_mock_is_left_out_other_tests_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VHAL_PLUGINS", "libvirt")
    done = run(
        """
        import pytest, vhal

        @pytest.fixture(scope="module")
        def shared():
            return vhal.Bytes("1GiB")

        def test_something_else(shared):
            assert shared == 1 << 30

        def test_host(vhal_host):
            pass
        """
    )
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*PluginError: backend 'mock' is blocked*"])
