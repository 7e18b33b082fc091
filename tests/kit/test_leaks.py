"""What a test leaves behind is told, with the line of the test that made it."""

from __future__ import annotations

import pytest

from tests.kit.conftest import Run

LEAKY = """
    import threading
    import vhal, vhal.testing
    import app

    def test_host():
        app.deploy("mock:///a")

    def test_everything():
        a = vhal.connect("mock:///a")
        vm = a.create(vhal.MachineSpec(name="web"))
        vm.start()
        events = a.events()
        console = vm.console()
        vm.spawn(["cat"])
        wait = threading.Event()
        threading.Thread(target=app.work, args=(wait,), name="worker", daemon=True).start()
        vhal.begin(app.stubborn)
        vhal.testing.simulated(hosts=1).__enter__()

    def test_nothing():
        with vhal.connect("mock:///a") as a:
            vm = a.create(vhal.MachineSpec(name="web"))
            vm.start()
            with a.events(), vm.console(), vm.spawn(["true"]):
                vm.exec(["true"])
            operation = vhal.begin(vm.stop)
            operation.result()
            vm.start()
            vm.pause()
            vm.save() if False else vm.resume()
            vm.stop()
"""
APP = """
    import vhal
    from vhal.operation import call_context

    def deploy(where):
        return vhal.connect(where)

    def work(wait):
        wait.wait()

    def stubborn():
        call_context(None).wait(600)
"""


def test_all_is_named_with_its_place(run: Run) -> None:
    done = run(LEAKY, app=APP)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(
        [
            "*= left behind (vhal) =*",
            "test_it.py::test_everything",
            "  host mock:///a is open (test_it.py:9)",
            "  a stream of events is open (test_it.py:12)",
            "  the console of machine 'web' is open (test_it.py:13)",
            "  program 'cat' in machine 'web' was not let go of (test_it.py:14)",
            "  a simulation holds still, and was ended (test_it.py:18)",
            "  operation 'stubborn' is under way, and was aborted (test_it.py:17)",
            "  machine 'web' is running on simulated host 'a' (test_it.py:10)",
            "  thread 'worker' goes on (*app.py:8)",
            "test_it.py::test_host",
            "  host mock:///a is open (test_it.py:6, through app.py:5)",
            "",
            "*= 3 passed *",
        ],
        consecutive=True,
    )


@pytest.mark.parametrize("options", [("--vhal-leaks=error",), ("-o", "vhal_leaks=error")])
def test_they_can_be_errors(run: Run, options: tuple[str, ...]) -> None:
    done = run(LEAKY, *options, app=APP)
    done.assert_outcomes(passed=3, errors=2)
    done.stdout.fnmatch_lines(["*ERROR at teardown of test_host*", "left behind:", "  host mock:///a is open*"])
    assert "left behind (vhal)" not in done.stdout.str()


def test_they_can_be_ignored(run: Run) -> None:
    done = run(LEAKY, "--vhal-leaks=ignore", "-k", "not everything", app=APP)
    done.assert_outcomes(passed=2, deselected=1)
    assert "left behind" not in done.stdout.str()


def test_the_option_goes_before_the_setting_and_the_marker_before_both(run: Run) -> None:
    done = run(
        """
        import pytest, vhal

        @pytest.mark.vhal(leaks="error")
        def test_strict():
            vhal.connect("mock:///a")

        @pytest.mark.vhal(leaks="ignore")
        def test_lax():
            vhal.connect("mock:///a")

        def test_plain():
            vhal.connect("mock:///a")
        """,
        "-o",
        "vhal_leaks=error",
        "--vhal-leaks=warn",
    )
    done.assert_outcomes(passed=3, errors=1)
    done.stdout.fnmatch_lines(["*ERROR at teardown of test_strict*", "*left behind (vhal)*", "test_it.py::test_plain"])
    assert "test_it.py::test_lax" not in done.stdout.str()


def test_a_setting_that_is_none(run: Run) -> None:
    done = run("", "-o", "vhal_leaks=maybe")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["*vhal_leaks = 'maybe' must be one of error, warn, ignore*"])


def test_workers_tell_it_too(run: Run) -> None:
    done = run(LEAKY, "-n", "2", app=APP)
    done.assert_outcomes(passed=3)
    done.stdout.fnmatch_lines(["*left behind (vhal)*", "*test_everything", "*test_host", "  host mock:///a is open *"])


def test_an_error_of_the_teardown_comes_first(run: Run) -> None:
    done = run(
        """
        import pytest, vhal

        @pytest.fixture
        def broken():
            yield
            raise ZeroDivisionError

        def test_it(broken):
            vhal.connect("mock:///a")
        """,
        "--vhal-leaks=error",
    )
    done.assert_outcomes(passed=1, errors=1)
    done.stdout.fnmatch_lines(["*ZeroDivisionError"])


def test_what_outlives_the_test_by_its_fixture_is_no_leak(run: Run) -> None:
    done = run(
        """
        import threading
        import pytest, vhal

        @pytest.fixture(scope="module")
        def shared():
            from vhal_mock import World
            world = World.from_spec({"hosts": [{"name": "s"}]})
            stop = threading.Event()
            thread = threading.Thread(target=stop.wait)
            def work():
                stop.wait()
            worker = threading.Thread(target=work)
            worker.start()
            with vhal.connect(world.url("s")) as host:
                vm = host.create(vhal.MachineSpec(name="db"))
                vm.start()
                yield host
                vm.stop()
            stop.set()
            worker.join()

        def test_one(shared):
            assert len(shared.machines()) == 1

        def test_two(shared):
            assert len(shared.machines()) == 1
        """,
        "--vhal-leaks=error",
    )
    done.assert_outcomes(passed=2)


def test_what_tasks_and_threads_opened_is_told(run: Run) -> None:
    done = run(
        """
        import asyncio
        import threading
        import vhal, vhal.aio

        def test_tasks():
            async def main():
                await vhal.aio.connect("mock:///a")
            asyncio.run(main())

        def test_threads():
            thread = threading.Thread(target=lambda: vhal.connect("mock:///b"))
            thread.start()
            thread.join()
        """
    )
    done.assert_outcomes(passed=2)
    done.stdout.fnmatch_lines(
        [
            "*::test_tasks",
            "  host mock:///a is open (test_it.py:7)",
            "*::test_threads",
            "  host mock:///b *(test_it.py:11)",
        ]
    )


def test_what_was_closed_is_not_kept(run: Run) -> None:
    done = run(
        """
        import gc
        import vhal
        from vhal.host import Host

        def test_many():
            for _ in range(2000):
                vhal.connect("mock:///a").close()
            gc.collect()
            assert sum(isinstance(thing, Host) for thing in gc.get_objects()) < 1000
            vhal.connect("mock:///a")
            vhal.connect("mock:///a")
        """
    )
    done.assert_outcomes(passed=1)
    done.stdout.fnmatch_lines(["  host mock:///a is open (test_it.py:10)", "  host mock:///a is open (test_it.py:11)"])
